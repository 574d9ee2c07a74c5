"""Books: the counters of a run while it happens, all of which an Activity is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.converters.passes.core_load import models_used
from spikeport.deploy.activity import Activity, CoreCounts, Counts, PopulationActivity, kind_of
from spikeport.deploy.consequences import Consequences, Counter

PER_CORE = ("core_spikes", "core_packets_out", "core_packets_in")


@dataclass(frozen=True)
class Place:
    """Columns ``column`` .. ``column + width`` - 1 of a block of counters: 0, those of layers, or 1, those of cores."""

    block: int
    column: int
    width: int


def places(network: ChipNetwork, cores: int) -> dict[Counter, Place]:
    """Where each counter of a network on so many ``cores`` stands."""
    inside = [p for p in network.populations.values() if p.model != "input"]
    kinds = dict.fromkeys(kind_of(s.connectivity) for s in network.synapses.values())
    of_layers: list[Counter] = [(what, name) for what in ("spikes", "active") for name in network.populations]
    of_layers += [("synops", name) for name in network.synapses]
    of_cores: list[Counter] = [("core_synops", kind) for kind in kinds]
    of_cores += [("core_active", models) for models in dict.fromkeys(map(models_used, inside))]
    of_cores += [(what, "") for what in PER_CORE]
    narrow = {counter: Place(0, at, 1) for at, counter in enumerate(of_layers)}
    return narrow | {counter: Place(1, at * cores, cores) for at, counter in enumerate(of_cores)}


class Books:
    """Zeroed counters for B samples of T chip steps.

    Attributes:
        blocks: all counters of layers, (B, T, columns) int64, and all counters of cores, (B, T, columns) int32.
        counters: each of them, (B, T, 1) or (B, T, cores), as views.
        per_neuron: per population (B, n) messages of each neuron.
        payload, u_wraps, v_clips: per population (B,).
    """

    def __init__(self, network: ChipNetwork, consequences: Consequences, batch: int, steps: int) -> None:
        """Make room; ``consequences`` say who reaches whom."""
        self._network, self._consequences, self._shape = network, consequences, (batch, steps)
        found = places(network, consequences.cores)
        widths = [sum(place.width for place in found.values() if place.block == block) for block in range(2)]
        self.blocks: tuple[NDArray[Any], NDArray[Any]] = (
            np.zeros((batch, steps, widths[0]), np.int64),
            np.zeros((batch, steps, widths[1]), np.int32),
        )
        self.counters: dict[Counter, NDArray[Any]] = {
            counter: self.blocks[place.block][:, :, place.column : place.column + place.width]
            for counter, place in found.items()
        }
        self.per_neuron = {n: np.zeros((batch, p.size), np.int64) for n, p in network.populations.items()}
        self.payload, self.u_wraps, self.v_clips = (
            {name: np.zeros(batch, np.int64) for name in network.populations} for _ in range(3)
        )

    def until(self, used: Ints) -> None:
        """Forget what lies behind each sample's first ``used`` (B,) steps."""
        late = np.arange(self._shape[1]) >= used[:, None]
        for block in self.blocks:
            block[late] = 0

    def activity(self) -> Activity:
        """The counts, finished."""
        batch, steps = self._shape
        return Activity(
            batch=batch,
            steps=steps,
            populations={name: self._population(name) for name in self._network.populations},
            synops={name: self.counters["synops", name][:, :, 0] for name in self._network.synapses},
            core_synops=self._keyed("core_synops"),
            core_active=self._keyed("core_active"),
            core_spikes=self.counters["core_spikes", ""],
            core_packets_out=self.counters["core_packets_out", ""],
            core_packets_in=self.counters["core_packets_in", ""],
            traffic=self._traffic(),
        )

    def _keyed(self, what: str) -> dict[Any, CoreCounts]:
        return {key: counts for (field, key), counts in self.counters.items() if field == what}

    def _population(self, name: str) -> PopulationActivity:
        return PopulationActivity(
            self._network.populations[name].size,
            self.counters["spikes", name][:, :, 0],
            self.counters["active", name][:, :, 0],
            self.per_neuron[name],
            *(int(counts[name].sum()) for counts in (self.payload, self.u_wraps, self.v_clips)),
        )

    def _traffic(self) -> Counts:
        cores = self._consequences.cores
        nothing = np.zeros((cores + 1, cores), np.int64)
        parts = (self._consequences.traffic(n, messages.sum(0)) for n, messages in self.per_neuron.items())
        return sum(parts, nothing)
