"""QuantizeLinear, DequantizeLinear (ONNX) and Quant, BipolarQuant (QONNX) on constants, and the range they clip to.

Sources: ONNX operator documents, opsets 10 to 21; QONNX (Pappalardo et al. 2022, arXiv:2206.07527), section IV:
Quant(x) = (clip(round(x / scale + zero), low, high) - zero) · scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.converters.read.onnx.tensors import Values
from spikeport.errors import ModelError

# One array per input, None for an optional one that is absent.
Given = Sequence[Any]


@dataclass(frozen=True)
class Range:
    """What a quantizer does to values.

    Attributes:
        scale: one step, positive; broadcasts against the values (with their batch axis).
        zero: the number that stands for 0.
        low, high: the range of numbers.
    """

    scale: Values
    zero: Values
    low: int
    high: int


def range_of(node: OnnxNode, given: Given, rank: int) -> Range:
    """The range of a QuantizeLinear or Quant node whose first input has ``rank`` axes.

    Raises:
        ModelError: a scale that is not positive, or one per block.
    """
    scale = _scale(node, given)
    zero = np.zeros((), np.int64) if len(given) < 3 or given[2] is None else np.asarray(given[2])
    if not np.all(np.isfinite(zero.astype(np.float64)) & (zero.astype(np.float64) % 1 == 0)):
        raise ModelError(f"{node}: its zero point is no whole number. Export the model again.")
    if node.op == "Quant":
        low, high = _bits(node, given)
        return Range(scale, zero, low, high)
    if node.integer("block_size", 0):
        raise ModelError(f"{node} has a scale per block; one, or one per channel, is read.")
    # Without a zero point the numbers are uint8 (opset 10 and later).
    low, high = _limits(zero.dtype if len(given) > 2 and given[2] is not None else np.dtype(np.uint8))
    axis = node.integer("axis", 1)
    return Range(_along(scale, axis, rank), _along(zero.astype(np.int64), axis, rank), low, high)


def _scale(node: OnnxNode, given: Given) -> Values:
    if len(given) < (4 if node.op == "Quant" else 2) or given[1] is None:
        raise ModelError(f"{node} has no scale, or no number of bits. Export the model again.")
    scale = np.asarray(given[1], np.float64)
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise ModelError(f"{node}: its scale goes down to {scale.min() if scale.size else None}; it must be positive.")
    return scale


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Lowest and highest number; numpy does not know the four-bit types."""
    if dtype.name not in ("int4", "uint4") and dtype.kind not in "iu":
        raise ModelError(f"numbers of type {dtype} for zero points; whole numbers are read.")
    small = {"int4": (-8, 7), "uint4": (0, 15)}
    info = np.iinfo(np.int8 if dtype.name in small else dtype)
    return small.get(dtype.name, (int(info.min), int(info.max)))


def _along(values: Values, axis: int, rank: int) -> Values:
    """Values per element of ``axis`` of ``rank`` axes; a single one for all."""
    if values.size == 1:
        return values.reshape(())
    if not -rank <= axis < rank:
        raise ModelError(f"a quantizer has {values.size} steps along axis {axis} of {rank}. Export the model again.")
    return values.reshape(*(-1 if k == axis % rank else 1 for k in range(rank)))


def _bits(node: OnnxNode, given: Given) -> tuple[int, int]:
    """Low and high of QONNX's Quant: ``bits``, signed or not, ``narrow`` without the lowest (highest) number."""
    stored = np.asarray(given[3], np.float64)
    if stored.size != 1 or not (1 <= stored.item() <= 32 and stored.item() % 1 == 0):
        raise ModelError(f"{node} quantizes to {stored.reshape(-1)[:4].tolist()} bits; one number, 1 to 32, is read.")
    bits = int(stored.item())
    signed, narrow = node.integer("signed", 1), node.integer("narrow", 0)
    if signed:
        return -(1 << (bits - 1)) + narrow, (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1 - narrow


def _rounded(x: Values, node: OnnxNode) -> Values:
    mode = node.text("rounding_mode", "ROUND").upper() if node.op == "Quant" else "ROUND"
    rules: dict[str, Any] = {"ROUND": np.rint, "FLOOR": np.floor, "CEIL": np.ceil, "ROUND_TO_ZERO": np.trunc}
    if mode not in rules:
        raise ModelError(f"{node} rounds by {mode}; {', '.join(rules)} are known.")
    return np.asarray(rules[mode](x))


def _integers(x: Values, node: OnnxNode, given: Given) -> tuple[Values, Range]:
    r = range_of(node, given, x.ndim)
    return np.clip(_rounded(x / r.scale + r.zero, node), r.low, r.high), r


def quantized(node: OnnxNode, given: Given) -> Any:
    """QuantizeLinear of a constant."""
    x = np.asarray(given[0], np.float64)
    integers, _ = _integers(x, node, given)
    return integers.astype(np.uint8 if len(given) < 3 or given[2] is None else np.asarray(given[2]).dtype)


def dequantized(node: OnnxNode, given: Given) -> Any:
    """DequantizeLinear of a constant: (x - zero) · scale, rounded once to float32."""
    x = np.asarray(given[0])
    axis = node.integer("axis", 1)
    if node.integer("block_size", 0):
        raise ModelError(f"{node} has a scale per block; one, or one per channel, is read.")
    zero = np.zeros(()) if len(given) < 3 or given[2] is None else np.asarray(given[2], np.float64)
    shifted = x.astype(np.float64) - _along(zero, axis, x.ndim)
    return (shifted * _along(_scale(node, given), axis, x.ndim)).astype(np.float32)


def quant(node: OnnxNode, given: Given) -> Any:
    """QONNX Quant of a constant: the values it stands for."""
    integers, r = _integers(np.asarray(given[0], np.float64), node, given)
    return ((integers - r.zero) * r.scale).astype(np.float32)


def bipolar(node: OnnxNode, given: Given) -> Any:
    """QONNX BipolarQuant of a constant: plus or minus the scale; 0 counts as positive."""
    return (np.where(np.asarray(given[0]) >= 0, 1.0, -1.0) * _scale(node, given)).astype(np.float32)
