"""The search for integers, on circuits small enough to reason about."""

import numpy as np
import pytest

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Linear, Network, Neuron
from spikeport.converters.passes.quantize.trial import readout_score, spike_score
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.deployment import Deployment

STEPS = 60


def full(x: float) -> np.ndarray:
    return np.full((), x, np.float32)


def dense(neuron: Neuron, spread: float = 1.0, seed: int = 0, n: int = 20) -> Network:
    rng = np.random.default_rng(seed)
    weight = (rng.normal(0.05, 0.25, (n, 16)) * np.exp(spread * rng.normal(0, 1, (n, 16)))).astype(np.float32)
    return sequential([("fc", Linear(weight)), ("lif", neuron)], (16,), 1e-3, "snntorch:reset=zero,reset_delay=0")


def trains(seed: int = 0, samples: int = 6) -> np.ndarray:
    return (np.random.default_rng(seed).random((samples, STEPS, 16)) < 0.25).astype(np.uint8)


def test_spikes_at_other_times_agree_in_number_alone() -> None:
    early, late = np.zeros((1, 4, 2)), np.zeros((1, 4, 2))
    early[0, :2], late[0, 2:] = 1, 1
    score = spike_score(early.astype(np.int64), late, 0.0, 0.0, 0)
    assert (score.agreement, score.counts) == (0.0, 1.0)
    swung = readout_score(np.array([[[0.0], [2.0]]]), np.array([[[1.0], [1.0]]]), 0.0, 0.0, 0)
    assert (swung.agreement, swung.counts) == (0.0, 1.0)


def agreement(deployment: Deployment, network: Network, data: np.ndarray) -> float:
    from spikeport.deploy.backends.float import run_float

    truth = run_float(network, data).outputs["output"]
    chip = deployment.run(data).output
    return float(np.minimum(chip, truth).sum() / max(chip.sum(), truth.sum()))


def test_split_weights_reproduce_spikes_that_eight_bits_cannot() -> None:
    network = dense(leaky(0.97), spread=1.5)
    unseen = trains(seed=9)
    one = compile_network(network, "loihi2", trains(), options=CompileOptions(split="never"))
    two = compile_network(network, "loihi2", trains(), options=CompileOptions(split="always"))
    assert agreement(two, network, unseen) > 0.99
    assert agreement(two, network, unseen) > agreement(one, network, unseen)
    assert len(two.network.synapses) == 2 * len(one.network.synapses)


def test_weights_that_are_exact_need_no_split_and_give_every_spike() -> None:
    rng = np.random.default_rng(3)
    weight = rng.integers(-8, 9, (10, 16)).astype(np.float32) / 8
    neuron = Neuron(full(1.0), full(1.0), comparison=">=", reset="subtract")
    network = sequential([("fc", Linear(weight)), ("if", neuron)], (16,), 1e-3, "sinabs:dt=1,spike=single,v_min=none")
    deployment = compile_network(network, "loihi2", trains())
    assert agreement(deployment, network, trains(seed=5)) == 1.0
    assert deployment.quantization.synapses["fc"].relative_error == pytest.approx(0, abs=1e-12)


def test_an_integrator_reads_out_in_trained_units() -> None:
    weight = np.random.default_rng(1).normal(0, 0.5, (4, 16)).astype(np.float32)
    readout = Neuron(full(0.9), full(1.0), spiking=False, reset="none")
    network = sequential([("fc", Linear(weight)), ("li", readout)], (16,), 1e-3, "snntorch")
    deployment = compile_network(network, "loihi2", trains())
    from spikeport.deploy.backends.float import run_float

    data = trains(seed=4)
    truth, chip = run_float(network, data).outputs["output"], deployment.run(data).output
    assert deployment.codec.decoder.kind == "membrane"
    assert np.abs(chip - truth).max() < 0.03 * np.abs(truth).max()


def test_a_slow_decay_that_twelve_bits_round_away_is_said_with_its_size() -> None:
    network = dense(leaky(0.9999))
    found = {f.code: f for f in compile_network(network, "loihi2", trains()).findings}
    assert "its membrane decay of 0.9999 per step" in found["decay-rounded"].message
    assert found["decay-rounded"].where == "lif"


def test_without_calibration_data_it_says_so() -> None:
    codes = [f.code for f in compile_network(dense(leaky(0.9)), "loihi2").findings]
    assert "no-calibration" in codes


def test_graded_input_is_worth_what_the_float_network_sees() -> None:
    from spikeport.deploy.backends.float import run_float
    from spikeport.deploy.compile import codec_for

    network = dense(leaky(0.9), spread=0.3)
    codec = codec_for(network, "graded:steps=20,levels=127")
    images = np.random.default_rng(2).random((5, 16))
    deployment = compile_network(network, "loihi2", images, codec)
    truth = run_float(network, codec.encode(images, (16,)).floats).outputs["output"]
    chip = deployment.run(images).output
    assert np.minimum(chip, truth).sum() / max(chip.sum(), truth.sum()) > 0.97


def test_inhibition_and_excitation_get_their_own_sign_modes() -> None:
    weight = np.abs(np.random.default_rng(1).normal(0, 0.3, (5, 16))).astype(np.float32)
    layers = [("fc", Linear(weight)), ("lif", leaky(0.9))]
    network = sequential(layers, (16,), 1e-3, "snntorch:reset=zero,reset_delay=0")
    deployment = compile_network(network, "loihi2", trains(), options=CompileOptions(split="never"))
    assert deployment.quantization.synapses["fc"].sign_mode == "excitatory"


def test_per_neuron_parameters_survive() -> None:
    rng = np.random.default_rng(8)
    neuron = leaky(rng.uniform(0.7, 0.95, 20).astype(np.float32), rng.uniform(0.5, 2, 20).astype(np.float32))
    network = dense(neuron)
    deployment = compile_network(network, "loihi2", trains(), options=CompileOptions(split="always"))
    assert deployment.network.populations["lif"].dv.shape == (20,)
    assert agreement(deployment, network, trains(seed=11)) > 0.97


def test_what_is_added_to_cancel_weight_errors_is_no_bias_lost() -> None:
    network, found = dense(leaky(1.0), spread=3.0), 0
    for seed in range(4):
        options = CompileOptions(split="never", scales=2, weight_bits=3)
        deployment = compile_network(network, "loihi2", trains(seed), options=options)
        found += int(deployment.network.populations["lif"].bias_mant.any())
        assert deployment.quantization.populations["lif"].bias_error == 0.0
        assert not [f for f in deployment.findings if f.code == "bias-rounded"]
    assert found > 0
