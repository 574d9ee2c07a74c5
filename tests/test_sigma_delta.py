"""Sigma-delta units: the integer models against a slow oracle, and Lava's own processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_networks import random_case, same

from spikeport.converters.arithmetic import initial_state, update
from spikeport.converters.chip_network import Population
from spikeport.converters.circuit import Model
from spikeport.deploy.backends.lava.compatibility import installed
from spikeport.deploy.backends.simulator.reference import simulate

needs_lava = pytest.mark.skipif(not installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it")
pytestmark = pytest.mark.filterwarnings("ignore:Changing the sparsity structure:scipy.sparse.SparseEfficiencyWarning")
ZERO = np.zeros((), np.int64)


def unit(model: Model = "sigma_delta", **registers: object) -> Population:
    plain = Population("p", (1,), model, *[ZERO] * 8)
    arrays = {k: np.array(v) if k in ("vth", "bias_mant", "bias_exp") else v for k, v in registers.items()}
    return replace(plain, **arrays)  # type: ignore[arg-type]


def sent(population: Population, received: list[int]) -> list[int]:
    """Payloads of one neuron that receives ``received``, one number per step."""
    state, out = initial_state(population, 1), []
    for a in received:
        step = update(population, state, np.array([[a]]))
        state = step.state
        out.append(int(step.spikes[0, 0]))
    return out


def oracle(p: Population, received: list[int]) -> list[int]:
    """LAVA.md's formulas of lava-nc's `PyDeltaModelFixed` and `PySigmaDeltaModelFixed` in Python ints."""
    sigma = act = residue = 0
    unit, out = 2 ** (p.spike_exp + p.state_exp), []
    for a in received:
        sigma += a
        biased = sigma + int(p.bias_mant) * 2 ** int(p.bias_exp) * unit
        new = a * unit if p.model == "delta" else max(biased, 0) if p.rectified else biased
        delta = new - act + residue
        spike = delta if abs(delta) >= int(p.vth) * unit else 0
        act, residue = new, delta - spike
        out.append(spike // 2**p.state_exp)
    return out


@given(
    st.sampled_from(["delta", "sigma_delta"]),
    st.lists(st.integers(-5000, 5000), min_size=1, max_size=20),
    st.integers(0, 300),
    st.integers(-400, 400),
    st.tuples(st.integers(0, 3), st.integers(0, 7), st.integers(0, 7)),
    st.booleans(),
)
def test_units_equal_the_formulas(model, received, vth, bias, exponents, rectified) -> None:  # type: ignore[no-untyped-def]
    bias_exp, spike_exp, state_exp = exponents
    registers = {"vth": vth, "bias_mant": bias, "bias_exp": bias_exp, "rectified": rectified}
    p = unit(model, spike_exp=spike_exp, state_exp=state_exp, **registers)
    assert sent(p, received) == oracle(p, received)


def test_a_change_of_exactly_the_threshold_is_sent() -> None:
    assert sent(unit(vth=5), [5, 4, 1, -5]) == [5, 0, 5, -5]


def test_what_was_held_back_is_sent_later() -> None:
    assert sent(unit(vth=10), [4, 4, 4]) == [0, 0, 12]


def test_low_bits_are_floored_when_sending() -> None:
    assert sent(unit(state_exp=2, rectified=False), [7, -7]) == [1, -2]


@pytest.mark.parametrize(("rectified", "expected"), [(True, [0, 3]), (False, [-3, 6])])
def test_rectified_units_announce_no_negative_activation(rectified: bool, expected: list[int]) -> None:
    assert sent(unit(rectified=rectified), [-3, 6]) == expected


def test_an_output_unit_adds_up_and_sends_nothing() -> None:
    p = unit("sigma")
    first = update(p, initial_state(p, 1), np.array([[300]]))
    second = update(p, first.state, np.array([[-100]]))
    assert (int(second.state.v[0, 0]), int(second.state.u[0, 0]), int(second.spikes[0, 0])) == (200, 200, 0)


def test_states_beyond_24_bits_are_counted_and_go_on() -> None:
    p = unit("sigma")
    step = update(p, initial_state(p, 1), np.array([[2**23]]))
    assert (int(step.state.v[0, 0]), step.u_wraps, step.v_clips) == (2**23, 1, 1)


def test_a_loop_that_explodes_wraps_at_32_bits_as_lava_does() -> None:
    p = unit("sigma", spike_exp=0)
    step = update(p, initial_state(p, 1), np.array([[2**31 + 5]]))
    assert int(step.state.v[0, 0]) == 5 - 2**31


def agree(seed: int) -> bool:
    from spikeport.deploy.backends.lava.in_process import run_in_process

    case = random_case(seed, sigma_delta=True)
    names = [name for name, p in case.network.populations.items() if p.model != "input"]
    arguments = (case.network, case.inputs, case.placement, names, names)
    return same(simulate(*arguments), run_in_process(*arguments))


@needs_lava
def test_random_networks_with_units_equal_lavas_models() -> None:
    assert [seed for seed in range(10) if not agree(seed)] == []


@needs_lava
@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_a_thousand_random_networks_with_units_equal_lavas_models(block: int) -> None:
    assert [seed for seed in range(block * 50, block * 50 + 50) if not agree(seed)] == []
