"""Bounds: how large spikes and synaptic sums can get, so that an engine knows which number type is exact."""

from __future__ import annotations

from dataclasses import dataclass

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

    def most(self, payload: int) -> int:
        """Bound of the absolute sum after its exponent, from payloads up to ``payload``."""
        sums = self.heaviest * (payload if self.graded else 1)
        return sums << self.exponent if self.exponent >= 0 else (sums >> -self.exponent) + self.floors
