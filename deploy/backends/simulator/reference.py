"""The reference executor: DESIGN section 2 as NumPy, one chip step at a time. Every other engine must equal it.

Chip step index c = 0, 1, ... (the chip's own t = c + 1): every synapse group delivers what its source sent at
c - 1 - delay, then every population updates and sends. An input population sends the data's step c at c; a population
of time shift k computes the trained network's step t at c = t + k, so T input steps take T + depth chip steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.accumulate import Accumulate, accumulator, payload
from spikeport.converters.arithmetic import State, initial_state, shift, update
from spikeport.converters.chip_network import ChipNetwork, Ints, Synapses
from spikeport.converters.placement import Placement
from spikeport.deploy.backends.simulator.simulation import Progress, Simulation
from spikeport.deploy.tally import Tally


def simulate(
    network: ChipNetwork,
    inputs: Mapping[str, NDArray[np.integer]],
    placement: Placement,
    record: Collection[str] = (),
    record_states: Collection[str] = (),
    progress: Progress | None = None,
) -> Simulation:
    """Run a batch from the initial state.

    Args:
        network: the program.
        inputs: per input population (B, T, *shape), spikes 0/1 or payloads; all of one B and T.
        placement: where neurons live; only counting depends on it.
        record: populations whose spikes are kept.
        record_states: populations whose u and v are kept.
        progress: called with (steps done, steps in all).
    """
    batch, length = next(iter(inputs.values())).shape[:2]
    steps = length + network.depth
    tally = Tally(network, placement, batch, steps)
    trains = {name: data.reshape(batch, length, -1).astype(np.int64) for name, data in inputs.items()}
    states = {n: initial_state(p, batch) for n, p in network.populations.items() if p.model != "input"}
    fibres = [Fibre(s, accumulator(s.connectivity)) for s in network.synapses.values()]
    sent = {n: _history(network, n, batch) for n in network.populations}
    tape = _Tape(network, record, record_states, batch, length)
    for c in range(steps):
        arrived = {n: np.zeros((batch, network.populations[n].size), np.int64) for n in states}
        for fibre in fibres:
            arrived[fibre.synapses.target] += fibre.deliver(sent[fibre.synapses.source])
        for name, population in network.populations.items():
            if population.model == "input":
                spikes = trains[name][:, c] if c < length else np.zeros((batch, population.size), np.int64)
            else:
                step = update(population, states[name], arrived[name])
                active = _active(states[name], step.state, step.spikes)
                tally.worked(name, c, active, step.u_wraps, step.v_clips)
                states[name], spikes = step.state, step.spikes
                tape.states(name, c, step.state)
            tally.sent(name, c, spikes)
            tape.spikes(name, c, spikes)
            sent[name].appendleft(spikes)
        if progress is not None:
            progress(c + 1, steps)
    return Simulation(tape.spike_trains, tape.u, tape.v, tally.finish())


@dataclass(frozen=True)
class Fibre:
    """A synapse group with its weights made ready."""

    synapses: Synapses
    accumulate: Accumulate

    def deliver(self, sent: deque[Ints]) -> Ints:
        """Sum of what arrives now: sent[d] left its source d + 1 steps ago.

        Each delay's sum is shifted by the exponent on its own before it is added (`PyDelayDenseModelBitAcc`).
        """
        delays = np.unique(self.synapses.delay)
        bins = [self._arriving(sent[int(d)], int(d)) for d in delays]
        sums = [shift(self.accumulate(spikes), self.synapses.weight_exp) for spikes in bins]
        total: Ints = np.add.reduce(sums)
        return total

    def _arriving(self, spikes: Ints, delay: int) -> Ints:
        mine: NDArray[np.bool_] = np.asarray(self.synapses.delay) == delay
        return payload(self.synapses, spikes) * mine


def _history(network: ChipNetwork, population: str, batch: int) -> deque[Ints]:
    """Zeros for every step that the longest delay out of a population reaches back."""
    depth = 1 + max((s.max_delay for s in network.out_of(population)), default=0)
    nothing = np.zeros((batch, network.populations[population].size), np.int64)
    return deque([nothing] * depth, maxlen=depth)


def _active(before: State, after: State, spikes: Ints) -> NDArray[np.bool_]:
    active: NDArray[np.bool_] = (before.u != after.u) | (before.v != after.v) | (spikes != 0)
    return active


class _Tape:
    """Keeps what was asked for, on the input's clock."""

    def __init__(
        self, network: ChipNetwork, spikes: Collection[str], states: Collection[str], batch: int, length: int
    ) -> None:
        self._shift = {name: p.shift for name, p in network.populations.items()}
        self._length = length

        def zeros(names: Collection[str]) -> dict[str, Ints]:
            return {n: np.zeros((batch, length, network.populations[n].size), np.int64) for n in names}

        self.spike_trains, self.u, self.v = zeros(spikes), zeros(states), zeros(states)

    def _step(self, name: str, chip_step: int) -> int | None:
        t = chip_step - self._shift[name]
        return t if 0 <= t < self._length else None

    def spikes(self, name: str, chip_step: int, spikes: Ints) -> None:
        t = self._step(name, chip_step)
        if t is not None and name in self.spike_trains:
            self.spike_trains[name][:, t] = spikes

    def states(self, name: str, chip_step: int, state: State) -> None:
        t = self._step(name, chip_step)
        if t is not None and name in self.u:
            self.u[name][:, t], self.v[name][:, t] = state.u, state.v
