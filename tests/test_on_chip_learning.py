"""Learning in integers: equal to Lava's own learning model, silent below the threshold, counted."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

from spikeport.deploy.backends.lava.compatibility import installed, prepare
from spikeport.deploy.cli.main import app
from spikeport.deploy.codec import Codec
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.decode import Decoder
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.learning.costs import with_learning
from spikeport.deploy.learning.engine import (
    Rate,
    Rounding,
    count_trace,
    impulse_for,
    nearest_rate,
    product,
    update,
    weight_range,
    weight_unit,
)
from spikeport.deploy.learning.layer import answers, plastic_layer, with_room, with_weights
from spikeport.deploy.learning.third_factor import errors, sent
from spikeport.deploy.on_chip_learning import Learning, imprint, learn
from spikeport.errors import DataError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import load_profile
from spikeport.models.export import to_network
from spikeport.models.neurons import LIF, Integrator


class _Port:
    """What a Lava model sees of a port, the other end being this test."""

    def __init__(self) -> None:
        self.value = np.zeros(0)

    def recv(self) -> np.ndarray:
        return self.value

    def send(self, _data: np.ndarray) -> None:
        pass


def lava_model(weights: np.ndarray, rule: str, impulse: int, epoch: int, sign_mode: str):
    """Lava's learning dense model with its Vars set, outside any runtime."""
    prepare()
    from lava.magma.core.learning.constants import GradedSpikeCfg
    from lava.magma.core.learning.learning_rule import Loihi3FLearningRule
    from lava.proc.dense.models import PyLearningDenseModelBitApproximate
    from lava.utils.weightutils import SignMode

    learning = Loihi3FLearningRule(dw=rule, x1_impulse=impulse, x1_tau=1e20, t_epoch=epoch, rng_seed=1)
    parameters = {
        "learning_rule": learning,
        "shape": weights.shape,
        "graded_spike_cfg": GradedSpikeCfg.USE_REGULAR_IMPULSE,
        "sign_mode": SignMode[sign_mode.upper()],
        "num_weight_bits": 8,
    }
    model = PyLearningDenseModelBitApproximate(parameters)
    model.weights, model.weights_set = weights.astype(np.int32), True
    model.num_message_bits, model.a_buff = np.zeros(1, int), np.zeros(len(weights), np.int32)
    for name, size in (("x", weights.shape[1]), ("y", weights.shape[0])):
        setattr(model, f"{name}0", np.zeros(size, bool))
        setattr(model, f"t{name}", np.zeros(size, int))
        for trace in ("1", "2", "3"):
            setattr(model, name + trace, np.zeros(size, int))
    model.tag_1 = model.tag_2 = np.zeros_like(weights)
    for port in ("s_in", "a_out", "s_in_bap", "s_in_y1", "s_in_y2", "s_in_y3"):
        setattr(model, port, _Port())
    for port in ("s_in_bap", "s_in_y1", "s_in_y2", "s_in_y3"):
        getattr(model, port).value = np.zeros(len(weights), int)
    return model


def lava_epoch(model, spikes: np.ndarray, error: np.ndarray, first_step: int) -> np.ndarray:
    """One sample of spikes (T, n_pre), the error in its last step; the weights after it."""
    model.x1 = np.zeros_like(model.x1)
    for step, row in enumerate(spikes):
        model.time_step = first_step + step
        model.s_in.value = row
        model.s_in_y1.value = error if step == len(spikes) - 1 else 0 * error
        model.run_spk()
        if model.lrn_guard():
            model.run_lrn()
    return np.asarray(model.weights)


