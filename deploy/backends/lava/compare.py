"""Simulator against Lava over every chip step: every spike, every u, every v; and where they first part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.converters.placement import Placement
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.backends.simulator.simulation import Progress, Simulation

Backend = Callable[..., Simulation]


@dataclass(frozen=True)
class Difference:
    """Where two runs first part: the earliest chip step, then the first population.

    Attributes:
        sample, step: sample, and chip step counted from 1.
        population: the user's name.
        neuron: flat index.
        quantity: "spikes", "u" or "v".
        simulator, lava: both values.
    """

    sample: int
    step: int
    population: str
    neuron: int
    quantity: str
    simulator: int
    lava: int


@dataclass(frozen=True)
class Comparison:
    """What was compared, by population: values, spikes, and how many values differ.

    Attributes:
        samples, steps: how much was run; chip steps per sample.
        spikes: per population, spikes the simulator sent.
        differing_spikes: per population, neurons × steps whose spikes differ.
        differing_states: per population, u and v registers × steps that differ.
        compared: per population, neurons × steps.
        first: the first difference, or None.
    """

    samples: int
    steps: int
    spikes: Mapping[str, int]
    differing_spikes: Mapping[str, int]
    differing_states: Mapping[str, int]
    compared: Mapping[str, int]
    first: Difference | None


def compare(
    network: ChipNetwork,
    inputs: Mapping[str, NDArray[np.integer]],
    placement: Placement,
    lava: Backend,
    progress: Progress | None = None,
) -> Comparison:
    """Run (B, T, *shape) inputs on the simulator and on ``lava``, and hold every value against its twin.

    Args:
        network: the program.
        inputs: per input population, spikes or payloads.
        placement: where neurons live.
        lava: `run_on_lava` or `run_in_process`.
        progress: called with (steps done, steps in all) of the run on Lava.
    """
    unshifted, padded = _on_chip_clock(network, inputs)
    names = [name for name, p in network.populations.items() if p.model != "input"]
    ours = simulate(unshifted, padded, placement, names, names)
    theirs = lava(unshifted, padded, placement, names, names, progress)
    wrong = {
        name: {q: _column(ours, q)[name] != _column(theirs, q)[name] for q in ("spikes", "u", "v")} for name in names
    }
    batch, steps = next(iter(padded.values())).shape[:2]
    return Comparison(
        batch,
        steps,
        {n: int(np.count_nonzero(ours.spikes[n])) for n in names},
        {n: int(wrong[n]["spikes"].sum()) for n in names},
        {n: int(wrong[n]["u"].sum() + wrong[n]["v"].sum()) for n in names},
        {n: int(ours.spikes[n].size) for n in names},
        _first(wrong, ours, theirs),
    )


def _on_chip_clock(
    network: ChipNetwork, inputs: Mapping[str, NDArray[np.integer]]
) -> tuple[ChipNetwork, dict[str, NDArray[np.integer]]]:
    """The same program told to hand back every chip step: no shifts, and silence for as long as the depth."""
    populations = {name: replace(p, shift=0) for name, p in network.populations.items()}
    padded = {
        name: np.pad(data, [(0, 0), (0, network.depth), *[(0, 0)] * (data.ndim - 2)]) for name, data in inputs.items()
    }
    return replace(network, populations=populations), padded


def _column(run: Simulation, quantity: str) -> Mapping[str, Ints]:
    return {"spikes": run.spikes, "u": run.u, "v": run.v}[quantity]


def _first(
    wrong: Mapping[str, Mapping[str, NDArray[np.bool_]]], ours: Simulation, theirs: Simulation
) -> Difference | None:
    candidates = []
    for rank, (name, quantities) in enumerate(wrong.items()):
        for order, quantity in enumerate(("u", "v", "spikes")):
            found = np.argwhere(quantities[quantity])
            if len(found):
                sample, step, neuron = min(found.tolist(), key=lambda place: (place[1], place[0], place[2]))
                candidates.append((step, sample, rank, order, name, quantity, neuron))
    if not candidates:
        return None
    step, sample, _, _, name, quantity, neuron = min(candidates)
    here = sample, step, neuron
    values = [int(_column(run, quantity)[name][here]) for run in (ours, theirs)]
    return Difference(sample, step + 1, name, neuron, quantity, *values)
