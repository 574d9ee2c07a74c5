"""Fine-tuning: the forward pass is the chip's, and its result is a better program of the same form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from random_networks import Case, random_case

from spikeport import models
from spikeport.converters.build import leaky, sequential
from spikeport.converters.chain import Chain
from spikeport.converters.circuit import PLAIN_SPIKES
from spikeport.converters.network import Linear, Network
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.deployment import Deployment
from spikeport.errors import DataError, UnsupportedOnChipError
from spikeport.models.finetuning import Epoch, TuningOptions, best_epoch, finetune
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
