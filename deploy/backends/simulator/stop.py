"""Stop rules: when a sample's run may end before its input does."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.circuit import READOUTS


class StopRule(Protocol):
    """Judges the readings of one population; `spikeport.deploy.early_exit` has the rules.

    Attributes:
        population: whose readings are judged.
        drain: chip steps that still run, and count, after the one that decided (host reaction).
    """

    @property
    def population(self) -> str:
        """See above."""
        ...

    @property
    def drain(self) -> int:
        """See above."""
        ...

    def first(self, readings: Ints, start: int, rows: NDArray[np.intp]) -> Ints:
        """(b,) index along k of the first step whose readings decide, -1 where none does.

        Args:
            readings: (b, k, n) of steps ``start`` .. ``start + k - 1`` on the population's own clock (the network's
                step t): v of an integrator, else spikes (with their payloads) since step 0.
            start: the first of these steps.
            rows: (b,) which samples of the batch these are.
        """
        ...


class Watch:
    """A rule at work on a whole run: what it has seen, and when samples end."""

    def __init__(self, rule: StopRule, population: Population, batch: int, length: int, steps: int) -> None:
        """Nothing seen yet, nobody stopped.

        Args:
            rule: the rule.
            population: the one it names.
            batch, length, steps: samples, input steps, chip steps.
        """
        self._rule, self._shift, self._length, self._steps = rule, population.shift, length, steps
        self.population = population.name
        self.states_of = population.name if population.model in READOUTS else None
        """The population, if the rule reads its states instead of its spikes."""
        self._so_far = np.zeros((batch, population.size), np.int64)
        self.used: Ints = np.full(batch, steps, np.int64)
        """(B,) chip steps of each sample."""

    def look(self, rows: NDArray[np.intp], first: int, values: Ints) -> None:
        """Judge ``values`` (b, K, n), v or spikes, of samples ``rows`` at chip steps from ``first`` on."""
        start, stop = (min(max(c - self._shift, 0), self._length) for c in (first, first + values.shape[1]))
        if start == stop:
            return
        readings = values[:, start + self._shift - first : stop + self._shift - first]
        if self.states_of is None:
            readings = np.cumsum(readings, axis=1) + self._so_far[rows][:, None]
            self._so_far[rows] = readings[:, -1]
        found = self._rule.first(readings, start, rows)
        ends = start + found + self._shift + 1 + self._rule.drain
        new = (found >= 0) & (self.used[rows] == self._steps)
        self.used[rows] = np.where(new, np.minimum(ends, self._steps), self.used[rows])
