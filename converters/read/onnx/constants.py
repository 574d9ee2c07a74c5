"""What an exporter left to compute: values that depend on no input, from shapes to quantized weights.

Every result is bounded before it is made. Semantics: the ONNX operator documents, opset 13 and later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from spikeport.converters.network import Shape
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.converters.read.onnx.quantizers import bipolar, dequantized, quant, quantized
from spikeport.converters.read.onnx.tensors import MAX_RANK, Values
from spikeport.errors import ModelError

# What no exporter leaves to compute is larger than any of its weights.
MAX_ELEMENTS = 1 << 26
MAX_IN_ALL = 1 << 28

# One array per input, None for an optional one that is absent.
Given = Sequence[Any]

# Element types of Cast (onnx.TensorProto.DataType) that shapes and weights have.
_CASTS = {
    1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
    10: np.float32, 11: np.float64, 12: np.uint32, 13: np.uint64, 16: np.float32,
}  # fmt: skip


@dataclass
class Budget:
    """How many elements may still be computed for one file."""

    left: int = MAX_IN_ALL


def evaluate(node: OnnxNode, given: Given, budget: Budget) -> Values:
    """The first output of a node whose inputs are all constants.

    Raises:
        ModelError: an operator that is not computed here, inputs that do not fit, or a result that is too large.
    """
    rule = _RULES.get(node.op)
    if rule is None:
        raise ModelError(f"{node} works on constants only, which is not computed here. Simplify the model before.")
    try:
        with np.errstate(all="ignore"):
            result = np.asarray(rule(node, given))
    except ModelError:
        raise
    except (ValueError, TypeError, IndexError, AttributeError, OverflowError, KeyError, ZeroDivisionError) as problem:
        raise ModelError(f"{node} cannot be computed from its constants: {problem}") from problem
    if result.dtype.kind in "SUOMm":
        raise ModelError(f"{node} gives no numbers. Export the model again.")
    budget.left -= result.size
    if budget.left < 0:
        raise ModelError(f"{node}: with it, more than {MAX_IN_ALL:,} constants would be computed. Simplify the model.")
    return _bounded(node, result.shape) and result


def _bounded(node: OnnxNode, shape: Sequence[int]) -> Any:
    if len(shape) > MAX_RANK or prod(int(n) for n in shape) > MAX_ELEMENTS:
        raise ModelError(f"{node} would make a constant of the shape {tuple(shape)}; {MAX_ELEMENTS:,} elements count.")
    return True


def axes_of(node: OnnxNode, given: Given, rank: int) -> Shape | None:
    """Non-negative axes from the second input, or the attribute of older opsets; None where there are none."""
    listed = given[1].reshape(-1).tolist() if len(given) > 1 and given[1] is not None else node.attributes.get("axes")
    if listed is None or not all(isinstance(axis, int) and -rank <= axis < rank for axis in listed):
        if listed is None:
            return None
        raise ModelError(f"{node}: it names the axes {listed} of {rank}.")
    return tuple(sorted(axis % rank for axis in listed))


def reshaped(node: OnnxNode, shape: Shape, wanted: Sequence[int]) -> Shape:
    """What ONNX's Reshape makes of ``shape``: 0 keeps an axis (unless ``allowzero``), -1 takes what is left."""
    keeps = node.integer("allowzero", 0) == 0
    if len(wanted) > MAX_RANK or (keeps and any(n == 0 and k >= len(shape) for k, n in enumerate(wanted))):
        raise ModelError(f"{node} asks for the shape {tuple(wanted)[:MAX_RANK]}, which {shape} does not have.")
    sizes = [shape[k] if n == 0 and keeps else int(n) for k, n in enumerate(wanted)]
    known = prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known > 0 and prod(shape) % known == 0:
        sizes[sizes.index(-1)] = prod(shape) // known
    if any(n < 0 for n in sizes) or prod(sizes) != prod(shape):
        raise ModelError(f"{node} cannot give {shape} the shape {tuple(wanted)}.")
    return tuple(sizes)


def _pairwise(compute: Callable[[Any, Any], Any]) -> Callable[[OnnxNode, Given], Any]:
    def rule(node: OnnxNode, given: Given) -> Any:
        first, *others = given
        for other in others:
            _bounded(node, np.broadcast_shapes(np.shape(first), np.shape(other)))
            first = compute(first, other)
        return first

    return rule


def _divided(a: Any, b: Any) -> Any:
    """Division; whole numbers round toward zero."""
    if np.asarray(a).dtype.kind == "f":
        return a / b
    return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(np.asarray(a).dtype)


def _constant(node: OnnxNode, given: Given) -> Any:
    kinds = {"value": None, "value_float": np.float32, "value_int": np.int64, "value_floats": np.float32,
             "value_ints": np.int64}  # fmt: skip
    name = next(iter(node.attributes), "")
    if name not in kinds or node.attributes[name] is None:
        raise ModelError(f"{node} holds a {name or 'nothing'}; numbers are needed.")
    return np.asarray(node.attributes[name], kinds[name])


def _constant_of_shape(node: OnnxNode, given: Given) -> Any:
    shape = _list(given[0])
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32)))
    return _bounded(node, shape) and np.full(shape, value.reshape(-1)[0], value.dtype)


