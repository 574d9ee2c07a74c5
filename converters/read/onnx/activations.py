"""Rectifiers, what quantizes them, and what may stand behind the last layer."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from spikeport.converters.network import Activation, Array, Input, Shape
from spikeport.converters.read.onnx.build import Build, Integers, Signal
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.converters.read.onnx.quantizers import Range, range_of
from spikeport.converters.read.onnx.tensors import Values
from spikeport.errors import ModelError

# How far a ceiling may lie from a level of its quantizer to be one: float32 rounds scales of powers of ten.
LEVEL_TOLERANCE = 1e-4


def relu(node: OnnxNode, build: Build) -> Signal:
    """max(x, 0)."""
    return rectified(node, build, build.signal(node), None)


def clip(node: OnnxNode, build: Build) -> Signal:
    """max(min(x, high), 0); another lower end is refused."""
    low, high = (_bound(node, build, k) for k in (1, 2))
    return _between(node, build, build.signal(node), low, high)


def minimum(node: OnnxNode, build: Build) -> Signal:
    """A ceiling on a rectified signal."""
    index = _signal_index(node, build)
    return _between(node, build, build.signal(node, index), None, build.weights(node, 1 - index))


def maximum(node: OnnxNode, build: Build) -> Signal:
    """max(x, 0), written as a maximum."""
    index = _signal_index(node, build)
    return _between(node, build, build.signal(node, index), build.weights(node, 1 - index), None)


def qcfs(node: OnnxNode, build: Build) -> Signal:
    """A rectifier in levels that `spikeport.converters.read.onnx.qcfs` found."""
    signal = build.signal(node)
    ceiling = build.per_sample(node, np.asarray(node.attributes["ceiling"], np.float32), signal.shape)
    levels, behind = node.integer("levels", 1), build.own(signal)
    if isinstance(behind, Activation) and behind.levels is None:
        made = _quantized_activation(behind, np.asarray(ceiling / levels, np.float32), levels)
        if made is not None:
            return _replaced(build, signal, made)
    return build.add(build.names.of(node), Activation(ceiling, levels), signal, nonnegative=True)


def end(node: OnnxNode, build: Build) -> Signal:
    """Softmax, LogSoftmax and ArgMax behind the last layer are left out: the largest output stays the largest."""
    if node.outputs[0] not in build.ending:
        raise ModelError(f"{node} stands in the middle of the network; a chip's neurons cannot do it. Take it out.")
    signal = build.signal(node)
    axis, classes = _class_axis(node, signal.shape)
    others = prod(signal.shape) // classes
    message = (
        f"the {node.op} behind the last layer is left out; the outputs are the scores in front of it, and the largest "
        f"score {f'along axis {axis} ' if others > 1 else ''}is the same class."
    )
    advice = f"Decoders take one class from all of a sample's scores; here there are {others}." if others > 1 else ""
    build.say("end-dropped", node.name or node.outputs[0], message, advice)
    return replace(signal, ended=True)


def _class_axis(node: OnnxNode, shape: Shape) -> tuple[int, int]:
    """The axis of the classes, the samples' being 0, and how many there are."""
    rank = len(shape) + 1
    axis = node.integer("axis", 0 if node.op == "ArgMax" else -1)
    axis = axis + rank if axis < 0 else axis
    if not 0 < axis < rank:
        raise ModelError(f"{node} compares samples with each other (axis {axis} of {rank}). Name the classes' axis.")
    return axis, shape[axis - 1]


def rectified(node: OnnxNode, build: Build, signal: Signal, ceiling: Array | None) -> Signal:
    """The signal through a rectifier; through the one behind it, where that is nobody else's, made narrower."""
    behind = build.own(signal)
    if signal.nonnegative and ceiling is None:
        return signal
    if isinstance(behind, Activation) and behind.levels is None:
        lower = ceiling if behind.ceiling is None or ceiling is None else np.minimum(behind.ceiling, ceiling)
        return _replaced(build, signal, Activation(behind.ceiling if lower is None else lower))
    return build.add(build.names.of(node), Activation(ceiling), signal, nonnegative=True)


def quantize(node: OnnxNode, build: Build) -> Integers:
    """QuantizeLinear: what comes back out of it, for its DequantizeLinear."""
    return Integers(fake_quantized(node, build), build.constant(node, 1), build.constant(node, 2))


def dequantize(node: OnnxNode, build: Build) -> Signal:
    """DequantizeLinear of what a QuantizeLinear gave."""
    given = build.value(node.given(0))
    if not isinstance(given, Integers):
        raise ModelError(f"{node} reads no QuantizeLinear: integers that enter the network are not read.")
    pairs = ((given.scale, build.constant(node, 1)), (given.zero, build.constant(node, 2)))
    if not all(np.array_equal(_or_zero(a), _or_zero(b)) for a, b in pairs):
        raise ModelError(
            f"{node} has another scale or zero point than the QuantizeLinear before it, so that the two together "
            "change the values. Export it with the same ones, or put the factor into a Mul."
        )
    return replace(given.signal, shared=build.is_shared(node.given(0)) or given.signal.shared)


