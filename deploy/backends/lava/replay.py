"""A finished tape as what a simulator returns: trains and states on the input's clock, and the same Activity."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity
from spikeport.deploy.backends.lava.plan import Plan
from spikeport.deploy.backends.lava.tape import Array, Tape
from spikeport.deploy.backends.simulator.simulation import Simulation
from spikeport.deploy.tally import Tally


def write_inputs(plan: Plan, tape: Tape, inputs: Mapping[str, NDArray[np.integer]]) -> None:
    """Put (B, T, *shape) inputs on the tape, in Lava's order of neurons; silence follows them."""
    for name, data in inputs.items():
        batch, length = data.shape[:2]
        flat = data.reshape(batch, length, -1)
        tape.track(name).spikes[:, :length] = flat[:, :, plan.views[name].order]


def replay(
    network: ChipNetwork,
    plan: Plan,
    tape: Tape,
    placement: Placement,
    length: int,
    record: Collection[str],
    record_states: Collection[str],
) -> Simulation:
    """Everything on the tape, back in the network's order of neurons.

    Args:
        network: the program that ran.
        plan: what it was in Lava.
        tape: after the run.
        placement: where neurons live; only counting depends on it.
        length: T, input steps.
        record: populations whose spikes are wanted.
        record_states: populations whose u and v are wanted.
    """

    def window(name: str, values: Array | None) -> Ints:
        shift = network.populations[name].shift
        return _ordered(plan, name, values)[:, shift : shift + length].astype(np.int64)

    tracks = {name: tape.track(name) for name in network.populations}
    return Simulation(
        {name: window(name, tracks[name].spikes) for name in record},
        {name: window(name, tracks[name].u) for name in record_states},
        {name: window(name, tracks[name].v) for name in record_states},
        _activity(network, plan, tape, placement),
    )


def _ordered(plan: Plan, name: str, values: Array | None) -> Array:
    if values is None:
        return np.zeros((0, 0, 0), np.int64)
    back = np.argsort(plan.views[name].order)
    return values[..., back]


def _activity(network: ChipNetwork, plan: Plan, tape: Tape, placement: Placement) -> Activity:
    """Counts of all chip steps, from spikes and activity alone."""
    tracks = {name: tape.track(name) for name in network.populations}
    batch, steps = next(iter(tracks.values())).spikes.shape[:2]
    tally = Tally(network, placement, batch, steps)
    for step in range(steps):
        for name, track in tracks.items():
            tally.sent(name, step, _ordered(plan, name, track.spikes[:, step]).astype(np.int64))
            if network.populations[name].model != "input":
                active = _ordered(plan, name, track.active[:, step]) != 0
                wraps, clips = track.overflow[:, step].sum(0).tolist()
                tally.worked(name, step, active, wraps, clips)
    return tally.finish()
