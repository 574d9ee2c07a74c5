"""Operators that only move values: Flatten, Reshape, Transpose, Squeeze, Unsqueeze, Concat, Pad."""

from __future__ import annotations

from math import prod

import numpy as np

from spikeport.converters.network import Embed, Flatten, Node, Permute, Reshape, Shape
from spikeport.converters.read.onnx.build import Build, Signal
from spikeport.converters.read.onnx.constants import axes_of, reshaped
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.converters.read.onnx.windows import padded
from spikeport.errors import ModelError


def reorder(build: Build, name: str, signal: Signal, shape: Shape) -> Signal:
    """The same values in another shape, by a node ``name``; a Flatten where that says it, as more formats know it."""
    if shape == signal.shape:
        return signal
    node = _flatten_for(signal.shape, shape) or Reshape(shape)
    return build.add(name, node, signal, keeps=True)


def flatten(node: OnnxNode, build: Build) -> Signal:
    """Two axes: those before ``axis`` and the rest; the first must be the samples' alone."""
    signal = build.signal(node)
    rank = len(signal.shape) + 1
    axis = node.integer("axis", 1)
    axis = axis + rank if axis < 0 else axis
    if not 0 <= axis <= rank or axis == 0 or prod(signal.shape[: axis - 1]) != 1:
        raise ModelError(f"{node} flattens samples and values into one axis ({axis} of {rank}). Use axis 1.")
    return reorder(build, build.names.of(node), signal, (prod(signal.shape),))


def reshape(node: OnnxNode, build: Build) -> Signal:
    """Another shape of each sample; the first axis stays the samples'."""
    signal, wanted = build.signal(node), build.constant(node, 1)
    if wanted is None or wanted.dtype.kind not in "iu":
        raise ModelError(f"{node} has no shape to give. Export the model again.")
    whole = (build.batch, *signal.shape)
    found = reshaped(node, whole, [int(n) for n in wanted.reshape(-1)])
    return _without_batch(node, build, signal, found)


def squeeze(node: OnnxNode, build: Build) -> Signal:
    """Without axes of one element."""
    signal = build.signal(node)
    whole = (build.batch, *signal.shape)
    found = axes_of(node, (None, build.constant(node, 1)), len(whole))
    axes = tuple(k for k, n in enumerate(whole) if n == 1) if found is None else found
    if any(whole[axis] != 1 for axis in axes):
        raise ModelError(f"{node} drops the axes {axes} of {whole}; only axes of one element can go.")
    return _without_batch(node, build, signal, tuple(n for k, n in enumerate(whole) if k not in axes), 0 in axes)


def unsqueeze(node: OnnxNode, build: Build) -> Signal:
    """With more axes of one element."""
    signal, listed = build.signal(node), build.constant(node, 1)
    rank = len(signal.shape) + 1 + (0 if listed is None else listed.size)
    axes = axes_of(node, (None, listed), rank) or ()
    rest = iter((build.batch, *signal.shape))
    whole = tuple(1 if axis in axes else next(rest, 1) for axis in range(rank))
    return _without_batch(node, build, signal, whole, 0 in axes)


def transpose(node: OnnxNode, build: Build) -> Signal:
    """The axes of a sample in another order."""
    signal = build.signal(node)
    rank = len(signal.shape) + 1
    perm = node.integers("perm", tuple(reversed(range(rank))))
    if sorted(perm) != list(range(rank)) or perm[0] != 0:
        raise ModelError(f"{node} puts the {rank} axes in the order {perm}; the samples' axis must stay the first.")
    axes = tuple(axis - 1 for axis in perm[1:])
    moved = [axis for axis in axes if signal.shape[axis] > 1]
    if moved == sorted(moved):
        return reorder(build, build.names.of(node), signal, tuple(signal.shape[axis] for axis in axes))
    return build.add(build.names.of(node), Permute(axes), signal, keeps=True)


def concat(node: OnnxNode, build: Build) -> Signal:
    """Each part embedded in zeros; what reads the whole reads their sum."""
    signals = [build.signal(node, k) for k in range(len(node.inputs))]
    shape = signals[0].shape
    rank = len(shape) + 1
    axis = node.integer("axis", 0)
    axis = axis + rank - 1 if axis < 0 else axis - 1
    if not 0 <= axis < rank - 1:
        raise ModelError(f"{node} joins samples (axis {axis + 1} of {rank}); only axes within a sample can be joined.")
    others = {signal.shape[:axis] + signal.shape[axis + 1 :] for signal in signals}
    if len(others) != 1 or any(len(signal.shape) != len(shape) for signal in signals):
        raise ModelError(f"{node} joins {' and '.join(str(s.shape) for s in signals)}, which do not fit beside.")
    whole = (*shape[:axis], sum(s.shape[axis] for s in signals), *shape[axis + 1 :])
    label, parts, start = build.names.of(node), list[Signal](), 0
    for signal in signals:
        end = start + signal.shape[axis]
        embed = Embed(whole, tuple(start if k == axis else 0 for k in range(len(whole))))
        parts.append(build.add(build.names.unique(f"{label}[{start}:{end}]"), embed, signal, keeps=True))
        start = end
    steps = parts[0].steps if all(p.steps is parts[0].steps for p in parts) else None
    sources = tuple(name for part in parts for name in part.sources)
    return Signal(sources, whole, label, all(p.nonnegative for p in parts), steps)


def pad(node: OnnxNode, build: Build) -> Signal:
    """Zeros around a sample."""
    signal, pads, value = build.signal(node), build.constant(node, 1), build.constant(node, 2)
    rank = len(signal.shape) + 1
    if node.text("mode", "constant") != "constant" or (value is not None and np.any(value != 0)):
        raise ModelError(f"{node} pads by {node.text('mode', 'constant')}, value {value}; only zeros are read.")
    listed = build.constant(node, 3)
    axes = list(range(rank)) if listed is None else [int(n) % rank for n in listed.reshape(-1)]
    if pads is None or pads.dtype.kind not in "iu" or pads.size != 2 * len(axes):
        raise ModelError(f"{node}: its pads {pads} do not give two numbers for each of {len(axes)} axes.")
    both = {axis: (int(pads.flat[k]), int(pads.flat[k + len(axes)])) for k, axis in enumerate(axes)}
    if any(both.get(0, (0, 0))) or any(min(pair) < 0 for pair in both.values()):
        raise ModelError(f"{node} pads or crops by {pads.tolist()}; only zeros around a sample's own axes are read.")
    before, after = (tuple(both.get(axis, (0, 0))[end] for axis in range(1, rank)) for end in (0, 1))
    return padded(build, build.names.of(node), signal, before, after)


def _without_batch(node: OnnxNode, build: Build, signal: Signal, whole: Shape, lost: bool = False) -> Signal:
    if lost or not whole or whole[0] != build.batch:
        raise ModelError(
            f"{node} turns {(build.batch, *signal.shape)} into {whole}; the first axis must stay the samples'. "
            "Reshape with -1 for the values, and keep the batch axis."
        )
    return reorder(build, build.names.of(node), signal, whole[1:])


def _flatten_for(shape: Shape, wanted: Shape) -> Node | None:
    """A Flatten of neighbouring axes that gives ``wanted``, if one does."""
    merged = len(shape) - len(wanted)
    if merged < 1:
        return None
    for start in range(len(wanted)):
        end = start + merged
        if (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]) == wanted:
            return Flatten(start, end)
    return None
