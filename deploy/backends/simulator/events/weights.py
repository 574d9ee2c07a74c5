"""Weights as the kernels read them: by source, in the smallest type, one copy of what is shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from spikeport.converters.chip_network import Conv2d, Ints, Sparse
from spikeport.deploy.backends.simulator.events.lanes import LANES

Narrow = NDArray[Any]
"""int8, int16, int32 or int64."""


def factored(weight: Ints) -> tuple[Narrow, int]:
    """``weight`` = small · 2^e, with the smallest type of ``small``: (small, e).

    The low bits that all weights lack cost nothing: a mixed-sign weight of 8 bits is even, and its half an int8.
    """
    ones = int(np.bitwise_or.reduce(weight, axis=None)) if weight.size else 0
    exponent = (ones & -ones).bit_length() - 1 if ones else 0
    small = weight >> exponent
    low, high = int(small.min(initial=0)), int(small.max(initial=0))
    fits = (t for t in (np.int8, np.int16, np.int32, np.int64) if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return small.astype(next(fits)), exponent


def by_source(connectivity: Sparse) -> tuple[Ints, NDArray[np.uint32], Ints]:
    """First synapse of each source (n_source + 1,), and target and weight of each synapse."""
    columns = csc_array(connectivity.matrix)
    return columns.indptr.astype(np.int64), columns.indices.astype(np.uint32), columns.data.astype(np.int64)


@dataclass(frozen=True)
class Patches:
    """A convolution as `sums.add_patches` takes it.

    An input at (y, x) reaches the outputs Y - m, X - n with Y = (y + padding) // stride, through the kernel's taps
    (y + padding) % stride + m · stride. For each remainder those taps are a block: lines of m from last to first, in
    each the taps n from last to first, channels innermost; so a line is a run of neighbours in a sum whose channels
    are innermost, too. Blocks are filled up with zeros to one size, lines to whole vectors; the sum has margins for
    what falls outside. So every spike does the same work, without a question.

    Attributes:
        weight: flat blocks, by remainder and input channel.
        place, block: (n_source,) where the first line of a source neuron's block begins, in the sum and in ``weight``.
        shape: lines of a block, vectors of a line, distance of lines in the sum.
        frame: see `sums.settle_image`.
        size: entries of the sum.
    """

    weight: Ints
    place: NDArray[np.uint32]
    block: NDArray[np.uint32]
    shape: Ints
    frame: Ints
    size: int


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        taps: of a block.
        reach: (n_in,) Y or X, the last output that each input reaches.
        phase: (n_in,) remainder of each input.
        extent: outputs with margins; ``taps`` - 1 of them lie in front.
    """

    taps: int
    reach: Ints
    phase: Ints
    extent: int

    @staticmethod
    def of(conv: Conv2d, kernel: int, axis: int) -> Axis:
        """Axis 0 (vertical) or 1, of a kernel of that many taps."""
        at = np.arange(conv.source_shape[1 + axis]) + conv.padding[axis]
        taps = -(-kernel // conv.stride[axis])
        last = max(conv.target_shape[1 + axis] - 1, int(at[-1]) // conv.stride[axis])
        return Axis(taps, at // conv.stride[axis], at % conv.stride[axis], taps + last)


def patches(conv: Conv2d) -> Patches:
    """Lay out a convolution; a dilated kernel is filled up with zeros."""
    kernels = _undilated(conv)
    y, x = (Axis.of(conv, kernels.shape[2 + axis], axis) for axis in range(2))
    depth = kernels.shape[0] // conv.groups
    run = -(-x.taps * depth // LANES) * LANES
    line, group = x.extent * depth, y.extent * x.extent * depth
    channels, per_group = np.arange(conv.source_shape[0]), conv.source_shape[0] // conv.groups
    place = (channels // per_group * group)[:, None, None] + (y.reach * line)[:, None] + x.reach * depth
    phase = (y.phase * conv.stride[1])[:, None] + x.phase
    block = (phase * conv.source_shape[0] + channels[:, None, None]) * y.taps * run
    corner = (y.taps - 1) * line + (x.taps - 1) * depth
    return Patches(
        weight=_blocks(kernels, conv, (y.taps, x.taps), run),
        place=place.reshape(-1).astype(np.uint32),
        block=block.reshape(-1).astype(np.uint32),
        shape=np.array([y.taps, run // LANES, line], np.int64),
        frame=np.array([*conv.target_shape[1:], depth, group, line, corner], np.int64),
        size=conv.groups * group + run,
    )


def _blocks(kernels: Ints, conv: Conv2d, taps: tuple[int, int], run: int) -> Ints:
    """Flat (stride, stride, C_in, lines, run)."""
    (sy, sx), (lines, columns), depth = conv.stride, taps, kernels.shape[0] // conv.groups
    whole = np.zeros((*kernels.shape[:2], lines * sy, columns * sx), np.int64)
    whole[:, :, : kernels.shape[2], : kernels.shape[3]] = kernels
    apart = whole.reshape(conv.groups, depth, kernels.shape[1], lines, sy, columns, sx)[:, :, :, ::-1, :, ::-1]
    ordered = apart.transpose(4, 6, 0, 2, 3, 5, 1).reshape(sy, sx, conv.source_shape[0], lines, columns * depth)
    return np.pad(ordered, [(0, 0)] * 4 + [(0, run - columns * depth)]).reshape(-1)


def _undilated(conv: Conv2d) -> Ints:
    height, width = (1 + (k - 1) * d for k, d in zip(conv.weight.shape[2:], conv.dilation, strict=True))
    wide = np.zeros((*conv.weight.shape[:2], height, width), np.int64)
    wide[:, :, :: conv.dilation[0], :: conv.dilation[1]] = conv.weight
    return wide
