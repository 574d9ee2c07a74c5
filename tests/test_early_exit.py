"""Early exit: integer rules on the read-out, and thresholds chosen on calibration data."""

from dataclasses import replace

import numpy as np
import pytest

from spikeport.converters.build import leaky, sequential
from spikeport.converters.circuit import memoryless
from spikeport.converters.network import Linear
from spikeport.converters.passes.quantize.registers import population_at
from spikeport.deploy.codec import Codec
from spikeport.deploy.compile import compile_network
from spikeport.deploy.decode import Decoder
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.early_exit import EarlyExit, calibrate, parse_early_exit, readings_of
from spikeport.errors import DataError
from spikeport.hw_profiles.profile import load_profile

# Three samples, four steps, two classes: sure at once, sure late, never sure.
READINGS = np.array(
    [[[5, 0], [9, 0], [12, 0], [15, 0]], [[1, 0], [1, 2], [1, 6], [1, 9]], [[1, 1], [2, 1], [2, 2], [3, 2]]], np.float64
)

MANY = np.tile(READINGS, (50, 1, 1))
LABELS = np.tile([0, 1, 0], 50)


def test_margin_stops_at_the_first_lead() -> None:
    output = memoryless("integrator", (2,))
    rule = EarlyExit("margin", 5.0, drain=1).on(population_at("out", output, 1 / 64))
    assert (rule.population, rule.drain) == ("out", 1)
    scale = population_at("out", output, 1 / 64).scale
    np.testing.assert_array_equal(rule.first((READINGS * scale).astype(np.int64), 0, np.arange(3)), [0, 2, -1])


def test_calibration_finds_the_smallest_threshold_that_keeps_every_answer() -> None:
    calibrated = calibrate(MANY, LABELS, tolerance=0.0)
    assert calibrated.full_accuracy == calibrated.chosen.accuracy == 1.0
    assert calibrated.rule.threshold == 5.0  # a lead of 1 would have stopped the second sample wrong
    assert calibrated.chosen.mean_steps == pytest.approx((1 + 3 + 4) / 3)


def test_a_wrong_early_decision_raises_the_threshold() -> None:
    late = np.tile(np.array([[[3, 0], [3, 9]], [[2, 0], [4, 0]]], np.float64), (50, 1, 1))
    labels = np.tile([1, 0], 50)
    assert calibrate(late, labels, tolerance=0.0).rule.threshold > 3
    assert calibrate(late, labels, tolerance=0.5).rule.threshold <= 3


def test_without_labels_the_full_run_is_the_truth() -> None:
    assert calibrate(MANY, None, tolerance=0.0).full_accuracy == 1.0


def test_one_sample_more_or_less_decides_nothing() -> None:
    assert calibrate(READINGS, np.array([0, 1, 0]), tolerance=0.0).rule.threshold < 5.0


def test_the_first_accumulator_has_its_own_scale() -> None:
    chosen = calibrate(MANY, LABELS, rule="first", tolerance=0.0)
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


@pytest.fixture(scope="module")
def counting() -> Deployment:
    """Two lines in, two accumulators out, without leak or reset."""
    layers = [("fc", Linear(np.eye(2, dtype=np.float32))), ("sum", replace(leaky(1.0), spiking=False, reset="none"))]
    data, codec = np.ones((4, 12, 2), np.uint8), Codec(decoder=Decoder("membrane-last"))
    return compile_network(sequential(layers, (2,), dt=1e-3), "loihi2", data, codec=codec)


def _lines() -> np.ndarray:
    """The first sample's lead grows by one each step; the second's never comes."""
    data = np.zeros((2, 12, 2), np.uint8)
    data[0, :, 1] = 1
    return data


def test_a_sure_sample_ends_and_only_its_steps_count(counting: Deployment) -> None:
    full = counting.run(_lines())
    run = counting.run(_lines(), stop=EarlyExit("margin", 4.5, drain=1))
    depth = counting.network.depth
    assert run.steps_used is not None
    np.testing.assert_array_equal(run.steps_used, [5 + depth + 1, 12 + depth])
    (synops,) = run.activity.synops.values()
    assert synops[0].sum() == 2 * (run.steps_used[0] - depth)
    assert full.output[0, -1, 1] == pytest.approx(12, rel=0.02)
    assert run.output[0, -1, 1] == pytest.approx(6, rel=0.02)
    np.testing.assert_array_equal(counting.codec.decode(run.output).classes, [1, 0])


def test_energy_and_latency_count_the_steps_that_ran(counting: Deployment) -> None:
    full, early = counting.run(_lines()), counting.run(_lines(), stop=EarlyExit("margin", 4.5))
    prices = load_profile("loihi1")
    whole, part = counting.estimate(full, prices), counting.estimate(early, prices)
    assert early.steps_used is not None
    assert part.steps == early.steps_used.mean() < whole.steps
    assert (part.energy_j or 0) < (whole.energy_j or 0)
    assert part.latency_s == pytest.approx((whole.latency_s or 0) * part.steps / whole.steps, rel=0.2)
