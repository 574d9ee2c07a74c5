"""The reference executor equals lava-nc's own process models in every spike, every u, every v and every count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import Case, random_case, same, united

from spikeport.deploy.backends.lava.compare import compare
from spikeport.deploy.backends.lava.compatibility import installed
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.backends.simulator.simulation import Simulation

pytestmark = [
    pytest.mark.skipif(not installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it"),
    # Lava's DelaySparse writes zeros into a matrix whose zeros it has dropped before: slow, and right.
    pytest.mark.filterwarnings("ignore:Changing the sparsity structure:scipy.sparse.SparseEfficiencyWarning"),
]


def both(case: Case, backend) -> tuple[Simulation, Simulation]:
    """The simulator's run and Lava's, every population recorded."""
    names = [name for name, p in case.network.populations.items() if p.model != "input"]
    arguments = (case.network, case.inputs, case.placement, names, names)
    return simulate(*arguments), backend(*arguments)


@settings(max_examples=220, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_equal_lavas_models_called_in_process(seed: int) -> None:
    from spikeport.deploy.backends.lava.in_process import run_in_process

    simulator, lava = both(random_case(seed), run_in_process)
    assert same(simulator, lava)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(100))
def test_ten_thousand_random_networks_equal_lavas_models(block: int) -> None:
    from spikeport.deploy.backends.lava.in_process import run_in_process

    for seed in range(block * 100, block * 100 + 100):
        assert same(*both(random_case(seed), run_in_process)), seed


@pytest.mark.parametrize("block", range(4))
def test_random_networks_equal_lavas_whole_runtime(block: int) -> None:
    from spikeport.deploy.backends.lava.run import Limits, run_on_lava

    case = united([random_case(seed) for seed in range(block * 5, block * 5 + 5)])
    simulator, lava = both(case, lambda *arguments: run_on_lava(*arguments, limits=Limits(120, 240)))
    assert same(simulator, lava)


def test_random_networks_reach_every_feature_and_every_edge() -> None:
    seen, wraps, clips = set(), 0, 0
    for seed in range(150):
        case = random_case(seed)
        populations, synapses = case.network.populations.values(), case.network.synapses.values()
        seen |= {p.model for p in populations} | {type(s.connectivity).__name__ for s in synapses}
        seen |= (
            {s.sign_mode for s in synapses} | {s.weight_exp for s in synapses} | {s.num_weight_bits for s in synapses}
        )
        seen |= {f"graded {s.graded}" for s in synapses} | {
            f"delay {np.ndim(s.delay)}" for s in synapses if s.max_delay
        }
        seen |= {"recurrent" for s in synapses if s.source == s.target}
        seen |= {f"{len(case.network.inputs)} inputs", *(f"du {p.du.ndim}" for p in populations)}
        seen |= {f"groups {s.connectivity.groups > 1}" for s in synapses if hasattr(s.connectivity, "groups")}
        activity = simulate(case.network, case.inputs, case.placement).activity
        wraps += sum(p.u_wraps for p in activity.populations.values())
        clips += sum(p.v_clips for p in activity.populations.values())
    assert {"lif", "lif_subtract", "integrator", "Dense", "Sparse", "Conv2d", "recurrent", "3 inputs"} <= seen
    assert {"mixed", "excitatory", "inhibitory", "graded True", "delay 0", "delay 1", "du 0", "du 1"} <= seen
    assert {*range(-8, 9), "groups True"} <= seen
    assert wraps > 1000
    assert clips > 1000


def test_comparison_names_the_first_difference() -> None:
    from spikeport.deploy.backends.lava.in_process import run_in_process

    case = next(c for c in map(random_case, range(99)) if simulate(c.network, c.inputs, c.placement).activity.steps > 9)
    name = case.network.outputs[0]

    def wrong(network, *arguments) -> Simulation:
        p = network.populations[name]
        other = replace(
            network, populations=network.populations | {name: replace(p, v_init=p.v_init ^ 4096, dv=p.dv * 0)}
        )
        return run_in_process(other, *arguments)

    assert compare(case.network, case.inputs, case.placement, run_in_process).first is None
    first = compare(case.network, case.inputs, case.placement, wrong).first
    assert first is not None
    assert (first.step, first.population, first.quantity) == (1, name, "v")
    assert first.simulator != first.lava
