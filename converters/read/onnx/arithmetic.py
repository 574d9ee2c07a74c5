"""Sums of signals, and signals plus, minus, times and divided by constants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeport.converters.network import Array, Conv, Linear, Node, Scale, Shape
from spikeport.converters.read.onnx.build import Build, Signal, floats
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.errors import ModelError

ONE = np.ones((), np.float32)


def add(node: OnnxNode, build: Build) -> Signal:
    """Two or more signals, or a signal and a constant."""
    return _added(node, build, ONE)


def sub(node: OnnxNode, build: Build) -> Signal:
    """The first minus the second; either may be a constant."""
    return _added(node, build, -ONE)


def mul(node: OnnxNode, build: Build) -> Signal:
    """A signal times a constant."""
    signal, constant = _signal_and_constant(node, build)
    return _scaled(node, build, signal, constant)


def div(node: OnnxNode, build: Build) -> Signal:
    """A signal divided by a constant."""
    signal, constant = build.signal(node, 0), build.weights(node, 1)
    if np.any(constant == 0):
        raise ModelError(f"{node} divides by zero. Train or export it again.")
    return _scaled(node, build, signal, np.asarray(1 / constant, constant.dtype))


def neg(node: OnnxNode, build: Build) -> Signal:
    """Minus a signal."""
    return _scaled(node, build, build.signal(node), -ONE)


def _added(node: OnnxNode, build: Build, sign: Array) -> Signal:
    """The first plus ``sign`` times the others."""
    held = build.signals(node)
    if len(held) == len(node.inputs):
        first, *others = (build.signal(node, k) for k in held)
        if sign < 0:
            others = [_scaled(node, build, other, sign) for other in others]
        return build.sum_of(node, [first, *others])
    if len(held) != 1 or len(node.inputs) != 2:
        raise ModelError(f"{node} adds {len(node.inputs)} values of which {len(held)} are signals. Add two at a time.")
    signal = build.signal(node, held[0])
    constant = build.per_sample(node, build.weights(node, 1 - held[0]), signal.shape)
    if held[0] == 1 and sign < 0:
        signal = _scaled(node, build, signal, sign)
    return _biased(node, build, signal, constant if held[0] == 1 else sign * constant)


def _biased(node: OnnxNode, build: Build, signal: Signal, bias: Array) -> Signal:
    """A constant added: into the weights' own bias where there is room."""
    behind = build.own(signal)
    with_bias = None if behind is None else _with_bias(behind, bias, signal.shape)
    if with_bias is None:
        return build.add(build.names.of(node), Scale(np.ones((), bias.dtype), bias), signal)
    build.nodes[signal.sources[0]] = with_bias
    return replace(signal, nonnegative=False, steps=None)


def _with_bias(node: Node, bias: Array, shape: Shape) -> Node | None:
    match node:
        case Linear(bias=None) if bias.ndim <= 1 or bias.size == bias.shape[-1]:
            return replace(node, bias=np.array(np.broadcast_to(bias.reshape(-1), shape[-1:])))
        case Conv(bias=None) if bias.ndim == len(shape) and bias.size == bias.shape[0] == shape[0]:
            return replace(node, bias=bias.reshape(-1))
    return None


def _scaled(node: OnnxNode, build: Build, signal: Signal, constant: Array) -> Signal:
    factor = build.per_sample(node, floats(node, constant), signal.shape)
    if np.all(factor == 1):
        return signal
    nonnegative = signal.nonnegative and not np.any(factor < 0)
    return build.add(build.names.of(node), Scale(factor), signal, nonnegative=nonnegative)


def _signal_and_constant(node: OnnxNode, build: Build) -> tuple[Signal, Array]:
    held = build.signals(node)
    if len(held) != 1 or len(node.inputs) != 2:
        raise ModelError(
            f"{node} multiplies two signals, which is no linear layer: attention, gates and squeeze-and-excite blocks "
            "cannot be converted. Train a network without them."
        )
    return build.signal(node, held[0]), build.weights(node, 1 - held[0])
