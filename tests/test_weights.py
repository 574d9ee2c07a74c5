"""Weight formats: ranges, parity, exponents, splitting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikeport.converters.passes.quantize.weights import (
    WeightFormat,
    clipped_share,
    fitting_exp,
    nearest,
    relative_error,
    sign_mode,
    single,
    split,
)

EIGHT = WeightFormat(8, 7)
weights = arrays(np.float64, (4, 5), elements=st.floats(-30000, 30000))


@given(weights, st.integers(1, 8))
def test_every_group_obeys_its_format(scaled: np.ndarray, bits: int) -> None:
    form = WeightFormat(bits, 7)
    for group in (*single(scaled, np.ones_like(scaled), form), *split(scaled, np.ones_like(scaled), form)):
        low, high = form.ends(group.mode)
        assert low <= group.ints.min() <= group.ints.max() <= high
        assert not np.any(group.ints % form.step(group.mode))
        assert 0 <= group.exp <= 7


@given(weights)
def test_rounding_is_within_half_a_step_where_nothing_clips(scaled: np.ndarray) -> None:
    mode = sign_mode(scaled)
    group = nearest(scaled, fitting_exp(scaled, mode, EIGHT), mode, EIGHT)
    half = EIGHT.step(mode) * 2.0**group.exp / 2
    assert np.abs(group.value - scaled).max() <= half * (1 + 1e-9)
    assert clipped_share((group,), scaled, EIGHT) == 0.0


@given(weights)
def test_split_weights_are_never_worse(scaled: np.ndarray) -> None:
    even = np.ones_like(scaled)
    assert (
        relative_error(split(scaled, even, EIGHT), scaled)
        <= relative_error(single(scaled, even, EIGHT), scaled) + 1e-12
    )


def test_split_weights_carry_fifteen_bits() -> None:
    scaled = np.random.default_rng(0).uniform(-32000, 32000, (50, 50))
    groups = split(scaled, np.ones_like(scaled), EIGHT)
    assert len(groups) == 2
    assert np.abs(sum(g.value for g in groups) - scaled).max() <= 1.0


def test_chip_truncation_leaves_these_weights_alone() -> None:
    """PyDenseModelBitAcc: w = (w >> k) << k after clipping; ours must already be there."""
    scaled = np.random.default_rng(1).normal(0, 900, (20, 20))
    (group,) = single(scaled, np.ones_like(scaled), EIGHT)
    assert np.array_equal(np.clip(group.ints, -256, 255) >> 1 << 1, group.ints)


@pytest.mark.parametrize(("low", "high", "mode"), [(0, 5, "excitatory"), (-5, 0, "inhibitory"), (-5, 5, "mixed")])
def test_sign_mode_is_the_narrowest_that_holds(low: float, high: float, mode: str) -> None:
    assert sign_mode(np.array([low, high], dtype=float)) == mode


def test_one_outlier_is_clipped_when_that_lowers_the_error() -> None:
    scaled = np.concatenate([np.random.default_rng(2).uniform(-100, 100, 10_000), [300.0]])
    (group,) = single(scaled, np.ones_like(scaled), EIGHT)
    assert group.exp == 0
    assert clipped_share((group,), scaled, EIGHT) == pytest.approx(1 / 10_001)
