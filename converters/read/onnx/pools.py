"""Pools and means over pixels: exact, or refused."""

from __future__ import annotations

from math import prod

import numpy as np

from spikeport.converters.network import Array, MaxPool, Permute, Pool, Scale, Shape
from spikeport.converters.read.onnx.build import Build, Signal
from spikeport.converters.read.onnx.constants import MAX_ELEMENTS, axes_of
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.converters.read.onnx.reorder import reorder
from spikeport.converters.read.onnx.windows import Windows, alike_at_both_ends, padded, windows
from spikeport.errors import ModelError


def average_pool(node: OnnxNode, build: Build) -> Signal:
    """Averages over windows; where windows count different numbers of pixels, sums and a factor for each of them."""
    signal, kernel, found = _found(node, build)
    name, counts_padding = build.names.of(node), node.integer("count_include_pad", 0) != 0
    over = _overhang(signal.shape, kernel, found)
    if counts_padding and any(o > e for o, e in zip(over, found.after, strict=True)):
        raise ModelError(
            f"{node} counts padding, and its last windows hang over the end (ceil_mode): runtimes disagree about what "
            "they count. Export it with ceil_mode=False or count_include_pad=False."
        )
    counts = _counts(signal.shape, kernel, found)
    if _even(signal.shape, kernel, found) and (counts_padding or np.all(counts == prod(kernel))):
        pool = Pool("average", _two(kernel, 1), _two(found.stride, 1), _two(found.before, 0))
        return build.add(name, pool, signal, nonnegative=signal.nonnegative)
    behind = padded(build, build.names.unique(f"{name}.pad"), signal, found.before, tuple(max(o, 0) for o in over))
    sums = Pool("average" if counts_padding else "sum", _two(kernel, 1), _two(found.stride, 1), (0, 0))
    if counts_padding:
        return build.add(name, sums, behind, nonnegative=signal.nonnegative)
    summed = build.add(build.names.unique(f"{name}.sum"), sums, behind, nonnegative=signal.nonnegative)
    if counts.min() < 1:
        raise ModelError(f"{node} has windows without any pixel, whose average is not defined. Pad less.")
    return build.add(name, Scale((1.0 / counts).astype(np.float32)), summed, nonnegative=signal.nonnegative)


def max_pool(node: OnnxNode, build: Build) -> Signal:
    """Maxima over windows; unequal padding only where nothing is below zero, so that zeros never win wrongly."""
    if len(list(filter(None, node.outputs))) > 1:
        raise ModelError(f"{node} gives the places of its maxima, too; there is no such output in a chip's network.")
    signal, kernel, found = _found(node, build)
    name, over = build.names.of(node), _overhang(signal.shape, kernel, found)
    if _counts(signal.shape, kernel, found).min() < 1:
        raise ModelError(f"{node} has windows without any pixel, whose maximum is minus infinity. Pad less.")
    if _even(signal.shape, kernel, found):
        pool = MaxPool(_two(kernel, 1), _two(found.stride, 1), _two(found.before, 0))
        return build.add(name, pool, signal, keeps=True)
    if not signal.nonnegative:
        raise ModelError(
            f"{node}: its windows hang over the ends by {found.before} and {tuple(max(o, 0) for o in over)} pixels, "
            "and its input may be negative: zeros there could win. Pad evenly, or put a ReLU in front."
        )
    behind = padded(build, build.names.unique(f"{name}.pad"), signal, found.before, tuple(max(o, 0) for o in over))
    return build.add(name, MaxPool(_two(kernel, 1), _two(found.stride, 1), (0, 0)), behind, keeps=True)


def global_average_pool(node: OnnxNode, build: Build) -> Signal:
    """The mean over all axes but the channels'."""
    signal = build.signal(node)
    return _pooled(node, build, signal, tuple(range(1, len(signal.shape))), True)


