"""The integer twin: a compiled network's own integers, run as its framework runs layers, all within one step.

A chip takes a step per hop, so a layer of depth k works k steps late, and skips that pass layers by need delays. The
twin has neither pipeline nor delays: at step t every population updates on what its sources give at that same step t
(or at t - lag where the trained network itself has a delay). Chip and twin are equal bit for bit if, and only if, all
delays match; that makes it a sharper test than accuracy, which hardly notices skips that come too early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.accumulate import accumulator
from spikeport.converters.arithmetic import State, update
from spikeport.converters.chip_network import ChipNetwork, Ints, Synapses
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA
from spikeport.deploy.backends.simulator.reference import Fibre
from spikeport.deploy.deployment import Deployment
from spikeport.errors import UnsupportedOnChipError


def twin_output(deployment: Deployment, frames: NDArray[Any]) -> NDArray[np.float64]:
    """Output (B, T, n) as `Deployment.run` gives it, for ``frames`` (B, T, *shape).

    Raises:
        UnsupportedOnChipError: see `run_twin`.
    """
    network, (source,), (output,) = deployment.network, deployment.network.inputs, deployment.network.outputs
    population = network.populations[output]
    encoded = deployment.codec.encode(frames, network.populations[source].shape)
    spikes, v = run_twin(network, {source: encoded.spikes}, output)
    return v / population.scale + population.offset if population.model in READOUTS else spikes.astype(np.float64)


def without_delays(deployment: Deployment) -> Deployment:
    """The same program with every delay 0: what a compiler that does not align would make. Clocks stay as they are."""
    network = deployment.network
    synapses = {name: replace(s, delay=0) for name, s in network.synapses.items()}
    return replace(deployment, network=replace(network, synapses=synapses))


def run_twin(network: ChipNetwork, inputs: Mapping[str, NDArray[Any]], watched: str) -> tuple[Ints, Ints]:
    """Spikes and v of ``watched``, (B, T, n) each, every population starting from rest.

    Args:
        network: the program.
        inputs: per input population (B, T, *shape).
        watched: the name of a population.

    Raises:
        UnsupportedOnChipError: a population with a synaptic current or sigma-delta units, whose states before the
            first step do not follow from rest alone.
    """
    _starts_from_rest(network)
    batch, steps = next(iter(inputs.values())).shape[:2]
    fibres = [Fibre(_within_step(network, s), accumulator(s.connectivity)) for s in network.synapses.values()]
    order = sorted(network.populations.values(), key=lambda p: p.shift)
    nothing = {p.name: np.zeros((batch, p.size), np.int64) for p in order}
    states = {name: State(zeros, zeros, zeros) for name, zeros in nothing.items()}
    sent = {name: deque([zeros] * _reach(fibres, name)) for name, zeros in nothing.items()}
    spikes, v = [], []
    for t in range(steps):
        for population in order:
            name = population.name
            if population.model == "input":
                given = inputs[name][:, t].reshape(batch, -1).astype(np.int64)
            else:
                heard = [f.deliver(sent[f.synapses.source]) for f in fibres if f.synapses.target == name]
                step = update(population, states[name], sum(heard, nothing[name]))
                states[name], given = step.state, step.spikes
            sent[name].appendleft(given)
            sent[name].pop()
        spikes.append(sent[watched][0])
        v.append(states[watched].v)
    return np.stack(spikes, 1), np.stack(v, 1)


def _within_step(network: ChipNetwork, synapses: Synapses) -> Synapses:
    """The group with the lag of the trained network instead of the chip's delay; see `spikeport` pass align."""
    source, target = network.populations[synapses.source], network.populations[synapses.target]
    return replace(synapses, delay=synapses.delay + 1 + source.shift - target.shift)


def _reach(fibres: list[Fibre], source: str) -> int:
    return 1 + max((f.synapses.max_delay for f in fibres if f.synapses.source == source), default=0)


def _starts_from_rest(network: ChipNetwork) -> None:
    for name, p in network.populations.items():
        if p.model in SIGMA_DELTA or (p.model != "input" and np.any((p.du >= 0) & (p.du < 4095))):
            raise UnsupportedOnChipError(f"{name}: the integer twin runs neurons without synaptic current only")