def _or_zero(values: Values | None) -> Values:
    return np.zeros(1) if values is None else values.reshape(-1)


def fake_quantized(node: OnnxNode, build: Build) -> Signal:
    """A quantizer behind a signal: levels of an Activation where it is one, else a finding that it is ignored."""
    signal = build.signal(node)
    constants = [None, *(build.constant(node, k) for k in range(1, len(node.inputs)))]
    found = range_of(node, constants, len(signal.shape) + 1)
    if node.op == "Quant" and node.text("rounding_mode", "ROUND").upper() != "ROUND":
        return _ignored(node, build, signal, "it does not round to the nearest level")
    levels = np.unique(found.high - found.zero)
    if levels.size != 1 or levels[0] < 1:
        return _ignored(node, build, signal, "its range is not the same for all channels, or holds nothing above zero")
    return _leveled(node, build, signal, found, int(levels[0]))


def _leveled(node: OnnxNode, build: Build, signal: Signal, found: Range, levels: int) -> Signal:
    scale = build.per_sample(node, found.scale.astype(np.float32), signal.shape)
    behind = build.own(signal)
    if signal.steps is not None and _on_levels(signal.steps, scale, levels):
        return signal
    if isinstance(behind, Activation) and behind.levels is None:
        made = _quantized_activation(behind, scale, levels)
        return _ignored(node, build, signal, "its steps do not meet the ceiling") if made is None else _replaced(
            build, signal, made
        )  # fmt: skip
    if signal.nonnegative:
        return _ignored(node, build, signal, "its values are no rectifier's own")
    if np.any(found.zero != found.low):
        return _ignored(node, build, signal, "it keeps negative values")
    if any(isinstance(build.nodes[name], Input) for name in signal.sources):
        return _ignored(node, build, signal, "it quantizes the network's input, which its encoder does")
    # Numbers below that of zero are cut off: the quantizer is the rectifier.
    return build.add(build.names.of(node), Activation(scale * levels, levels), signal, nonnegative=True)


def _quantized_activation(behind: Activation, scale: Array, levels: int) -> Activation | None:
    """The rectifier and its quantizer as one: the top level is the quantizer's, or the one the ceiling rounds to."""
    if behind.ceiling is None:
        return Activation(scale * levels, levels)
    below = np.unique(np.minimum(np.rint(behind.ceiling / scale), levels))
    if below.size != 1 or below[0] < 1:
        return None
    return Activation(np.asarray(scale * below[0], np.float32), int(below[0]))


def _on_levels(steps: Activation, scale: Array, levels: int) -> bool:
    """Whether values on an Activation's levels all lie on a quantizer's."""
    if steps.ceiling is None or steps.levels is None or steps.levels > levels:
        return False
    own = steps.ceiling / steps.levels
    return own.shape == scale.shape and bool(np.allclose(own, scale, rtol=LEVEL_TOLERANCE, atol=0))


def _ignored(node: OnnxNode, build: Build, signal: Signal, why: str) -> Signal:
    where = " + ".join(signal.sources)
    message = f"the {node.op} behind it is ignored: {why}."
    build.say("quantizer-ignored", where, message, "The chip's own quantization decides; compare the accuracy.")
    return signal


def _replaced(build: Build, signal: Signal, made: Activation) -> Signal:
    """The rectifier behind a signal, exchanged."""
    name = signal.sources[0]
    build.nodes[name] = made
    return replace(signal, steps=made, nonnegative=True)


def _between(node: OnnxNode, build: Build, signal: Signal, low: Array | None, high: Array | None) -> Signal:
    """Clip: exact where the lower end is zero, or cannot be reached."""
    if low is not None and signal.nonnegative and np.all(low <= 0):
        low = np.zeros((), np.float32)
    if (low is None and not signal.nonnegative) or (low is not None and np.any(low != 0)):
        lowest = "nothing" if low is None else f"{float(np.min(low)):.6g}"
        raise ModelError(
            f"{node} clips below at {lowest}; only rectifiers, which start at 0, can be converted. "
            "Train with ReLU or ReLU6."
        )
    if high is None:
        return rectified(node, build, signal, None)
    ceiling = build.per_sample(node, high, signal.shape)
    if np.any(ceiling <= 0):
        raise ModelError(f"{node} clips above at {float(np.min(ceiling)):.6g}; nothing is left. Export it again.")
    return rectified(node, build, signal, ceiling)


def _bound(node: OnnxNode, build: Build, index: int) -> Array | None:
    """An end of Clip; None where it is absent or infinite."""
    found = build.constant(node, index)
    if found is None or (found.size == 1 and np.isinf(found.astype(np.float64)).all()):
        return None
    return build.weights(node, index)


def _signal_index(node: OnnxNode, build: Build) -> int:
    held = build.signals(node)
    if len(held) != 1 or len(node.inputs) != 2:
        raise ModelError(f"{node} compares {len(node.inputs)} values; one signal and one constant are read.")
    return held[0]
