"""Decays, thresholds, biases and initial states as integers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikeport.converters.arithmetic import initial_state, update
from spikeport.converters.chip_network import Population
from spikeport.converters.circuit import FloatPopulation
from spikeport.converters.passes.quantize.initial import before_decay, undo_waiting
from spikeport.converters.passes.quantize.registers import BIAS_MAX, bias_registers, population_at

ZERO = np.zeros(())


def neuron(**changes: object) -> FloatPopulation:
    values: dict[str, object] = {
        "shape": (3,), "model": "lif", "current_decay": ZERO, "membrane_decay": np.array(0.9), "threshold": np.ones(()),
        "comparison": ">", "reset_amount": ZERO, "bias": ZERO, "max_spikes": 1, "refractory": 0, "v_min": None,
        "u_init": ZERO, "v_init": ZERO, "offset": ZERO,
    }  # fmt: skip
    return FloatPopulation(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(("decay", "du"), [(0.0, 4095), (0.5, 2047), (1.0, 0)])
def test_du_allows_for_the_offset_the_chip_adds(decay: float, du: int) -> None:
    assert population_at("p", neuron(current_decay=np.array(decay)), 100.0).du == du


@pytest.mark.parametrize(("decay", "dv"), [(0.0, 4096), (0.75, 1024), (1.0, 0)])
def test_dv_is_the_lost_share(decay: float, dv: int) -> None:
    assert population_at("p", neuron(membrane_decay=np.array(decay)), 100.0).dv == dv


@pytest.mark.parametrize(
    ("comparison", "scale", "vth"), [(">", 10.5, 10), (">=", 10.5, 10), (">", 10.0, 10), (">=", 10.0, 9)]
)
def test_threshold_of_an_integrator_without_leak_is_exact(comparison: str, scale: float, vth: int) -> None:
    p = neuron(membrane_decay=np.ones(()), comparison=comparison)
    assert population_at("p", p, scale).vth == vth


@given(st.lists(st.floats(-2 * BIAS_MAX, 2 * BIAS_MAX), min_size=1, max_size=8))
def test_bias_is_within_half_its_last_bit_or_saturated(wanted: list[float]) -> None:
    target = np.array(wanted)
    mant, exp = (np.broadcast_to(x, target.shape) for x in bias_registers(target))
    assert np.abs(mant).max() <= 4095
    assert exp.max() <= 7
    error = np.abs(mant * 2.0**exp - np.clip(target, -BIAS_MAX, BIAS_MAX))
    assert np.all(error <= 2.0**exp / 2 + 1e-9)


@given(st.integers(-(2**22), 2**22), st.integers(0, 4095))
def test_before_decay_is_undone_by_decay(after: int, loss: int) -> None:
    from spikeport.converters.arithmetic import decay

    x = before_decay(np.array([after]), np.array(loss))
    if abs(x[0]) < 4 * 2**23:
        assert decay(x, loss)[0] == after


@given(
    st.integers(1, 4), st.integers(0, 4095), st.integers(0, 4095), st.integers(-3000, 3000), st.integers(-5000, 5000)
)
def test_waiting_ends_as_far_from_the_wanted_state_as_reported(
    shift: int, du: int, dv: int, bias: int, start: int
) -> None:
    zero = np.zeros((), np.int64)
    p = Population(
        "p", (1,), "lif", np.array(du), np.array(dv), np.array(400), zero, np.array([bias]), zero, np.array([start]),
        np.array([start]), shift=shift,
    )  # fmt: skip
    warm = undo_waiting(p)
    state, fired = initial_state(warm.population, 1), 0
    for _ in range(shift):
        step = update(warm.population, state, np.zeros((1, 1), np.int64))
        state, fired = step.state, fired + int(step.spikes.sum())
    missed_u = abs(int(state.u[0, 0]) - start) if du < 4095 else 0
    assert warm.miss == max(missed_u, abs(int(state.v[0, 0]) - start))
    assert fired == warm.early


def test_a_bias_at_depth_one_always_has_an_exact_start() -> None:
    zero = np.zeros((), np.int64)
    p = Population(
        "p",
        (1,),
        "lif",
        np.array(4095),
        np.array(1000),
        np.array(10),
        zero,
        np.array([-4000]),
        zero,
        zero,
        zero,
        shift=1,
    )
    warm = undo_waiting(p)
    state = update(warm.population, initial_state(warm.population, 1), np.zeros((1, 1), np.int64)).state
    assert (warm.miss, state.v[0, 0]) == (0, 0)


def test_what_no_initial_state_undoes_is_held_where_the_chip_can() -> None:
    zero = np.zeros((), np.int64)
    p = Population(
        "p",
        (1,),
        "lif",
        np.array(4095),
        np.array(2048),
        np.array(10),
        zero,
        np.array([-900]),
        zero,
        zero,
        zero,
        shift=3,
    )
    without, held = undo_waiting(p), undo_waiting(p, may_hold=True)
    assert without.miss > 0
    assert (held.miss, held.early, held.population.hold_init) == (0, 0, 3)
    assert undo_waiting(replace(p, bias_mant=np.array([900])), may_hold=True).population.hold_init == 0
