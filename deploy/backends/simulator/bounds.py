"""Bounds: how large spikes and synaptic sums can get, so that an engine knows which number type is exact."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Population, Sparse, Synapses


def sends_payloads(population: Population) -> bool:
    """Whether its spikes may be worth other than 1; of an input only its data know."""
    many = population.model == "lif_subtract" and population.max_spikes > 1
    return many or population.model in ("delta", "sigma_delta")


def heaviest(connectivity: Connectivity) -> int:
    """The largest sum of absolute weights onto one target: no spikes of 1 can add up to more, in any order."""
    match connectivity:
        case Dense(weight):
            return int(np.abs(weight).sum(1).max(initial=0))
        case Sparse(matrix):
            # Not abs(matrix): scipy would first merge the caller's double synapses, in place.
            weights = np.abs(matrix.data)
            return int(
                csr_array((weights, matrix.indices, matrix.indptr), shape=matrix.shape).sum(axis=1).max(initial=0)
            )
        case Conv2d(weight=weight):
            return int(np.abs(weight).sum((1, 2, 3)).max(initial=0))


def arriving(groups: Iterable[tuple[Synapses, int, int]]) -> int:
    """Bound of |a|, the sum over groups after their exponents; groups as (synapses, its `heaviest`, largest payload).

    A right shift floors the sum of each delay on its own, and so adds at most 1 for each of them.
    """
    total = 0
    for s, weight, payload in groups:
        sums = weight * (payload if s.graded else 1)
        bins = 1 if np.ndim(s.delay) == 0 else s.max_delay + 1
        total += sums << s.weight_exp if s.weight_exp >= 0 else (sums >> -s.weight_exp) + bins
    return total
