"""Rehearsal: all quantized populations together, on the trained network's clock, before any chip delay is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spikeport.converters.accumulate import accumulator, payload
from spikeport.converters.arithmetic import STATE_LIMIT, initial_state, shift, update
from spikeport.converters.chip_network import Ints, Population, Synapses
from spikeport.converters.passes.quantize.calibration import Floats
from spikeport.converters.passes.quantize.trial import Trial, readout_score, sent_before, spike_score


def rehearse(
    populations: Mapping[str, Population],
    synapses: Sequence[Synapses],
    lags: Mapping[str, int | Ints],
    inputs: Mapping[str, Ints],
    targets: Mapping[str, Floats],
) -> dict[str, Trial]:
    """Run everything and score what has a target.

    Args:
        populations: but inputs, in the order of their clocks, with the state wanted before their own step 0.
        synapses: all groups; lags: of each, in steps of the network.
        inputs: (B, T, n) per input population.
        targets: (B, T, n) per population that the float network has too.
    """
    batch, steps, _ = next(iter(inputs.values())).shape
    trains = dict(inputs) | {n: np.zeros((batch, steps, p.size), np.int64) for n, p in populations.items()}
    potentials = {n: np.zeros((batch, steps, p.size)) for n, p in populations.items() if p.model == "integrator"}
    states = {n: initial_state(p, batch) for n, p in populations.items()}
    into = {n: [(s, accumulator(s.connectivity)) for s in synapses if s.target == n] for n in populations}
    peaks = {n: np.zeros(3, np.int64) for n in populations}
    for t in range(steps):
        for name, population in populations.items():
            a = np.zeros((batch, population.size), np.int64)
            for group, accumulate in into[name]:
                heard = payload(group, sent_before(trains[group.source], t, lags[group.name]))
                a = a + shift(accumulate(heard), group.weight_exp)
            step = update(population, states[name], a)
            states[name] = step.state
            trains[name][:, t] = step.spikes
            if name in potentials:
                potentials[name][:, t] = step.state.v
            largest = np.abs(step.state.u).max(initial=0), np.abs(step.state.v).max(initial=0)
            peaks[name][:2] = np.maximum(peaks[name][:2], largest)
            peaks[name][2] += step.u_wraps + step.v_clips
    return {n: _trial(populations[n], trains[n], potentials.get(n), peaks[n], target) for n, target in targets.items()}


def _trial(population: Population, train: Ints, potential: Floats | None, peaks: Ints, target: Floats) -> Trial:
    states = float(peaks[0]) / STATE_LIMIT, float(peaks[1]) / STATE_LIMIT, int(peaks[2])
    if potential is not None:
        return Trial(train, readout_score(potential / population.scale + population.offset, target, *states))
    return Trial(train, spike_score(train, target, *states))
