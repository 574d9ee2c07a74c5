"""Tally: counts a run while it happens, per layer and per core, so that no spike tensor need be stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints, Population, Synapses
from spikeport.converters.connectivity import fan_out
from spikeport.converters.passes.core_load import models_used
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity, CoreCounts, Counts, Kind, PopulationActivity, kind_of
from spikeport.deploy.ledger import Entry, Ledger

_Key = TypeVar("_Key")


class Tally:
    """Counters of one run; an executor calls `sent` and `worked` at every step, then `finish`."""

    def __init__(self, network: ChipNetwork, placement: Placement, batch: int, steps: int) -> None:
        """Make the tables and zero the counters for ``batch`` samples of ``steps`` chip steps."""
        self._network, self._batch, self._steps = network, batch, steps
        self._cores = len(placement.cores)
        self._homes = {name: _homes(name, network, placement) for name in network.populations}
        self._fan_out = {s.name: self._fan_out_table(s) for s in network.synapses.values()}
        self._reach = {name: self._reach_table(name) for name in network.populations}
        self._zero_counters()
        self._sent = {name: Ledger(list(self._entries_of_a_spike(name))) for name in network.populations}
        self._worked = {p.name: Ledger(self._entries_of_work(p)) for p in self._inside()}

    def _inside(self) -> list[Population]:
        return [p for p in self._network.populations.values() if p.model != "input"]

    def _zero_counters(self) -> None:
        network, shape = self._network, (self._batch, self._steps)
        self._spikes = _zeros(network.populations, (*shape, 1))
        self._active = _zeros(network.populations, (*shape, 1))
        self._synops = _zeros(network.synapses, (*shape, 1))
        self._per_neuron = {n: np.zeros((self._batch, p.size), np.int64) for n, p in network.populations.items()}
        self._payload = dict.fromkeys(network.populations, 0)
        self._overflow = {name: [0, 0] for name in network.populations}
        kinds = dict.fromkeys(kind_of(s.connectivity) for s in network.synapses.values())
        self._core_synops: dict[Kind, CoreCounts] = {kind: self._per_core() for kind in kinds}
        self._core_active = {models: self._per_core() for models in dict.fromkeys(map(models_used, self._inside()))}
        self._core_spikes, self._packets_out, self._packets_in = (self._per_core() for _ in range(3))

    def _per_core(self) -> CoreCounts:
        return np.zeros((self._batch, self._steps, self._cores), np.int32)

    def _fan_out_table(self, synapses: Synapses) -> Ints:
        """(n_source, cores): synapses that a spike of each source neuron triggers on each core."""
        table = np.zeros((self._network.populations[synapses.source].size, self._cores), np.int64)
        for core, start, stop in self._homes[synapses.target]:
            table[:, core] += fan_out(synapses.connectivity, start, stop)
        return table

    def _reach_table(self, population: str) -> NDArray[np.bool_]:
        """(n, cores): whether a spike of the neuron sends a packet to the core."""
        reach = np.zeros((self._network.populations[population].size, self._cores), np.bool_)
        for synapses in self._network.out_of(population):
            reach |= self._fan_out[synapses.name] > 0
        return reach

    def _home_table(self, population: str) -> Ints:
        """(n, cores): 1 where the neuron lives; inputs live nowhere."""
        table = np.zeros((self._network.populations[population].size, self._cores), np.int64)
        for core, start, stop in self._homes[population]:
            table[start:stop, core] = 1
        return table

    def _entries_of_a_spike(self, population: str) -> Iterator[Entry]:
        home, reach = self._home_table(population), self._reach[population].astype(np.int64)
        yield Entry(self._spikes[population], np.ones((len(home), 1), np.int64))
        yield Entry(self._core_spikes, home)
        yield Entry(self._packets_out, home * reach.sum(1, keepdims=True))
        yield Entry(self._packets_in, reach)
        for s in self._network.out_of(population):
            for delay in np.unique(s.delay).tolist():
                table = self._fan_out[s.name] * (np.broadcast_to(s.delay, len(home)) == delay)[:, None]
                yield Entry(self._core_synops[kind_of(s.connectivity)], table, 1 + delay)
                yield Entry(self._synops[s.name], table.sum(1, keepdims=True), 1 + delay)

    def _entries_of_work(self, p: Population) -> list[Entry]:
        everywhere = Entry(self._active[p.name], np.ones((p.size, 1), np.int64))
        return [everywhere, Entry(self._core_active[models_used(p)], self._home_table(p.name))]

    def sent(self, population: str, step: int, spikes: Ints) -> None:
        """Count ``spikes`` (B, n) that leave ``population`` in ``step``, and what they cause on arrival.

        A spike with delay D acts at ``step`` + 1 + D; spikes that arrive after the last step cause nothing.
        """
        sent = spikes != 0
        self._per_neuron[population] += sent
        self._payload[population] += int(np.abs(spikes).sum())
        self._sent[population].book(step, sent)

    def worked(self, population: str, step: int, active: NDArray[np.bool_], u_wraps: int, v_clips: int) -> None:
        """Count neurons (B, n) that had something to compute in ``step``, and registers that overflowed."""
        self._worked[population].book(step, active)
        self._overflow[population][0] += u_wraps
        self._overflow[population][1] += v_clips

    def finish(self) -> Activity:
        """The finished counts."""
        return Activity(
            batch=self._batch,
            steps=self._steps,
            populations={name: self._population(name) for name in self._network.populations},
            synops={name: counts[:, :, 0] for name, counts in self._synops.items()},
            core_synops=self._core_synops,
            core_active=self._core_active,
            core_spikes=self._core_spikes,
            core_packets_out=self._packets_out,
            core_packets_in=self._packets_in,
            traffic=self._traffic(),
        )

    def _population(self, name: str) -> PopulationActivity:
        spikes, active = self._spikes[name][:, :, 0], self._active[name][:, :, 0]
        size = self._network.populations[name].size
        return PopulationActivity(
            size, spikes, active, self._per_neuron[name], self._payload[name], *self._overflow[name]
        )

    def _traffic(self) -> Counts:
        traffic = np.zeros((self._cores + 1, self._cores), np.int64)
        for name, homes in self._homes.items():
            counts = self._per_neuron[name].sum(0)
            for core, start, stop in homes or [(self._cores, 0, len(counts))]:
                traffic[core] += counts[start:stop] @ self._reach[name][start:stop]
        return traffic


def _zeros(names: Iterable[_Key], shape: tuple[int, ...]) -> dict[_Key, Counts]:
    return {name: np.zeros(shape, np.int64) for name in names}


def _homes(population: str, network: ChipNetwork, placement: Placement) -> list[tuple[int, int, int]]:
    """(core, start, stop) for each slice of a population; inputs live outside the chip and have none."""
    return [
        (core, s.start, s.stop)
        for core, load in enumerate(placement.cores)
        for s in load.slices
        if s.population == population
    ]
