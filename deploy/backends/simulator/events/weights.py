"""Weights as the kernels read them: by source, in the smallest type, one copy of what is shared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from spikeport.converters.chip_network import Conv2d, Ints, Sparse

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
class Taps:
    """A convolution's weights as `sums.add_patch` takes them.

    Attributes:
        weight: (C_in, kernel height, kernel width · channels of a group); the taps of a row stand by their remainder
            modulo the horizontal stride, in descending order, channels innermost.
        geometry: C_in per group, H_in, W_in, H, W, channels of a group, strides, paddings.
        starts: (stride + 1,) where the taps of each remainder begin.
    """

    weight: Ints
    geometry: Ints
    starts: Ints


def taps(conv: Conv2d) -> Taps:
    """Lay out a convolution; a dilated kernel is filled up with zeros."""
    kernels = _undilated(conv)
    per_group = kernels.shape[0] // conv.groups
    by_input = kernels.reshape(conv.groups, per_group, *kernels.shape[1:]).transpose(0, 2, 3, 4, 1)
    phases = [range(kernels.shape[3])[r :: conv.stride[1]] for r in range(conv.stride[1])]
    order = [tap for phase in phases for tap in reversed(phase)]
    weight = by_input[:, :, :, order].reshape(-1, kernels.shape[2], len(order) * per_group)
    sizes = (kernels.shape[1], *conv.source_shape[1:], *conv.target_shape[1:], per_group)
    geometry = np.array([*sizes, *conv.stride, *conv.padding], np.int64)
    return Taps(np.ascontiguousarray(weight), geometry, np.cumsum([0, *map(len, phases)]))


def _undilated(conv: Conv2d) -> Ints:
    height, width = (1 + (k - 1) * d for k, d in zip(conv.weight.shape[2:], conv.dilation, strict=True))
    wide = np.zeros((*conv.weight.shape[:2], height, width), np.int64)
    wide[:, :, :: conv.dilation[0], :: conv.dilation[1]] = conv.weight
    return wide
