"""Consequences: what one spike, and one active neuron, of a population adds to which counter of an Activity.

Tables are sparse (n, k): how much an event of each neuron adds to each column of a counter. Tally books them step by
step; the fast engines book them in bulk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.sparse import csr_array, hstack

from spikeport.converters.chip_network import ChipNetwork, Ints, Population, Synapses
from spikeport.converters.connectivity import fan_out_onto
from spikeport.converters.passes.core_load import models_used
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import kind_of

Counter: TypeAlias = tuple[str, object]
"""Which counter: a field of Activity (or "spikes", "active" of a population), and its key there ("" for none)."""


@dataclass(frozen=True)
class Consequence:
    """What events add to one counter.

    Attributes:
        counter: see `Counter`.
        table: (n, k) int64.
        after: steps from the event to what is counted.
    """

    counter: Counter
    table: csr_array
    after: int = 0


class Consequences:
    """Tables of a network on its cores."""

    def __init__(self, network: ChipNetwork, placement: Placement) -> None:
        """Find who lives where and who reaches which core."""
        self._network, self.cores = network, len(placement.cores)
        self._homes: dict[str, list[tuple[int, int, int]]] = {name: [] for name in network.populations}
        for core, load in enumerate(placement.cores):
            for s in load.slices:
                self._homes[s.population].append((core, s.start, s.stop))
        self._fan_out = {s.name: self._fan_out_table(s) for s in network.synapses.values()}
        self._reach = {name: self._reach_table(name) for name in network.populations}
        self._home = {name: self._home_table(name) for name in network.populations}

    @property
    def entries(self) -> int:
        """Of all tables: what they take in memory is in proportion to it."""
        return sum(t.nnz for tables in (self._fan_out, self._reach, self._home) for t in tables.values())

    def homes(self, population: str) -> list[tuple[int, int, int]]:
        """(core, start, stop) for each slice of a population; inputs live outside the chip and have none."""
        return self._homes[population]

    def of_a_spike(self, population: str) -> Iterator[Consequence]:
        """Spikes, packets that leave and enter, and after the delay and one step synaptic operations."""
        size = self._network.populations[population].size
        home, reach = self._home[population], self._reach[population]
        listeners = np.asarray(reach.sum(axis=1)).reshape(-1, 1)
        yield Consequence(("spikes", population), _column(np.ones(size, np.int64)))
        yield Consequence(("core_spikes", ""), home)
        yield Consequence(("core_packets_out", ""), csr_array(home.multiply(listeners)))
        yield Consequence(("core_packets_in", ""), reach)
        for s in self._network.out_of(population):
            for delay in np.unique(s.delay).tolist():
                mine = np.broadcast_to(np.asarray(s.delay) == delay, (size,))
                table = csr_array(self._fan_out[s.name].multiply(mine[:, None]))
                yield Consequence(("core_synops", kind_of(s.connectivity)), table, 1 + delay)
                yield Consequence(("synops", s.name), _column(np.asarray(table.sum(axis=1))), 1 + delay)

    def of_work(self, p: Population) -> Iterator[Consequence]:
        """What a neuron with something to compute counts for."""
        yield Consequence(("active", p.name), _column(np.ones(p.size, np.int64)))
        yield Consequence(("core_active", models_used(p)), self._home[p.name])

    def traffic(self, population: str, messages: Ints) -> Ints:
        """(cores + 1, cores) packets from core to core for ``messages`` (n,) of each neuron; inputs in the last row."""
        reach, home = self._reach[population], np.full(len(messages), self.cores)
        for core, start, stop in self._homes[population]:
            home[start:stop] = core
        listeners = np.diff(reach.indptr)
        cells = np.repeat(home * self.cores, listeners) + reach.indices
        # Whole numbers far below 2^53: exact in the float64 in which NumPy adds weights up.
        found = np.bincount(cells, np.repeat(messages, listeners), (self.cores + 1) * self.cores)
        return found.reshape(self.cores + 1, self.cores).astype(np.int64)

    def _fan_out_table(self, s: Synapses) -> csr_array:
        """(n_source, cores): synapses that a spike of each source neuron triggers on each core."""
        size = self._network.populations[s.source].size
        on_core: dict[int, list[tuple[int, int]]] = {}
        for core, start, stop in self._homes[s.target]:
            on_core.setdefault(core, []).append((start, stop))
        parts = [(core, fan_out_onto(s.connectivity, ranges)) for core, ranges in on_core.items()]
        return _columns(parts, size, self.cores)

    def _reach_table(self, population: str) -> csr_array:
        size = self._network.populations[population].size
        total = csr_array((size, self.cores), dtype=np.int64)
        for s in self._network.out_of(population):
            total = csr_array(total + self._fan_out[s.name])
        return csr_array((total > 0).astype(np.int64))

    def _home_table(self, population: str) -> csr_array:
        """(n, cores): 1 where the neuron lives."""
        size, homes = self._network.populations[population].size, self._homes[population]
        empty = [np.zeros(0, np.int64)]
        neurons = [np.arange(start, stop) for _, start, stop in homes]
        cores = [np.full(stop - start, core) for core, start, stop in homes]
        at = np.concatenate([*empty, *neurons]), np.concatenate([*empty, *cores])
        return csr_array((np.ones(len(at[0]), np.int64), at), shape=(size, self.cores), dtype=np.int64)


def _columns(parts: list[tuple[int, Ints]], size: int, cores: int) -> csr_array:
    """(size, cores) with the given columns; a core may have several parts, which add up."""
    rows = [np.flatnonzero(values) for _, values in parts]
    values = [values[at] for (_, values), at in zip(parts, rows, strict=True)]
    columns = [np.full(len(at), core) for (core, _), at in zip(parts, rows, strict=True)]
    empty = [np.zeros(0, np.int64)]
    at = np.concatenate([*empty, *rows]), np.concatenate([*empty, *columns])
    return csr_array((np.concatenate([*empty, *values]), at), shape=(size, cores), dtype=np.int64)


def _column(values: Ints) -> csr_array:
    return csr_array(values.reshape(-1, 1))


def side_by_side(tables: list[csr_array]) -> csr_array:
    """Tables of one population as one."""
    return csr_array(hstack(tables, format="csr"))
