"""Counting synapses by formula: who reaches whom, without unrolling a convolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, Sparse
from spikeport.converters.circuit import ConvMap


def fan_out(connectivity: Connectivity, start: int, stop: int) -> Ints:
    """Synapses from each source neuron onto targets ``start`` .. ``stop - 1`` (flat index); shape (n_source,).

    Dense groups store, and so count, every weight; sparse ones their explicit entries; convolutions each
    kernel position that lands inside the target.
    """
    return fan_out_onto(connectivity, ((start, stop),))


def fan_out_onto(connectivity: Connectivity, ranges: Sequence[tuple[int, int]]) -> Ints:
    """`fan_out` onto several ranges of targets together; shape (n_source,)."""
    match connectivity:
        case Dense(weight):
            return np.full(weight.shape[1], sum(stop - start for start, stop in ranges), dtype=np.int64)
        case Sparse(matrix):
            hit = np.concatenate([matrix.indices[matrix.indptr[start] : matrix.indptr[stop]] for start, stop in ranges])
            return np.bincount(hit, minlength=matrix.shape[1]).astype(np.int64)
        case Conv2d():
            return _conv_fan_out(connectivity, ranges)


def fan_in(connectivity: Connectivity) -> Ints:
    """Synapses onto each target neuron; shape (n_target,)."""
    match connectivity:
        case Dense(weight):
            return np.full(weight.shape[0], weight.shape[1], dtype=np.int64)
        case Sparse(matrix):
            return np.diff(matrix.indptr).astype(np.int64)
        case Conv2d():
            rows, columns = axis_reach(connectivity, 0), axis_reach(connectivity, 1)
            per_pixel = np.outer(rows.sum(0), columns.sum(0)) * connectivity.weight.shape[1]
            return np.broadcast_to(per_pixel, connectivity.target_shape).reshape(-1).astype(np.int64)


def axis_reach(conv: Conv2d | ConvMap, axis: int) -> NDArray[np.int64]:
    """(n_in, n_out) ones where input position i of one spatial axis feeds output position o."""
    n_in, n_out = conv.source_shape[1 + axis], conv.target_shape[1 + axis]
    taps = np.arange(conv.weight.shape[2 + axis]) * conv.dilation[axis] - conv.padding[axis]
    positions = np.arange(n_out)[:, None] * conv.stride[axis] + taps
    reach = np.zeros((n_in, n_out), dtype=np.int64)
    out, tap = np.nonzero((positions >= 0) & (positions < n_in))
    np.add.at(reach, (positions[out, tap], out), 1)
    return reach


def _conv_fan_out(conv: Conv2d, ranges: Sequence[tuple[int, int]]) -> Ints:
    rows, columns = axis_reach(conv, 0), axis_reach(conv, 1)
    wanted = np.zeros(int(np.prod(conv.target_shape)), dtype=np.int64)
    for start, stop in ranges:
        wanted[start:stop] = 1
    per_group = wanted.reshape(conv.groups, -1, *conv.target_shape[1:]).sum(1)
    reached = np.einsum("iy,gyx,jx->gij", rows, per_group, columns, optimize=True)
    channels = conv.source_shape[0] // conv.groups
    return np.repeat(reached, channels, axis=0).reshape(-1)
