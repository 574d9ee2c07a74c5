"""Tally: each count against the recorded trains, spike by spike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from random_networks import CORES, random_case, scattered
from scipy.sparse import csr_array

from spikeport.converters.accumulate import accumulator
from spikeport.converters.chip_network import ChipNetwork, Connectivity, Dense, Sparse
from spikeport.converters.passes.core_load import models_used
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import kind_of
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.backends.simulator.simulation import Simulation
from spikeport.deploy.estimate import estimate
from spikeport.deploy.ledger import Entry, Ledger
from spikeport.hw_profiles.profile import load_profile


def counted(seed: int) -> tuple[ChipNetwork, Placement, Simulation]:
    """A random network on the clock of its chip, everything recorded."""
    case = random_case(seed)
    network = replace(case.network, populations={n: replace(p, shift=0) for n, p in case.network.populations.items()})
    placement = scattered(network, np.random.default_rng(seed))
    inside = [n for n, p in network.populations.items() if p.model != "input"]
    everything = list(network.populations)
    return network, placement, simulate(network, case.inputs, placement, record=everything, record_states=inside)


def synapses_between(how: Connectivity) -> np.ndarray:
    """(n_target, n_source) synapses, unrolled."""
    match how:
        case Dense(weight):
            return np.ones_like(weight)
        case Sparse(m):
            return csr_array((np.ones_like(m.data), m.indices, m.indptr), m.shape).toarray()
    ones = replace(how, weight=np.ones_like(how.weight))
    return accumulator(ones)(np.eye(int(np.prod(how.source_shape)), dtype=np.int64)).T


def homes(network: ChipNetwork, placement: Placement) -> dict[str, np.ndarray]:
    """(n,) the core of each neuron; inputs live on core number CORES, outside."""
    found = {name: np.full(p.size, CORES) for name, p in network.populations.items()}
    for core, load in enumerate(placement.cores):
        for s in load.slices:
            found[s.population][s.start : s.stop] = core
    return found


def caused(network: ChipNetwork, placement: Placement, sim: Simulation) -> Iterator[tuple[object, ...]]:
    """Each event as (what, sample, step, core)."""
    at, steps = homes(network, placement), next(iter(sim.spikes.values())).shape[1]
    pattern = {s.name: synapses_between(s.connectivity) for s in network.synapses.values()}
    for name, train in sim.spikes.items():
        for b, t, j in np.argwhere(train).tolist():
            listening = set()
            for s in network.out_of(name):
                hit = np.repeat(at[s.target], pattern[s.name][:, j]).tolist()
                listening |= set(hit)
                arrives = t + 1 + int(np.broadcast_to(s.delay, train.shape[2])[j])
                yield from ((kind_of(s.connectivity), b, arrives, core) for core in hit if arrives < steps)
            yield "spike", b, t, at[name][j]
            yield from (("out", b, t, at[name][j]) for _ in listening)
            yield from (("in", b, t, core) for core in listening)


def as_counter(what: object, counts: np.ndarray) -> Counter[object]:
    return Counter({(what, *map(int, at)): int(counts[tuple(at)]) for at in np.argwhere(counts)})


@pytest.mark.parametrize("seed", range(25))
def test_each_core_and_step_counts_what_its_spikes_cause(seed: int) -> None:
    network, placement, sim = counted(seed)
    done = sim.activity
    tables = {
        **done.core_synops,
        "spike": done.core_spikes,
        "out": done.core_packets_out,
        "in": done.core_packets_in,
    }
    found = sum((as_counter(what, counts) for what, counts in tables.items()), Counter())
    inside = (event for event in caused(network, placement, sim) if event[3] != CORES)
    assert found == Counter(tuple(x if isinstance(x, str) else int(x) for x in event) for event in inside)  # type: ignore[call-overload]


@pytest.mark.parametrize("seed", range(25))
def test_active_neurons_are_those_whose_state_changed_on_their_core(seed: int) -> None:
    network, placement, sim = counted(seed)
    at = homes(network, placement)
    wanted = {models: np.zeros_like(counts) for models, counts in sim.activity.core_active.items()}
    for name in sim.u:
        p, active = network.populations[name], sim.spikes[name] != 0
        for states, first in ((sim.u[name], p.u_init), (sim.v[name], p.v_init)):
            start = np.broadcast_to(first, states[:, :1].shape)
            active = active | (np.diff(states, axis=1, prepend=start) != 0)
        for core in range(CORES):
            wanted[models_used(p)][:, :, core] += active[:, :, at[name] == core].sum(2)
        assert np.array_equal(sim.activity.populations[name].active, active.sum(2))
    assert all(np.array_equal(wanted[models], counts) for models, counts in sim.activity.core_active.items())


@pytest.mark.parametrize("seed", range(25))
def test_layers_and_cores_of_a_run_add_up_to_the_whole(seed: int) -> None:
    network, placement, sim = counted(seed)
    for name in ("loihi1", "loihi1-sanafe"):
        found = estimate(network, placement, sim.activity, load_profile(name))
        for parts in (found.by_layer, found.by_core):
            assert sum(p.energy_j for p in parts) == pytest.approx(found.dynamic_j)


def test_sums_beyond_float32_stay_exact() -> None:
    counter = np.zeros((1, 1, 1), np.int64)
    odd = np.array([[2**24 + 1], [2**30]])
    Ledger([Entry(counter, odd)]).book(0, np.ones((1, 2), np.bool_))
    assert counter.item() == 2**24 + 1 + 2**30
