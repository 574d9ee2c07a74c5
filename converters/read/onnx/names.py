"""Names that a user recognises: those of the modules, where the exporter left a trace of them.

* An initialiser ``features.0.weight`` belongs to the module ``features.0``.
* torch's TorchScript exporter calls nodes ``/layer1/layer1.0/relu/Relu``, each part relative to the one before.
* Its dynamo exporter notes the modules around a node (`OnnxNode.scope`), each with its whole path.

An operation that is alone in its module gets the module's name, any other the module's and its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import count

from spikeport.converters.read.onnx.graph import OnnxNode

LONGEST = 120
_TRACE = re.compile(r"^(onnx::.*|\d+|input\.\d+|)$")
# Nodes that compute constants for others: they do not make an operation share its module.
_SILENT = frozenset({"Constant", "Shape", "Gather", "Unsqueeze", "Concat", "Slice", "Cast", "Identity", "Dropout",
                     "QuantizeLinear", "DequantizeLinear", "Quant", "ConstantOfShape"})  # fmt: skip
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul", "BatchNormalization"})


class Names:
    """Hands out names, each once."""

    def __init__(self, nodes: Iterable[OnnxNode]) -> None:
        self._alone = Counter(_module_and_own(node)[0] for node in nodes if node.op not in _SILENT)
        self._taken: set[str] = set()

    def of(self, node: OnnxNode, weight: str = "") -> str:
        """For what ``node`` becomes; ``weight``: the initialiser that its weights come from."""
        module, own = _module_and_own(node)
        holder = _holder(weight)
        if node.op in _WEIGHTED and (holder or module):
            return self.unique(holder or module)
        if module and self._alone[module] <= 1:
            return self.unique(module)
        return self.unique(f"{module}.{own}" if module else own)

    def of_end(self, name: str, otherwise: str) -> str:
        """For an input or output, unless its name is a mere number of the exporter's."""
        return self.unique(otherwise if _TRACE.match(name) else _clean(name))

    def unique(self, wish: str) -> str:
        """The name, with a number behind it where it is taken."""
        name = wish if wish not in self._taken else next(n for k in count(2) if (n := f"{wish}#{k}") not in self._taken)
        self._taken.add(name)
        return name


def _module_and_own(node: OnnxNode) -> tuple[str, str]:
    """The module around a node ("" for the model itself) and the operation's own name."""
    if node.scope:
        *modules, own = node.scope
        return _clean(modules[-1]) if modules else "", _clean(own)
    parts = re.sub(r"(_output_0)?(_QuantizeLinear)?$", "", node.name).strip("/").split("/")
    own = _clean(parts[-1]) or _clean(next(filter(None, node.outputs), "")) or node.op
    return (_clean(_path(parts[:-1])) if node.name.startswith("/") else "", own)


def _path(parts: Collection[str]) -> str:
    """One path of module names that each start with their parent's: layer1, layer1.0, conv1 is layer1.0.conv1."""
    path = before = ""
    for part in parts:
        inside = bool(before) and part.startswith(f"{before}.")
        path += part[len(before) :] if inside else f".{part}" if path else part
        before = part
    return path


def _holder(weight: str) -> str:
    """The module of an initialiser, "" where its name does not tell."""
    module, dot, last = weight.rpartition(".")
    return _clean(module) if dot and last.isidentifier() and not _TRACE.match(weight) and "::" not in weight else ""


def _clean(name: str) -> str:
    """Without what HDF5 and terminals take amiss."""
    kept = "".join(c if c.isprintable() else "?" for c in name).replace("/", ".").strip(". ")
    return kept if len(kept) <= LONGEST else f"{kept[:LONGEST]}..."