@pytest.mark.skipif(not installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it")
@pytest.mark.parametrize("sign_mode", ["mixed", "excitatory", "inhibitory"])
@pytest.mark.parametrize("rate", [Rate(1, -7), Rate(3, -4), Rate(7, -1), Rate(5, 6)])
def test_updates_equal_lavas_learning_model_epoch_by_epoch(rate: Rate, sign_mode: str) -> None:
    rng = np.random.default_rng(rate.mantissa)
    low, high = weight_range(1, sign_mode)
    weights, steps, rounding = rng.integers(low, high + 1, (5, 23)), 6, Rounding()
    model = lava_model(weights, str(rate), impulse_for(steps), steps, sign_mode)
    for epoch in range(12):
        spikes, error = rng.integers(0, 2, (steps, 23)), rng.integers(-15, 16, 5)
        x1 = count_trace(spikes, impulse_for(steps))
        weights = update(weights, product(x1, error, rate), rounding.next(), sign_mode=sign_mode)
        assert np.array_equal(weights, lava_epoch(model, spikes, error, 1 + epoch * steps))


STEPS, INPUTS, CLASSES = 6, 12, 3


def deployed(readout: nn.Module | None = None, split: str = "never", bias: bool = False) -> Deployment:
    """12-20-3 with a head that knows nothing yet."""
    import torch

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(INPUTS, 20), LIF(0.5), nn.Linear(20, CLASSES, bias=bias), readout or Integrator())
    net[0].weight.data.mul_(4)
    kind = "count" if isinstance(readout, LIF) else "membrane-last"
    data, _ = three_classes(1)
    options = CompileOptions(split=split)  # type: ignore[arg-type]
    return compile_network(to_network(net, (INPUTS,)), "loihi2", data, Codec(decoder=Decoder(kind)), options)


