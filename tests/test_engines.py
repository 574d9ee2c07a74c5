"""Every engine gives the reference's spikes, states and counts, bit for bit, however a run is cut."""

from __future__ import annotations

import pytest
from busy_networks import busy_case
from random_networks import Case, random_case, same

from spikeport.deploy.backends.simulator.engines import ENGINES, run_on
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.backends.simulator.simulation import Simulation

NAMES = list(ENGINES)


def expected(case: Case) -> Simulation:
    return simulate(case.network, case.inputs, case.placement, list(case.network.populations), inside(case))


def inside(case: Case) -> list[str]:
    return [name for name, p in case.network.populations.items() if p.model != "input"]


def found(case: Case, engine: str, chunk: int | None = None) -> Simulation:
    everything = list(case.network.populations)
    return run_on(engine, case.network, case.inputs, case.placement, everything, inside(case), chunk=chunk)


def differs(a: Simulation, b: Simulation) -> list[str]:
    """Fields in which two runs are not equal."""
    return [f for f in ("spikes", "u", "v", "activity") if not same(getattr(a, f), getattr(b, f))]


@pytest.mark.parametrize("engine", NAMES)
def test_engines_equal_the_reference_on_small_networks_at_every_edge(engine: str) -> None:
    for seed in range(40):
        case = random_case(seed, sigma_delta=seed % 2 == 1)
        assert differs(expected(case), found(case, engine, chunk=3 + seed % 7)) == [], seed


@pytest.mark.parametrize("engine", NAMES)
def test_engines_equal_the_reference_on_busy_networks(engine: str) -> None:
    for seed in range(12):
        case = busy_case(seed)
        assert differs(expected(case), found(case, engine, chunk=1 + 5 * (seed % 4))) == [], seed
