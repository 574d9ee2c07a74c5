"""Damaged and hostile ONNX files, the same ones every time: fields set to extremes, parts cut, swapped and repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

Random = np.random.Generator

_NUMBERS = (-1, 0, 1, 2, 7, 2**31 - 1, 2**31, 2**62, -(2**63))
_FLOATS = (0.0, -1.0, float("nan"), float("inf"), 1e38, -1e-45)
_TEXTS = ("", "x", "../../etc/passwd", "\0", "Ж" * 300, "SAME_UPPER", "a/b")
_OPS = ("Relu", "Conv", "Gemm", "MatMul", "Add", "Mul", "Concat", "Reshape", "Transpose", "MaxPool", "AveragePool",
        "BatchNormalization", "Clip", "Floor", "Shape", "Gather", "ConstantOfShape", "Expand", "Softmax",
        "LSTM", "QuantizeLinear", "DequantizeLinear", "ReduceMean", "Pad", "Squeeze", "Slice", "Nonsense")  # fmt: skip


def mutants(data: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` damaged versions of an ONNX file, each with one to three changes and a name."""
    rng = np.random.default_rng(seed)
    kinds = list(_KINDS)
    for k in range(count):
        model = onnx.load_model_from_string(data)
        chosen = [kinds[rng.integers(len(kinds))] for _ in range(rng.integers(1, 4))]
        for kind in chosen:
            _KINDS[kind](model, rng)
        damaged = model.SerializeToString()
        if k % 5 == 4:
            damaged = _bytes(damaged, rng)
            chosen.append("bytes")
        yield f"{k} {', '.join(chosen)}", damaged


def _bytes(data: bytes, rng: Random) -> bytes:
    """Some bytes changed, or the end cut off."""
    changed = bytearray(data)
    for place in rng.integers(0, len(changed), rng.integers(1, 8)):
        changed[place] = int(rng.integers(256))
    return bytes(changed[: rng.integers(1, len(changed))]) if rng.random() < 0.3 else bytes(changed)


def _pick(rng: Random, options: Any) -> Any:
    return options[int(rng.integers(len(options)))] if len(options) else None


def _number(rng: Random) -> int:
    return int(_pick(rng, _NUMBERS))


def _dims(model: onnx.ModelProto, rng: Random) -> None:
    tensor = _pick(rng, model.graph.initializer)
    if tensor is not None and len(tensor.dims):
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _number(rng)


def _rank(model: onnx.ModelProto, rng: Random) -> None:
    tensor = _pick(rng, model.graph.initializer)
    if tensor is not None:
        tensor.dims.extend([_number(rng)] * int(rng.integers(1, 12)))


def _type(model: onnx.ModelProto, rng: Random) -> None:
    tensor = _pick(rng, model.graph.initializer)
    if tensor is not None:
        tensor.data_type = int(rng.integers(0, 26))


def _weights(model: onnx.ModelProto, rng: Random) -> None:
    tensor = _pick(rng, model.graph.initializer)
    if tensor is None or not tensor.raw_data:
        return
    values = np.frombuffer(tensor.raw_data, np.uint8).copy()
    values[: 4 * (len(values) // 4)].view(np.float32)[:1] = _pick(rng, _FLOATS)
    tensor.raw_data = values.tobytes()[: int(rng.integers(len(values))) if rng.random() < 0.5 else None]


def _external(model: onnx.ModelProto, rng: Random) -> None:
    tensor = _pick(rng, model.graph.initializer)
    if tensor is None:
        return
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", _pick(rng, (*_TEXTS, "/dev/zero", "C:\\x", "model.data"))
    entry = tensor.external_data.add()
    entry.key, entry.value = _pick(rng, ("offset", "length")), str(_pick(rng, (*_NUMBERS, "no")))


def _input_shape(model: onnx.ModelProto, rng: Random) -> None:
    value = _pick(rng, [*model.graph.input, *model.graph.output])
    dims = value.type.tensor_type.shape.dim
    if len(dims) and rng.random() < 0.7:
        dims[int(rng.integers(len(dims)))].dim_value = _number(rng)
    elif rng.random() < 0.5:
        dims.add().dim_value = _number(rng)
    else:
        value.type.Clear()


def _attribute(model: onnx.ModelProto, rng: Random) -> None:
    node = _pick(rng, [n for n in model.graph.node if len(n.attribute)])
    if node is None:
        return
    found = _pick(rng, node.attribute)
    if len(found.ints):
        found.ints[int(rng.integers(len(found.ints)))] = _number(rng)
    elif rng.random() < 0.3:
        found.type = int(rng.integers(0, 15))
    found.i, found.f, found.s = _number(rng), _pick(rng, _FLOATS), _pick(rng, _TEXTS).encode()
    if found.HasField("t") and len(found.t.dims):
        found.t.dims[0] = _number(rng)


def _wires(model: onnx.ModelProto, rng: Random) -> None:
    """An input reads something else: often something later, which makes a cycle."""
    node = _pick(rng, model.graph.node)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    if node is not None and len(node.input):
        node.input[int(rng.integers(len(node.input)))] = _pick(rng, [*names, *_TEXTS])


def _outputs(model: onnx.ModelProto, rng: Random) -> None:
    node = _pick(rng, model.graph.node)
    if node is not None and len(node.output):
        node.output[0] = _pick(rng, [name for other in model.graph.node for name in other.output])


def _op(model: onnx.ModelProto, rng: Random) -> None:
    node = _pick(rng, model.graph.node)
    if node is not None:
        node.op_type = _pick(rng, _OPS)


def _drop(model: onnx.ModelProto, rng: Random) -> None:
    part = _pick(rng, (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output))
    if len(part):
        del part[int(rng.integers(len(part)))]


def _repeat(model: onnx.ModelProto, rng: Random) -> None:
    part = _pick(rng, (model.graph.node, model.graph.initializer, model.graph.input, model.graph.output))
    if len(part):
        part.add().CopyFrom(_pick(rng, part))


def _names(model: onnx.ModelProto, rng: Random) -> None:
    node = _pick(rng, model.graph.node)
    if node is not None:
        node.name, node.domain = _pick(rng, _TEXTS), _pick(rng, ("", "", "com.example"))


def _versions(model: onnx.ModelProto, rng: Random) -> None:
    if len(model.opset_import):
        model.opset_import[0].version = _number(rng)


_KINDS: dict[str, Callable[[onnx.ModelProto, Random], None]] = {
    "dims": _dims,
    "rank": _rank,
    "type": _type,
    "weights": _weights,
    "external": _external,
    "input shape": _input_shape,
    "attribute": _attribute,
    "wires": _wires,
    "outputs": _outputs,
    "op": _op,
    "drop": _drop,
    "repeat": _repeat,
    "names": _names,
    "versions": _versions,
}
