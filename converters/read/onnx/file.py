"""An ``.onnx`` file as an `OnnxGraph`, without believing anything it says about itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto

from spikeport.converters.read.file_bytes import file_bytes
from spikeport.converters.read.onnx.graph import OnnxGraph, OnnxInput, OnnxNode, needed
from spikeport.converters.read.onnx.tensors import MAX_RANK, Tensors, array_of
from spikeport.errors import ModelError

OLDEST_OPSET = 13
MAX_NODES = 50_000
_OWN = ("", "ai.onnx")
# Domains whose Quant nodes (and Microsoft's wider integers) mean what ONNX's and QONNX's documents say.
_QUANTIZERS = {
    "qonnx.custom_op.general": ("Quant", "BipolarQuant"),
    "finn.custom_op.general": ("Quant", "BipolarQuant"),
    "onnx.brevitas": ("Quant", "BipolarQuant"),
    "com.microsoft": ("QuantizeLinear", "DequantizeLinear"),
}
_AGAIN = "Export the model again, or check that the file was copied completely."


def read_file(path: Path) -> tuple[OnnxGraph, str]:
    """The graph in ``path`` and the SHA-256 of the file.

    Raises:
        ModelError: no such file, no ONNX, damaged, too old, or larger than the limits of this module.
    """
    data = file_bytes(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError, MemoryError, ValueError) as problem:
        raise ModelError(f"{path.name}: not a readable ONNX file, or damaged. {_AGAIN}") from problem
    if not model.HasField("graph") or not model.graph.node:
        raise ModelError(f"{path.name}: no ONNX model with a graph in it. {_AGAIN}")
    return _graph(model, path), hashlib.sha256(data).hexdigest()


def _graph(model: onnx.ModelProto, path: Path) -> OnnxGraph:
    graph = model.graph
    if len(graph.node) > MAX_NODES or graph.sparse_initializer:
        raise ModelError(
            f"{path.name}: {len(graph.node)} nodes and {len(graph.sparse_initializer)} sparse initialisers; "
            f"at most {MAX_NODES} nodes and dense initialisers are read."
        )
    _check_texts(graph, path)
    tensors = Tensors(graph.initializer, path.parent)
    inputs = tuple(OnnxInput(i.name, _shape(i)) for i in graph.input if i.name not in tensors)
    outputs = {o.name: _shape(o) if o.type.tensor_type.HasField("shape") else None for o in graph.output}
    if not inputs or not outputs or "" in outputs:
        raise ModelError(f"{path.name}: {len(inputs)} inputs and {len(outputs)} outputs; each needs one, with a name.")
    nodes = needed(map(_node, graph.node), outputs)
    _refuse_functions(nodes, {f"{f.domain}::{f.name}" for f in model.functions}, path)
    _check_order(nodes, (*tensors, *(i.name for i in inputs)), outputs)
    return OnnxGraph(nodes, tensors, inputs, outputs, _opset(model, path))


def _check_texts(graph: onnx.GraphProto, path: Path) -> None:
    """protobuf hands out texts that are no UTF-8 as bytes, which nothing here expects."""
    named = [*graph.input, *graph.output, *graph.initializer]
    texts = [value.name for value in named]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute)]
        texts += [text for entry in node.metadata_props for text in (entry.key, entry.value)]
    texts += [text for t in graph.initializer for entry in t.external_data for text in (entry.key, entry.value)]
    if any(isinstance(text, bytes) for text in texts):
        raise ModelError(f"{path.name}: damaged; names in it are no text. {_AGAIN}")


def _refuse_functions(nodes: Iterable[OnnxNode], functions: Collection[str], path: Path) -> None:
    if used := sorted({node.op for node in nodes if node.op in functions}):
        raise ModelError(
            f"{path.name}: it keeps parts as functions ({', '.join(used[:3])}). "
            "Write them out first: onnx.inliner.inline_local_functions(model)."
        )


def _opset(model: onnx.ModelProto, path: Path) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in _OWN]
    newest = max(versions, default=0)
    if newest < OLDEST_OPSET:
        raise ModelError(
            f"{path.name}: opset {newest}; {OLDEST_OPSET} is the oldest that is read. "
            f"Export it with opset_version={OLDEST_OPSET} or later, or use onnx.version_converter."
        )
    return newest


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """Declared axes; None where one is open. An absent shape is ()."""
    dims = value.type.tensor_type.shape.dim
    if len(dims) > MAX_RANK:
        raise ModelError(f"'{value.name}' claims {len(dims)} axes; at most {MAX_RANK} count.")
    return tuple(d.dim_value if d.dim_value > 0 else None for d in dims)


def _node(proto: onnx.NodeProto) -> OnnxNode:
    known = proto.domain in _OWN or proto.op_type in _QUANTIZERS.get(proto.domain, ())
    op = proto.op_type if known else f"{proto.domain}::{proto.op_type}"
    bare = OnnxNode(op, proto.name, tuple(proto.input), tuple(proto.output), {}, _scope(proto))
    attributes = {a.name: _attribute(a, bare) for a in proto.attribute}
    return OnnxNode(op, proto.name, bare.inputs, bare.outputs, attributes, bare.scope)


def _scope(proto: onnx.NodeProto) -> tuple[str, ...]:
    """Module names that torch's dynamo exporter notes: "['', 'layer1', 'layer1.0', 'add']"."""
    texts = (p.value for p in proto.metadata_props if p.key == "pkg.torch.onnx.name_scopes")
    return tuple(filter(None, re.findall(r"'([^']*)'", next(texts, "")[:2000])))


def _attribute(proto: AttributeProto, node: OnnxNode) -> Any:
    match proto.type:
        case AttributeProto.INT:
            return proto.i
        case AttributeProto.FLOAT:
            return proto.f
        case AttributeProto.STRING:
            return proto.s.decode("utf-8", "replace")
        case AttributeProto.INTS:
            return tuple(proto.ints)
        case AttributeProto.FLOATS:
            return tuple(proto.floats)
        case AttributeProto.TENSOR:
            return array_of(proto.t, f"{node}: its {proto.name}")
    # Graphs, texts in lists, references to a function's arguments: only nodes that are refused anyway have them.
    return None


def _check_order(nodes: Iterable[OnnxNode], known: Iterable[str], outputs: Iterable[str]) -> None:
    """Every value is given once, before it is used: so there is no cycle either."""
    given: set[str] = set()
    for name in known:
        if name in given or not name:
            raise ModelError(f"two inputs or initialisers have the name '{name}', or one has none. {_AGAIN}")
        given.add(name)
    for node in nodes:
        missing = [name for name in node.inputs if name and name not in given]
        if missing:
            raise ModelError(f"{node} reads '{missing[0]}', which nothing before it gives. {_AGAIN}")
        for name in filter(None, node.outputs):
            if name in given:
                raise ModelError(f"{node} gives '{name}', which something else gives already. {_AGAIN}")
            given.add(name)
    if lost := [name for name in outputs if name not in given]:
        raise ModelError(f"the output '{lost[0]}' is given by nothing. {_AGAIN}")