def three_classes(seed: int, each: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Spikes (B, T, 12): each class on its own third of the lines, and some anywhere."""
    rng = np.random.default_rng(seed)
    labels = np.arange(each * CLASSES) % CLASSES
    own = np.arange(INPUTS) // 4 == labels[:, None]
    spikes = rng.random((len(labels), STEPS, INPUTS)) < np.where(own, 0.8, 0.1)[:, None]
    return spikes.astype(np.int64), labels


def right(deployment: Deployment, data: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(deployment.codec.decode(deployment.run(data).output).classes == labels))


@pytest.mark.parametrize("bits", [8, 6, 4])
def test_few_samples_teach_the_last_layer(bits: int) -> None:
    deployment, (data, labels) = deployed(), three_classes(2)
    learnt = learn(deployment, data, labels, Learning(rate=0.5, bits=bits)).deployment
    assert right(deployment, *three_classes(3, 20)) < 0.6
    assert right(learnt, *three_classes(3, 20)) > 0.9
    assert not (plastic_layer(learnt).weights % weight_unit(bits, "mixed")).any()


def test_imprinted_classes_are_told_apart() -> None:
    deployment, (data, labels) = deployed(), three_classes(2)
    adapted = imprint(deployment, data, labels)
    assert right(adapted.deployment, *three_classes(3, 20)) > 0.9
    assert adapted.costs.host_weights == 20 * CLASSES
    assert "adapted" in {finding.code for finding in adapted.deployment.findings}


def test_a_spiking_output_learns_by_running_the_whole_network() -> None:
    deployment, (data, labels) = deployed(LIF(0.9)), three_classes(2)
    assert not plastic_layer(deployment).linear
    learnt = learn(deployment, data, labels, Learning(rate=0.3, passes=3)).deployment
    assert right(learnt, *three_classes(3, 20)) > 0.8


@pytest.mark.parametrize("bias", [False, True])
def test_sums_without_simulation_equal_the_simulator(bias: bool) -> None:
    deployment, (data, _) = deployed(bias=bias), three_classes(4)
    layer, rng = plastic_layer(deployment), np.random.default_rng(0)
    weights = 2 * rng.integers(-128, 128, layer.weights.shape)
    run = with_weights(deployment, layer, weights).run(data, record=[layer.hidden])
    assert layer.linear
    for i, spikes in enumerate(run.spikes[layer.hidden]):
        scores = deployment.codec.decode(run.output[i : i + 1]).scores[0]
        assert np.array_equal(answers(deployment, layer, weights, data[i : i + 1], spikes), scores)


def test_room_for_other_weights_changes_no_answer_and_no_sum_is_clipped() -> None:
    deployment, (data, _) = deployed(), three_classes(4)
    roomy = with_room(deployment, STEPS * 20)
    before, after = deployment.run(data), roomy.run(data)
    assert np.array_equal(before.output.argmax(-1), after.output.argmax(-1))
    assert np.allclose(before.output, after.output, atol=1e-3)
    full = np.full_like(plastic_layer(roomy).weights, 254)
    assert with_weights(roomy, plastic_layer(roomy), full).run(data).activity.populations["3"].v_clips == 0
    assert with_weights(deployment, plastic_layer(deployment), full).run(data).activity.populations["3"].v_clips > 0


def test_a_decay_makes_the_answers_come_from_the_simulator() -> None:
    assert not plastic_layer(deployed(Integrator(0.9))).linear


def test_nothing_is_written_where_no_error_reaches_the_threshold() -> None:
    deployment, (data, labels) = deployed(), three_classes(2)
    quiet = learn(deployment, data, labels, Learning(threshold=0.99))
    assert np.array_equal(plastic_layer(quiet.deployment).weights, plastic_layer(deployment).weights)
    assert quiet.costs.weight_updates == quiet.costs.error_words == 0
    assert quiet.costs.trace_updates > 0


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(DataError, match="temperature must be above 0"):
        Learning(temperature=temperature)


def test_errors_below_the_threshold_are_not_sent() -> None:
    assert sent(np.array([0.049, -0.049, 0.05, 1.0, -1.0])).tolist() == [0, 0, 1, 15, -15]
    assert errors(np.zeros((1, 4)), np.array([2]), 1.0).tolist() == [[-0.25, -0.25, 0.75, -0.25]]


def test_costs_are_lines_of_their_own_and_leave_the_total_open() -> None:
    deployment, (data, labels) = deployed(), three_classes(2)
    adapted = learn(deployment, data, labels, Learning(passes=2))
    plain = deployment.estimate(adapted.run)
    found = with_learning(plain, adapted.costs, deployment.profile.prices)
    assert adapted.costs.presentations == 2 * 2 * len(labels)
    assert found.counts["learning: score words"] == CLASSES / 2
    assert found.energy_j is None
    assert "learning: trace updates" in found.missing


def test_an_updated_weight_costs_what_loihis_designers_published() -> None:
    deployment, (data, labels) = deployed(), three_classes(2)
    adapted = learn(deployment, data, labels, Learning(passes=2))
    plain, costs = deployment.estimate(adapted.run), adapted.costs
    priced = with_learning(plain, costs, load_profile("loihi1").prices)
    each = costs.weight_updates / costs.presentations
    assert priced.known_j - plain.known_j == pytest.approx(120e-12 * each)
    assert "learning: weight updates" not in priced.missing
    assert "learning: weight updates" in with_learning(plain, costs, load_profile("loihi2").prices).missing


def test_same_seed_learns_the_same_bits() -> None:
    deployment, (data, labels) = deployed(), three_classes(2)
    a, b, c = (
        plastic_layer(learn(deployment, data, labels, Learning(rate=0.03, seed=s)).deployment).weights
        for s in (2, 2, 3)
    )
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_rounding_is_right_on_average() -> None:
    rounding, change = Rounding(5), np.full((1, 1), 100)
    after = [update(np.full((1, 1), 8), change, rounding.next(), unit=2)[0, 0] for _ in range(4000)]
    assert set(after) == {8, 10}
    assert np.mean(after) == pytest.approx(8 + 100 / 128, abs=0.05)


def test_nearest_rate_says_what_the_rule_can_write() -> None:
    assert nearest_rate(3 * 2.0**-5) == Rate(3, -2)
    with pytest.raises(DataError, match=r"the rule can write 0\.000977 to 224"):
        nearest_rate(1e-9)


def test_split_weights_and_wrong_labels_are_refused_with_advice() -> None:
    data, labels = three_classes(2)
    with pytest.raises(UnsupportedOnChipError, match="--split-weights never"):
        plastic_layer(deployed(split="always"))
    with pytest.raises(DataError, match=r"labels 0\.\.3, but"):
        learn(deployed(), data, labels + (labels == 2))
    with pytest.raises(DataError, match="there are none of 1"):
        imprint(deployed(), data, 0 * labels + 2 * (labels == 2))


@pytest.mark.parametrize("rule", ["imprint", "gradient"])
def test_adapt_command_writes_a_deployment_that_learnt(rule: str, tmp_path: Path) -> None:
    data, labels = three_classes(2)
    deployed().save(tmp_path / "model.spk")
    np.savez(tmp_path / "support.npz", input=data, label=labels)
    paths = [str(tmp_path / name) for name in ("model.spk", "support.npz", "adapted.spk")]
    done = CliRunner().invoke(app, ["adapt", paths[0], "--data", paths[1], "--rule", rule, "-o", paths[2]])
    assert done.exit_code == 0, done.output
    assert right(Deployment.load(paths[2]), *three_classes(3, 20)) > 0.9
