"""Fine-tuning: the forward pass is the chip's, and its result is a better program of the same form."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import Case, random_case
from typer.testing import CliRunner

from spikeport import models
from spikeport.converters.build import leaky, sequential
from spikeport.converters.chain import Chain
from spikeport.converters.circuit import PLAIN_SPIKES
from spikeport.converters.network import Linear, Network
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.cli.main import app
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.deployment import Deployment
from spikeport.errors import DataError, ModelError, UnsupportedOnChipError
from spikeport.models.finetuning import Epoch, TuningOptions, best_epoch, finetune, parted
from spikeport.models.finetuning.forward import Forward
from spikeport.models.finetuning.fractions import fractions_of
from spikeport.models.finetuning.parameters import ChipParameters, array_of


def _single_input(seed: int) -> bool:
    return len(random_case(seed).network.inputs) == 1


def _given(case: Case) -> torch.Tensor:
    (source,) = case.network.inputs
    return torch.from_numpy(case.inputs[source].reshape(2, -1, case.network.populations[source].size)).float()


@pytest.mark.parametrize("seed", [seed for seed in range(60) if _single_input(seed)])
def test_forward_pass_equals_the_simulator(seed: int) -> None:
    case = random_case(seed)
    output = case.network.outputs[0]
    parameters = ChipParameters(case.network, {})
    found = Forward(case.network)(_given(case), parameters.weights(), parameters.thresholds())
    run = simulate(case.network, case.inputs, case.placement, record=[output], record_states=[output])
    integrates = case.network.populations[output].model == "integrator"
    np.testing.assert_array_equal(found.detach().numpy(), run.v[output] if integrates else run.spikes[output])


def test_sigma_delta_units_are_refused_by_name() -> None:
    case = random_case(3, sigma_delta=True)
    with pytest.raises(UnsupportedOnChipError, match="has no spikes to learn from"):
        Forward(case.network)


def _task() -> tuple[Network, np.ndarray, np.ndarray]:
    """Three classes, each with its own third of twelve lines busy."""
    rng = np.random.default_rng(5)
    labels = np.arange(60) % 3
    rates = np.where(np.arange(12) // 4 == labels[:, None], 0.5, 0.1)
    data = (rng.random((60, 20, 12)) < rates[:, None]).astype(np.uint8)
    first, second = (Linear(rng.normal(0.1, 0.4, shape).astype(np.float32)) for shape in ((16, 12), (3, 16)))
    layers = [("fc1", first), ("lif1", leaky(0.8)), ("fc2", second), ("lif2", leaky(0.8))]
    return sequential(layers, (12,), dt=1e-3), data, labels


@pytest.fixture(scope="module")
def compiled() -> tuple[Network, Deployment, np.ndarray, np.ndarray]:
    network, data, labels = _task()
    options = CompileOptions(split="never", weight_bits=3)
    return network, compile_network(network, "loihi2", data, options=options), data, labels


def test_an_untrained_network_learns_its_task_in_three_bits(compiled, tmp_path: Path) -> None:
    network, deployment, data, labels = compiled
    tuned, history = finetune(network, deployment, data, labels, TuningOptions(epochs=20, batch=12, learning_rate=0.2))
    before, after = (np.mean(d.codec.decode(d.run(data).output).classes == labels) for d in (deployment, tuned))
    assert len(history) > 1
    assert before < 0.7
    assert after > 0.9
    tuned.save(tmp_path / "tuned.spk")
    grid = array_of(Deployment.load(tmp_path / "tuned.spk").network.synapses["fc1"].connectivity)
    assert not (grid % 64).any()


def test_fractions_say_where_between_two_integers_a_weight_was(compiled) -> None:
    network, deployment, *_ = compiled
    rest = fractions_of(Chain(deployment.profile).circuit(network, PLAIN_SPIKES), deployment.network)["fc1"]
    ints = array_of(deployment.network.synapses["fc1"].connectivity) / 64
    node = network.nodes["fc1"]
    assert isinstance(node, Linear)
    rounded, exact = (np.corrcoef(x.ravel(), node.weight.ravel())[0, 1] for x in (ints, ints + rest))
    assert rounded < 0.999 < exact


def test_labels_that_name_no_output_are_refused(compiled) -> None:
    _, deployment, data, labels = compiled
    with pytest.raises(DataError, match=r"labels run 0 \.\. 9"):
        finetune(None, deployment, data, labels * 4 + (labels == 2))


def test_it_is_a_name_of_spikeport_models() -> None:
    assert models.finetune is finetune


def test_of_epochs_that_judge_equally_right_the_surer_one_is_kept() -> None:
    history = (Epoch(0.0, 0.9, 0.5), Epoch(0.4, 1.0, 0.3), Epoch(0.2, 1.0, 0.1), Epoch(0.1, 0.9, 0.0))
    assert best_epoch(history) == 2


LEARNS = TuningOptions(epochs=20, batch=12, learning_rate=0.2)


def test_it_ends_with_the_first_epoch_that_meets_the_target(compiled) -> None:
    network, deployment, data, labels = compiled
    target = 0.75
    tuned, history = finetune(network, deployment, data, labels, replace(LEARNS, target=target))
    assert history[-1].accuracy >= target > max(epoch.accuracy for epoch in history[:-1])
    _, checked = parted(labels, LEARNS.seed)
    classes = tuned.codec.decode(tuned.run(data[checked]).output).classes
    assert np.mean(classes == labels[checked]) == history[-1].accuracy
    assert f"Epoch {len(history) - 1} met the target, 75.00%" in tuned.findings[-1].message


def test_a_target_that_is_met_already_trains_nothing(compiled) -> None:
    network, deployment, data, labels = compiled
    tuned, history = finetune(network, deployment, data, labels, replace(LEARNS, target=0.0))
    assert len(history) == 1
    for name, group in deployment.network.synapses.items():
        np.testing.assert_array_equal(array_of(tuned.network.synapses[name].connectivity), array_of(group.connectivity))
    assert "nothing to train" in tuned.findings[-1].message


def test_a_target_that_is_missed_is_warned_of(compiled) -> None:
    network, deployment, data, labels = compiled
    tuned, _ = finetune(network, deployment, data, labels, TuningOptions(1, 12, 1e-6, target=1.0))
    assert tuned.findings[-1].severity == "warning"
    assert "The target, 100.00%, was not met in 1 epochs" in tuned.findings[-1].message


@pytest.mark.parametrize("target", [-0.1, 97.0, float("nan")])
def test_a_target_is_a_share(target: float) -> None:
    with pytest.raises(DataError, match="must be an accuracy between 0 and 1"):
        TuningOptions(target=target)


def _interrupt_after(epochs: int, updates: int):
    def progress(done: int, total: int) -> None:
        if done > epochs * updates:
            raise KeyboardInterrupt

    return progress


def test_interrupted_and_called_again_it_ends_with_the_same_bits(compiled, tmp_path: Path) -> None:
    network, deployment, data, labels = compiled
    options = TuningOptions(3, 12, 0.2)
    whole, history = finetune(network, deployment, data, labels, options, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        finetune(network, deployment, data, labels, options, _interrupt_after(1, updates=4), tmp_path / "parts")
    seen: list[int] = []
    parts, again = finetune(
        network, deployment, data, labels, options, lambda done, _: seen.append(done), tmp_path / "parts"
    )
    assert seen == list(range(5, 13))
    assert again[1:] == history[1:]
    assert best_epoch(history) > 0
    for name, group in whole.network.synapses.items():
        np.testing.assert_array_equal(array_of(parts.network.synapses[name].connectivity), array_of(group.connectivity))
    for name, population in whole.network.populations.items():
        np.testing.assert_array_equal(parts.network.populations[name].vth, population.vth)
    one, other = (tmp_path / name / "finetune.safetensors" for name in ("whole", "parts"))
    assert one.read_bytes() == other.read_bytes()


def test_a_folder_of_another_finetuning_is_refused(compiled, tmp_path: Path) -> None:
    network, deployment, data, labels = compiled
    finetune(network, deployment, data, labels, TuningOptions(1, 12), folder=tmp_path)
    with pytest.raises(ModelError, match=r"fine-tuning with seed=0 \(asked for: 1\)"):
        finetune(network, deployment, data, labels, TuningOptions(1, 12, seed=1), folder=tmp_path)
    with pytest.raises(ModelError, match="fine-tuning with network_and_samples="):
        finetune(network, deployment, data, (labels + 1) % 3, TuningOptions(1, 12), folder=tmp_path)
    with pytest.raises(ModelError, match="fine-tuning with network_and_samples="):
        finetune(None, deployment, data, labels, TuningOptions(1, 12), folder=tmp_path)


def test_the_command_ends_at_the_float_networks_accuracy(compiled, tmp_path: Path) -> None:
    network, deployment, data, labels = compiled
    write_nir(network, tmp_path / "model.nir")
    deployment.save(tmp_path / "small.spk")
    np.savez(tmp_path / "train.npz", input=data, label=labels)
    given = ["finetune", str(tmp_path / "model.nir"), str(tmp_path / "small.spk"), "--epochs", "1", "--json", "-"]
    given += ["--data", str(tmp_path / "train.npz"), "-o", str(tmp_path / "tuned.spk")]
    _, checked = parted(labels, 0)
    output = run_float(network, data[checked].astype(np.float32)).outputs[network.outputs[0]]
    floats = np.mean(deployment.codec.decode(output).classes == labels[checked])
    found = json.loads(CliRunner().invoke(app, given, catch_exceptions=False).stdout)
    assert found["target"] == floats
    folder = tmp_path / "kept"
    asked = [*given, "--until", "0", "--checkpoints", str(folder)]
    found = json.loads(CliRunner().invoke(app, asked, catch_exceptions=False).stdout)
    assert (found["target"], found["met_epoch"], len(found["epochs"])) == (0.0, 0, 1)
