"""Synaptic accumulation: W · s for each kind of connectivity, exact in integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, Sparse, Synapses

Accumulate = Callable[[Ints], Ints]

FLOAT32_EXACT = 1 << 24
"""Sums of integers that stay below this are exact in float32 whatever their order; in float64 below 2^53."""


def accumulator(connectivity: Connectivity) -> Accumulate:
    """The map from spikes (B, n_source) to sums (B, n_target).

    Dense and conv sums go through floating-point matrix products that are exact: weights are below 2^15 and payloads
    below 2^32, so that a fan-in of 2^6 payloads of full size, or 2^38 plain spikes, stays under 2^53.
    """
    match connectivity:
        case Dense(weight):
            columns = np.ascontiguousarray(weight.T, dtype=np.float64)
            return lambda s: (s.astype(np.float64) @ columns).astype(np.int64)
        case Sparse(matrix):
            rows = matrix.astype(np.int64)
            return lambda s: np.ascontiguousarray((rows @ s.T).T)
        case Conv2d():
            largest = int(np.abs(connectivity.weight).sum((1, 2, 3)).max())
            return lambda s: _correlate(connectivity, largest, s)


def payload(synapses: Synapses, spikes: Ints) -> Ints:
    """What a synapse group sees of its source's spikes: the payload if graded, else whether there was one."""
    return spikes if synapses.graded else (spikes != 0).astype(np.int64)


def _largest(spikes: Ints) -> int:
    return max(int(spikes.max(initial=1)), -int(spikes.min(initial=0)))


def _correlate(conv: Conv2d, largest: int, spikes: Ints) -> Ints:
    """``largest``: the heaviest kernel's sum of absolute weights, the most that spikes of 1 can add up to.

    Unfolded by hand: a library's convolution may go through Fourier or Winograd transforms, whose sums are not exact.
    """
    exact = torch.float32 if largest * _largest(spikes) < FLOAT32_EXACT else torch.float64
    image = torch.from_numpy(spikes).to(exact).reshape(len(spikes), *conv.source_shape)
    patches = functional.unfold(image, conv.weight.shape[2:], conv.dilation, conv.padding, conv.stride)
    kernels = torch.from_numpy(conv.weight).to(exact).reshape(conv.groups, conv.weight.shape[0] // conv.groups, -1)
    sums = kernels @ patches.reshape(len(spikes), conv.groups, kernels.shape[2], -1)
    return np.asarray(sums.to(torch.int64).reshape(len(spikes), -1).numpy())