def _cast(node: OnnxNode, given: Given) -> Any:
    return np.asarray(given[0]).astype(_CASTS[node.integer("to", 0)])


def _concat(node: OnnxNode, given: Given) -> Any:
    parts = [np.asarray(part) for part in given]
    _bounded(node, (sum(part.size for part in parts),))
    return np.concatenate(parts, node.integer("axis", 0))


def _gather(node: OnnxNode, given: Given) -> Any:
    data, index = np.asarray(given[0]), np.asarray(given[1])
    axis = node.integer("axis", 0)
    _bounded(node, (index.size, data.size // max(data.shape[axis], 1)))
    return np.take(data, index, axis)


def _slice(node: OnnxNode, given: Given) -> Any:
    data, starts, ends, *rest = given
    axes = _list(rest[0]) if rest and rest[0] is not None else list(range(len(_list(starts))))
    steps = _list(rest[1]) if len(rest) > 1 and rest[1] is not None else [1] * len(axes)
    cut = [slice(None)] * np.ndim(data)
    for axis, start, end, step in zip(axes, _list(starts), _list(ends), steps, strict=True):
        size = np.shape(data)[axis]
        # Backwards, an end before the first element means: down to it.
        cut[axis] = slice(start, None if step < 0 and end < -size else end, step)
    return np.asarray(data)[tuple(cut)]


def _range(node: OnnxNode, given: Given) -> Any:
    start, limit, delta = (np.asarray(value).item() for value in given)
    _bounded(node, (max(int((limit - start) / delta), 0),))
    return np.arange(start, limit, delta, np.asarray(given[0]).dtype)


def _expand(node: OnnxNode, given: Given) -> Any:
    shape = np.broadcast_shapes(np.shape(given[0]), tuple(_list(given[1])))
    return _bounded(node, shape) and np.broadcast_to(given[0], shape)


def _where(node: OnnxNode, given: Given) -> Any:
    _bounded(node, np.broadcast_shapes(*map(np.shape, given)))
    return np.where(*given)


def _squeeze(node: OnnxNode, given: Given) -> Any:
    return np.squeeze(given[0], axes_of(node, given, np.ndim(given[0])))


def _unsqueeze(node: OnnxNode, given: Given) -> Any:
    axes = axes_of(node, given, np.ndim(given[0]) + np.size(given[1]))
    return np.expand_dims(given[0], axes or ())


def _shape(node: OnnxNode, given: Given) -> Any:
    shape = np.shape(given[0])
    return np.array(shape[node.integer("start", 0) : node.integer("end", len(shape))], np.int64)


def _reduced(compute: Callable[..., Any]) -> Callable[[OnnxNode, Given], Any]:
    def rule(node: OnnxNode, given: Given) -> Any:
        data = np.asarray(given[0])
        result = compute(data, axis=axes_of(node, given, data.ndim), keepdims=node.integer("keepdims", 1) != 0)
        return np.asarray(result, data.dtype)

    return rule


def _norm(data: Any, **where: Any) -> Any:
    return np.sqrt(np.sum(np.square(data), **where))


def _list(values: Any) -> list[int]:
    return [int(n) for n in np.asarray(values).reshape(-1).tolist()]


def _unary(compute: Callable[[Any], Any]) -> Callable[[OnnxNode, Given], Any]:
    return lambda node, given: compute(given[0])


def _perm(node: OnnxNode, given: Given) -> Any:
    return np.transpose(np.asarray(given[0]), node.integers("perm", ()) or None)


_RULES: Mapping[str, Callable[[OnnxNode, Given], Any]] = {
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Identity": _unary(np.asarray),
    "Cast": _cast,
    "Shape": _shape,
    "Size": lambda node, given: np.array(np.size(given[0]), np.int64),
    "Reshape": lambda node, given: np.reshape(
        np.asarray(given[0]),
        reshaped(node, np.shape(given[0]), _list(given[1])),
    ),
    "Transpose": _perm,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Range": _range,
    "Expand": _expand,
    "Where": _where,
    "Add": _pairwise(np.add),
    "Sub": _pairwise(np.subtract),
    "Mul": _pairwise(np.multiply),
    "Div": _pairwise(_divided),
    "Mod": lambda node, given: _pairwise(np.fmod if node.integer("fmod", 0) else np.mod)(node, given),
    "Pow": _pairwise(np.power),
    "Min": _pairwise(np.minimum),
    "Max": _pairwise(np.maximum),
    "Equal": _pairwise(np.equal),
    "Greater": _pairwise(np.greater),
    "Less": _pairwise(np.less),
    "And": _pairwise(np.logical_and),
    "Or": _pairwise(np.logical_or),
    "Not": _unary(np.logical_not),
    "Neg": _unary(np.negative),
    "Abs": _unary(np.abs),
    "Sign": _unary(np.sign),
    "Sqrt": _unary(np.sqrt),
    "Exp": _unary(np.exp),
    "Reciprocal": _unary(np.reciprocal),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "Round": _unary(np.round),
    "ReduceSum": _reduced(np.sum),
    "ReduceMean": _reduced(np.mean),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
    "ReduceProd": _reduced(np.prod),
    "ReduceL2": _reduced(_norm),
    "QuantizeLinear": quantized,
    "DequantizeLinear": dequantized,
    "Quant": quant,
    "BipolarQuant": bipolar,
}
