"""Bounds: how large spikes and synaptic sums can get, so that an engine knows which number type is exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Population, Sparse, Synapses

INT32 = 1 << 31


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


@dataclass(frozen=True)
class Bound:
    """How much a synapse group can bring.

    Attributes:
        heaviest: see `heaviest`.
        exponent: of the sums.
        floors: sums that a right shift floors on its own, and so lowers by up to 1: at most one for each delay.
        graded: whether payloads count.
    """

    heaviest: int
    exponent: int
    floors: int
    graded: bool

    @staticmethod
    def of(synapses: Synapses) -> Bound:
        """The bound of a group."""
        floors = len(np.unique(synapses.delay))
        return Bound(heaviest(synapses.connectivity), synapses.weight_exp, floors, synapses.graded)

    def sums(self, payload: int) -> int:
        """Bound of the absolute sum before its exponent, from payloads up to ``payload``."""
        return self.heaviest * (payload if self.graded else 1)

    def most(self, payload: int) -> int:
        """The same after its exponent."""
        sums = self.sums(payload)
        return sums << self.exponent if self.exponent >= 0 else (sums >> -self.exponent) + self.floors


def fits_32_bits(bounds: Iterable[tuple[Bound, int]], limit: int) -> bool:
    """Whether all sums of groups, each with its largest payload, are exact in int32, and together within ``limit``."""
    known = [(bound.sums(payload), bound.most(payload)) for bound, payload in bounds]
    return all(sums < INT32 for sums, _ in known) and sum(most for _, most in known) <= limit
