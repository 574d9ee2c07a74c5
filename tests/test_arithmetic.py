"""The chip's integer operations against oracles written from the formulas, one Python int at a time."""

from fractions import Fraction
from math import trunc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikeport.converters.arithmetic import STATE_LIMIT, bias, clip24, decay, fire, shift, wrap24
from spikeport.converters.chip_network import Population

state = st.integers(-STATE_LIMIT, STATE_LIMIT)


def one(x: int) -> np.ndarray:
    return np.array([x], dtype=np.int64)


def population(model: str, vth: int, reset: int = 0, max_spikes: int = 1) -> Population:
    zero, t, r = np.zeros((), np.int64), np.array(vth), np.array(reset)
    return Population("p", (1,), model, zero, zero, t, r, zero, zero, zero, zero, max_spikes=max_spikes)


@given(state, st.integers(0, 4096))
def test_decay_rounds_toward_zero(x: int, loss: int) -> None:
    assert decay(one(x), loss)[0] == trunc(Fraction(x * (4096 - loss), 4096))


@given(st.integers(-2 * STATE_LIMIT, 2 * STATE_LIMIT))
def test_current_wraps_once_and_keeps_the_upper_limit(x: int) -> None:
    expected = x - 2 * STATE_LIMIT if x > STATE_LIMIT else x + 2 * STATE_LIMIT if x <= -STATE_LIMIT else x
    assert wrap24(one(x))[0] == expected


def test_wrap_at_the_edges() -> None:
    edge = np.array([STATE_LIMIT, STATE_LIMIT + 1, -STATE_LIMIT, 1 - STATE_LIMIT])
    assert wrap24(edge).tolist() == [STATE_LIMIT, 1 - STATE_LIMIT, STATE_LIMIT, 1 - STATE_LIMIT]


@given(st.integers(-(2**40), 2**40))
def test_potential_saturates_one_short_of_the_limit(x: int) -> None:
    assert clip24(one(x))[0] == min(max(x, 1 - STATE_LIMIT), STATE_LIMIT - 1)


@given(st.integers(-(2**20), 2**20), st.integers(-8, 7))
def test_negative_exponent_floors_the_sum(x: int, exponent: int) -> None:
    assert shift(one(x), exponent)[0] == (x * Fraction(2) ** exponent).__floor__()


@given(st.integers(-4096, 4095), st.integers(0, 7))
def test_bias_is_mantissa_times_power(mantissa: int, exponent: int) -> None:
    assert bias(one(mantissa), one(exponent))[0] == mantissa * 2**exponent


@given(state, st.integers(0, 2**17 - 1))
def test_hard_reset_fires_strictly_above_the_threshold(v: int, vth: int) -> None:
    spikes, after = fire(population("lif", vth), one(v))
    assert (spikes[0], after[0]) == ((1, 0) if v > vth * 64 else (0, v))


@given(state, st.integers(0, 2000), st.integers(1, 2000), st.integers(1, 9))
def test_subtraction_fires_while_v_stays_above_the_threshold(v: int, vth: int, reset: int, most: int) -> None:
    count, rest = 0, v
    while rest > vth * 64 and count < most:
        count, rest = count + 1, rest - reset * 64
    spikes, after = fire(population("lif_subtract", vth, reset, most), one(v))
    assert (spikes[0], after[0]) == (count, rest)


def test_integrator_never_fires() -> None:
    spikes, after = fire(population("integrator", 0), one(10**6))
    assert (spikes[0], after[0]) == (0, 10**6)
