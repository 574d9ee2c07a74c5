"""Stop rules: when a sample's run may end before its input does."""

from __future__ import annotations

from typing import Protocol

from spikeport.converters.chip_network import Ints


class StopRule(Protocol):
    """Judges the readings of one population; `spikeport.deploy.early_exit` has the rules.

    Attributes:
        population: whose readings are judged.
        drain: chip steps that still run, and count, after the one that decided (host reaction).
    """

    population: str
    drain: int

    def first(self, readings: Ints, start: int) -> Ints:
        """(b,) index along k of the first step whose readings decide, -1 where none does.

        Args:
            readings: (b, k, n) of steps ``start`` .. ``start + k - 1`` on the population's own clock (the network's
                step t): v of an integrator, else spikes (with their payloads) since step 0.
            start: the first of these steps.
        """
        ...
