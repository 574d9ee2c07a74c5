"""An ONNX graph as plain frozen data: nodes, initialisers, inputs, outputs; nothing here knows what a node means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spikeport.converters.network import Shape
from spikeport.converters.read.onnx.tensors import Tensors
from spikeport.errors import ModelError


@dataclass(frozen=True)
class OnnxNode:
    """One operator.

    Attributes:
        op: its type; of another domain than ONNX's own and QONNX's, ``domain::type``.
        name: as the file has it, often "".
        inputs, outputs: names of values; "" for an optional one that is absent.
        attributes: ints, floats, texts, lists of them, and arrays, by name.
        scope: the modules around it, outermost first, and the operation last, where torch's dynamo exporter says so.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    scope: tuple[str, ...] = ()

    def __str__(self) -> str:
        gives = next(filter(None, self.outputs), "")
        return f"node '{self.name or gives:.80}' ({self.op:.40}, gives '{gives:.80}')"

    def given(self, index: int) -> str:
        """Name of input ``index``, "" where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """An attribute that is one int."""
        return int(self._of_type(name, default, int))

    def number(self, name: str, default: float) -> float:
        """An attribute that is one float."""
        return float(self._of_type(name, default, (int, float)))

    def text(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        return str(self._of_type(name, default, str))

    def integers(self, name: str, default: Shape) -> Shape:
        """An attribute that is a list of ints, of the length of ``default`` where that is not empty."""
        found: Shape = self._of_type(name, default, tuple)
        if not all(isinstance(n, int) for n in found) or (default and len(found) != len(default)):
            raise ModelError(f"{self}: its {name} is {found}, but needs {len(default) or 'a list of'} whole numbers.")
        return found

    def _of_type(self, name: str, default: Any, kind: Any) -> Any:
        found = self.attributes.get(name, default)
        if not isinstance(found, kind):
            raise ModelError(f"{self}: its {name} is {found!r:.60}, which has no meaning here. Export the model again.")
        return found


@dataclass(frozen=True)
class OnnxInput:
    """What data go in. ``shape``: with the batch axis, None where an axis is open."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class OnnxGraph:
    """A graph in the file's order, which computes every value before it is used.

    Attributes:
        nodes: only those that an output needs.
        tensors: the initialisers.
        inputs: without initialisers.
        outputs: names of values, and their declared shapes where the file has them.
        opset: version of ONNX's own operators.
    """

    nodes: tuple[OnnxNode, ...]
    tensors: Tensors
    inputs: tuple[OnnxInput, ...]
    outputs: Mapping[str, tuple[int | None, ...] | None]
    opset: int

    def consumers(self) -> Counter[str]:
        """How often each value is used; being an output counts."""
        return Counter([*(name for node in self.nodes for name in node.inputs), *self.outputs])


def needed(nodes: Iterable[OnnxNode], outputs: Iterable[str]) -> tuple[OnnxNode, ...]:
    """The nodes that lead to ``outputs``, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(tuple(nodes)):
        if wanted.intersection(node.outputs):
            wanted.update(filter(None, node.inputs))
            kept.append(node)
    return tuple(reversed(kept))
