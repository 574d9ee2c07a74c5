"""auto judges an engine by what it has measured, at the density of now."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from random_networks import Case, one_core

from spikeport.converters.chip_network import ChipNetwork, Dense, Population, Synapses
from spikeport.deploy.backends.simulator.auto import Either, Timing
from spikeport.deploy.backends.simulator.engine import Sums, Tile
from spikeport.deploy.backends.simulator.engines import run_on
from spikeport.deploy.backends.simulator.events.groups import ready
from spikeport.deploy.backends.simulator.trains import Train

ZERO = np.zeros((), np.int64)


def group(neurons: int = 4) -> Synapses:
    return Synapses("a->b", "a", "b", Dense(np.full((3, neurons), 2)))


def train(steps: list[int]) -> Train:
    """One sample of 4 neurons; the first so many of them spike in each step."""
    found = Train(1, 4, 1, len(steps), graded=False)
    for s, spikes in enumerate(steps):
        found.dense()[0, 1 + s, :spikes] = 1
    found.drawn(1 + len(steps))
    return found


def tried(events: Sums, products: Sums) -> Either:
    """Events take 1 s a row if every source spikes, products 0.5 s."""
    return Either(group(), events, products, timings={"events": Timing(1.0, 9), "dense": Timing(0.5, 9)})


@pytest.mark.parametrize(("spikes", "wanted"), [(1, "events"), (3, "dense"), (4, "dense"), (0, "events")])
def test_what_was_measured_at_one_density_is_judged_at_that_of_now(spikes: int, wanted: str) -> None:
    either = tried(ready(group()), ready(group()))
    either.look(train([4, 4, 4, 4]))
    assert either.chosen == "dense"
    either.look(train([spikes] * 4))
    assert either.chosen == wanted


def test_the_time_of_events_counts_by_the_spikes_of_their_own_tile() -> None:
    """Sparse tiles are fast, which says nothing about crowded ones."""
    either = Either(group(), ready(group()))
    source, sums = train([1, 1, 4, 4]), np.zeros((2, 3), np.int32)
    either.look(source)
    work: list[float] = []
    either.timings["events"].add = lambda seconds, amount: work.append(amount)  # type: ignore[method-assign]
    either._next = lambda: "events"  # type: ignore[method-assign]
    for s0 in (1, 3):
        either.add(source, Tile(0, s0, 2 if s0 == 1 else 1), (0, 2 if s0 == 1 else 1), True, sums)
    assert work == [2 * 0.25, 1.0]


def test_products_that_were_not_tried_are_not_said_to_be_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    either = Either(group(), ready(group()))
    source = train([4, 4, 4, 4])
    either.look(source)
    either.add(source, Tile(0, 1, 2), (0, 2), True, np.zeros((2, 3), np.int32))
    assert either.chosen == "events"
    assert either.reason() == "80.0% of its sources spike per step; too little work to try products"


def test_a_loop_says_how_many_of_its_own_neurons_spike_even_after_a_single_chunk() -> None:
    source = Population("in", (2,), "input", *[ZERO] * 8)
    busy = Population("p", (8,), "lif", ZERO + 4095, ZERO, ZERO, ZERO, ZERO + 1, ZERO, ZERO, ZERO, shift=1)
    loop = Synapses("p->p", "p", "p", Dense(np.zeros((8, 8), np.int64)))
    network = ChipNetwork({"in": source, "p": busy}, {"p->p": loop}, ("in",), ("p",), 1e-3)
    case = Case(network, {"in": np.zeros((2, 40, 2), np.uint8)}, one_core(network))
    run = run_on("auto", case.network, case.inputs, case.placement)
    assert run.engines["p"].reason.startswith("96.9% of its sources spike")