def reduce_axes(node: OnnxNode, build: Build) -> Signal:
    """ReduceMean and ReduceSum over one or two axes of a sample."""
    signal = build.signal(node)
    found = axes_of(node, (None, build.constant(node, 1)), len(signal.shape) + 1)
    if not found:
        if node.integer("noop_with_empty_axes", 0):
            return signal
        raise ModelError(f"{node} reduces all axes, the samples' too. Name the axes of the pixels.")
    return _pooled(node, build, signal, tuple(axis - 1 for axis in found), node.integer("keepdims", 1) != 0)


def _pooled(node: OnnxNode, build: Build, signal: Signal, axes: Shape, keeps_axes: bool) -> Signal:
    """A pool as large as the axes; where they are not the last ones, they are moved there first."""
    rank = len(signal.shape)
    if rank < 2 or not 1 <= len(axes) <= 2 or min(axes) < 0:
        raise ModelError(
            f"{node} reduces the axes {tuple(a + 1 for a in axes)} of {rank + 1}; one or two of a sample's can be."
        )
    name = build.names.of(node)
    sizes = [(1 if k in axes else n) for k, n in enumerate(signal.shape) if keeps_axes or k not in axes]
    if min(axes) < rank - len(axes):
        rest = tuple(k for k in range(rank) if k not in axes)
        signal = build.add(build.names.unique(f"{name}.permute"), Permute((*rest, *axes)), signal, keeps=True)
        axes = tuple(range(rank - len(axes), rank))
    kernel = tuple(signal.shape[axis] if axis in axes else 1 for axis in (rank - 2, rank - 1))
    pool = Pool("sum" if node.op == "ReduceSum" else "average", kernel, kernel, (0, 0))
    pooled = build.add(name, pool, signal, nonnegative=signal.nonnegative)
    return reorder(build, build.names.unique(f"{name}.reshape"), pooled, tuple(sizes))


def _found(node: OnnxNode, build: Build) -> tuple[Signal, Shape, Windows]:
    signal, kernel = build.signal(node), node.integers("kernel_shape", ())
    if len(kernel) not in (1, 2) or len(signal.shape) != len(kernel) + 1:
        raise ModelError(f"{node} pools {signal.shape} over windows of {kernel}; 1-d and 2-d are read.")
    found = windows(node, signal.shape[1:], kernel)
    if any(d != 1 for d in found.dilation):
        raise ModelError(f"{node} pools with gaps (dilation {found.dilation}); only dense windows are read.")
    return signal, kernel, found


def _even(shape: Shape, kernel: Shape, found: Windows) -> bool:
    """Whether a pool's own padding can say it: at both ends alike, and not more than half the kernel."""
    small = all(2 * b <= k for b, k in zip(found.before, kernel, strict=True))
    return small and alike_at_both_ends(shape[1:], kernel, found)


def _overhang(shape: Shape, kernel: Shape, found: Windows) -> Shape:
    """How far the last window reaches over the end of each axis; negative where pixels are left over."""
    each = zip(shape[1:], kernel, found.stride, found.before, found.size, strict=True)
    return tuple((m - 1) * s + k - b - n for n, k, s, b, m in each)


def _counts(shape: Shape, kernel: Shape, found: Windows) -> Array:
    """How many real pixels each window holds, (1, *size)."""
    if prod(found.size) > MAX_ELEMENTS:
        raise ModelError(f"a pool of {kernel} over {shape} has more windows than any layer. Check the model's sizes.")
    counts: Array = np.ones(1)
    for n, k, s, b, m in zip(shape[1:], kernel, found.stride, found.before, found.size, strict=True):
        starts = np.arange(m) * s - b
        inside = np.minimum(starts + k, n) - np.maximum(starts, 0)
        counts = counts[..., None] * np.maximum(inside, 0)
    return counts


def _two(values: Shape, first: int) -> Shape:
    """For both axes that a pool has here; along one axis the other stays as it is."""
    return values if len(values) == 2 else (first, *values)
