"""Synaptic accumulation: W · s for each kind of connectivity, exact in integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, Sparse, Synapses

Accumulate = Callable[[Ints], Ints]


def accumulator(connectivity: Connectivity) -> Accumulate:
    """The map from spikes (B, n_source) to sums (B, n_target).

    Dense and conv sums go through float64 matrix products, which are exact: |weight| <= 2^15, payloads below 2^24 and
    a fan-in below 2^14 stay under 2^53, and 0/1 spikes leave room for any fan-in that fits a chip.
    """
    match connectivity:
        case Dense(weight):
            columns = np.ascontiguousarray(weight.T, dtype=np.float64)
            return lambda s: (s.astype(np.float64) @ columns).astype(np.int64)
        case Sparse(matrix):
            rows = matrix.astype(np.int64)
            return lambda s: np.ascontiguousarray((rows @ s.T).T)
        case Conv2d():
            kernels = connectivity.weight.astype(np.float64)
            return lambda s: _correlate(connectivity, kernels, s)


def payload(synapses: Synapses, spikes: Ints) -> Ints:
    """What a synapse group sees of its source's spikes: the payload if graded, else whether there was one."""
    return spikes if synapses.graded else (spikes != 0).astype(np.int64)


def _correlate(conv: Conv2d, kernels: NDArray[np.float64], spikes: Ints) -> Ints:
    batch = len(spikes)
    image = spikes.reshape(batch, *conv.source_shape).astype(np.float64)
    (pad_y, pad_x), (step_y, step_x) = conv.padding, conv.stride
    image = np.pad(image, ((0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    reach = [(size - 1) * gap + 1 for size, gap in zip(kernels.shape[2:], conv.dilation, strict=True)]
    windows = sliding_window_view(image, reach, axis=(2, 3))  # type: ignore[call-overload]
    windows = windows[:, :, ::step_y, ::step_x, :: conv.dilation[0], :: conv.dilation[1]]
    windows = windows[:, :, : conv.target_shape[1], : conv.target_shape[2]]
    in_groups = np.split(windows, conv.groups, axis=1)
    out_groups = np.split(kernels, conv.groups)
    sums = [np.tensordot(w, k, axes=((1, 4, 5), (1, 2, 3))) for w, k in zip(in_groups, out_groups, strict=True)]
    return np.concatenate(sums, axis=3).transpose(0, 3, 1, 2).reshape(batch, -1).astype(np.int64)
