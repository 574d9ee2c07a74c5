"""Tally: counts a run while it happens, per layer and per core, so that no spike tensor need be stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints, Synapses
from spikeport.converters.connectivity import fan_out
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity, PopulationActivity

Table = NDArray[np.float64]


class Tally:
    """Counters of one run; an executor calls `sent`, `worked` and `delivered` at every step, then `finish`."""

    def __init__(self, network: ChipNetwork, placement: Placement, batch: int, steps: int) -> None:
        """Make the tables and zero the counters for ``batch`` samples of ``steps`` chip steps."""
        self._network, self._batch, self._steps = network, batch, steps
        self._cores = len(placement.cores)
        self._homes = {name: _homes(name, network, placement) for name in network.populations}
        self._fan_out = {s.name: self._fan_out_table(s) for s in network.synapses.values()}
        self._reach = {name: self._reach_table(name) for name in network.populations}
        self._spikes = {name: np.zeros((batch, steps), np.int64) for name in network.populations}
        self._active = {name: np.zeros((batch, steps), np.int64) for name in network.populations}
        self._per_neuron = {name: np.zeros((batch, p.size), np.int64) for name, p in network.populations.items()}
        self._overflow = {name: [0, 0] for name in network.populations}
        self._synops = {name: np.zeros((batch, steps), np.int64) for name in network.synapses}
        self._core_synops, self._core_active, self._core_spikes, self._core_packets = (
            np.zeros((batch, steps, self._cores), np.int64) for _ in range(4)
        )

    def _fan_out_table(self, synapses: Synapses) -> Table:
        """(n_source, cores): synapses that a spike of each source neuron triggers on each core."""
        table = np.zeros((self._network.populations[synapses.source].size, self._cores))
        for core, start, stop in self._homes[synapses.target]:
            table[:, core] += fan_out(synapses.connectivity, start, stop)
        return table

    def _reach_table(self, population: str) -> Table:
        """(n, cores): 1 where a spike of the neuron sends a packet to the core."""
        tables = [self._fan_out[s.name] for s in self._network.out_of(population)]
        size = self._network.populations[population].size
        return (sum(tables, np.zeros((size, self._cores))) > 0).astype(np.float64)

    def sent(self, population: str, step: int, spikes: Ints) -> None:
        """Count ``spikes`` (B, n) that leave ``population`` in ``step``."""
        sent = spikes != 0
        self._spikes[population][:, step] = sent.sum(1)
        self._per_neuron[population] += sent
        self._add_per_core(self._core_spikes, population, step, sent)
        self._core_packets[:, step] += (sent.astype(np.float64) @ self._reach[population]).astype(np.int64)

    def worked(self, population: str, step: int, active: NDArray[np.bool_], u_wraps: int, v_clips: int) -> None:
        """Count neurons (B, n) that had something to compute in ``step``, and registers that overflowed."""
        self._active[population][:, step] = active.sum(1)
        self._add_per_core(self._core_active, population, step, active)
        self._overflow[population][0] += u_wraps
        self._overflow[population][1] += v_clips

    def delivered(self, synapses: str, step: int, spikes: Ints) -> None:
        """Count the synaptic operations that ``spikes`` (B, n_source) cause on arrival in ``step``."""
        per_core = ((spikes != 0).astype(np.float64) @ self._fan_out[synapses]).astype(np.int64)
        self._synops[synapses][:, step] += per_core.sum(1)
        self._core_synops[:, step] += per_core

    def _add_per_core(self, into: Ints, population: str, step: int, events: NDArray[np.bool_]) -> None:
        for core, start, stop in self._homes[population]:
            into[:, step, core] += events[:, start:stop].sum(1)

    def finish(self) -> Activity:
        """The finished counts."""
        populations = {
            name: PopulationActivity(
                p.size, self._spikes[name], self._active[name], self._per_neuron[name], *self._overflow[name]
            )
            for name, p in self._network.populations.items()
        }
        return Activity(
            self._batch, self._steps, populations, self._synops, self._core_synops, self._core_active,
            self._core_spikes, self._core_packets, self._traffic(),
        )  # fmt: skip

    def _traffic(self) -> Ints:
        traffic = np.zeros((self._cores + 1, self._cores))
        for name in self._network.populations:
            counts = self._per_neuron[name].sum(0).astype(np.float64)
            for core, start, stop in self._homes[name] or [(self._cores, 0, len(counts))]:
                traffic[core] += counts[start:stop] @ self._reach[name][start:stop]
        return traffic.astype(np.int64)


def _homes(population: str, network: ChipNetwork, placement: Placement) -> list[tuple[int, int, int]]:
    """(core, start, stop) for each slice of a population; inputs live outside the chip and have none."""
    return [
        (core, s.start, s.stop)
        for core, load in enumerate(placement.cores)
        for s in load.slices
        if s.population == population
    ]
