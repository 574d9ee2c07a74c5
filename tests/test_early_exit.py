"""Early exit: integer rules on the read-out, and thresholds chosen on calibration data."""

import numpy as np
import pytest

from spikeport.converters.circuit import memoryless
from spikeport.converters.passes.quantize.registers import population_at
from spikeport.deploy.early_exit import EarlyExit, calibrate, parse_early_exit, readings_of
from spikeport.errors import DataError

# Three samples, four steps, two classes: sure at once, sure late, never sure.
READINGS = np.array(
    [[[5, 0], [9, 0], [12, 0], [15, 0]], [[1, 0], [1, 2], [1, 6], [1, 9]], [[1, 1], [2, 1], [2, 2], [3, 2]]], np.float64
)


def test_margin_stops_at_the_first_lead() -> None:
    output = memoryless("integrator", (2,))
    rule = EarlyExit("margin", 5.0, drain=1).on(population_at("out", output, 1 / 64))
    assert (rule.population, rule.drain) == ("out", 1)
    scale = population_at("out", output, 1 / 64).scale
    np.testing.assert_array_equal(rule.first((READINGS * scale).astype(np.int64), 0), [0, 2, -1])


def test_calibration_finds_the_smallest_threshold_that_keeps_every_answer() -> None:
    calibrated = calibrate(READINGS, np.array([0, 1, 0]), tolerance=0.0)
    assert calibrated.full_accuracy == calibrated.chosen.accuracy == 1.0
    assert calibrated.rule.threshold == 5.0  # a lead of 1 would have stopped the second sample wrong
    assert calibrated.chosen.mean_steps == pytest.approx((1 + 3 + 4) / 3)


def test_a_wrong_early_decision_raises_the_threshold() -> None:
    late = np.array([[[3, 0], [3, 9]], [[2, 0], [4, 0]]], np.float64)
    assert calibrate(late, np.array([1, 0]), tolerance=0.0).rule.threshold > 3
    assert calibrate(late, np.array([1, 0]), tolerance=0.5).rule.threshold <= 3


def test_without_labels_the_full_run_is_the_truth() -> None:
    assert calibrate(READINGS, None, tolerance=0.0).full_accuracy == 1.0


def test_the_first_accumulator_has_its_own_scale() -> None:
    chosen = calibrate(READINGS, np.array([0, 1, 0]), rule="first", tolerance=0.0)
    assert chosen.rule.rule == "first"
    assert chosen.chosen.accuracy == 1.0


def test_spikes_are_counted_up() -> None:
    spikes = np.array([[[1, 0], [1, 0], [0, 1]]], np.float64)
    np.testing.assert_array_equal(readings_of(spikes, integrates=False)[0, -1], [2, 1])
    np.testing.assert_array_equal(readings_of(spikes, integrates=True), spikes)


@pytest.mark.parametrize("text", ["margin:0.3", "first:12", "margin:1.5,drain=2"])
def test_a_rule_reads_as_it_is_written(text: str) -> None:
    assert str(parse_early_exit(text)) == text


@pytest.mark.parametrize("text", ["", "margin", "margin:x", "margin:nan", "margin:-1", "lead:3", "margin:1,wait=2"])
def test_a_bad_rule_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="early exit"):
        parse_early_exit(text)
