"""Any legal network is compiled and run, or refused with a reason; a chip that behaves differently says so."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import spikeport
from spikeport.converters.network import Conv, Delay, Edge, Flatten, Input, Linear, Network, Neuron, Node, Output, Pool
from spikeport.converters.passes.infer import infer
from spikeport.errors import SpikeportError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import load_profile

STEPS = 30
Nodes = dict[str, Node]


def f(x: object) -> np.ndarray:
    return np.asarray(x, dtype=np.float32)


def network(nodes: Nodes, *edges: tuple[str, str] | tuple[str, str, int]) -> Network:
    return infer(Network(nodes, tuple(Edge(*e) for e in edges), {}, 1e-3, "nir")).result


def random_neuron(rng: np.random.Generator) -> Neuron:
    reset = str(rng.choice(["value", "subtract"]))
    return Neuron(
        f(rng.choice([0.0, 0.5, 0.9, 1.0])),
        f(rng.uniform(0.4, 1.5)),
        current_decay=None if rng.random() < 0.5 else f(rng.choice([0.3, 0.8])),
        bias=f(rng.choice([0.0, 0.0, 0.1, -0.2])),
        comparison=str(rng.choice([">", ">="])),  # type: ignore[arg-type]
        reset=reset,  # type: ignore[arg-type]
        reset_delay=int(rng.random() < 0.3),  # type: ignore[arg-type]
        max_spikes=(1, 1, None, 4)[rng.integers(4)] if reset == "subtract" else 1,
        v_min=None if rng.random() < 0.8 else f(-0.5),
        v_init=f(rng.choice([0.0, 0.2])),
    )


def random_network(seed: int) -> Network:
    """Convolution, pool, flatten, two dense layers, a recurrence of one to nine steps, a skip with its own delay."""
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 0.6, (3, 2, 2, 3))
    nodes: Nodes = {
        "in": Input((2, 5, 6)),
        "conv": Conv(f(kernel), f(rng.normal(0, 0.2, 3)), (1, 1), (0, 1), (1, 1)),
        "n0": random_neuron(rng),
        "pool": Pool("average", (2, 2), (2, 2), (0, 0)),
        "flat": Flatten(0, -1),
        "fc": Linear(f(rng.normal(0, 0.7, (4, 18)))),
        "n1": random_neuron(rng),
        "rec": Linear(f(rng.normal(0, 0.4, (4, 4)))),
        "fc2": Linear(f(rng.normal(0, 0.8, (3, 4))), f(rng.normal(0, 0.2, 3))),
        "n2": random_neuron(rng),
        "late": Delay(np.asarray(rng.integers(0, 12))),
        "skip": Linear(f(rng.normal(0, 0.5, (3, 4)))),
        "out": Output((3,)),
    }
    chain = ["in", "conv", "n0", "pool", "flat", "fc", "n1", "fc2", "n2", "out"]
    edges = [*pairwise(chain), ("n1", "rec", int(rng.integers(1, 10))), ("rec", "n1")]
    return network(nodes, *edges, ("n1", "late"), ("late", "skip"), ("skip", "n2"))


@pytest.mark.parametrize("seed", range(16))
def test_a_random_network_runs_or_is_refused_and_never_differs_in_silence(seed: int) -> None:
    data = (np.random.default_rng(seed).random((3, STEPS, 2, 5, 6)) < 0.3).astype(np.int64)
    net = random_network(seed)
    try:
        options = spikeport.CompileOptions(scales=3)
        deployment = spikeport.compile(net, ("loihi1", "loihi2")[seed % 2], data, options=options)
    except SpikeportError as refusal:
        refused = str(refusal)
    else:
        refused = ""
    if refused:
        assert any(name in refused for name in net.nodes)
        return
    run = deployment.run(data, record=["all"])
    truth = spikeport.run_float(net, data, record=net.neurons).spikes
    said = [finding for finding in (*deployment.findings, *run.findings) if finding.severity == "warning"]
    for name in net.neurons:
        mismatch = np.abs(run.spikes[name] - truth[name]).sum()
        assert mismatch <= 0.1 * max(run.spikes[name].sum(), truth[name].sum(), 1) + 8 or said


def one_layer(neuron: Neuron, weight: object = 1.0, bias: object = None) -> Network:
    nodes: Nodes = {"in": Input((1,)), "fc": Linear(f([[weight]]), None if bias is None else f([bias])), "lif": neuron}
    return network({**nodes, "out": Output((1,))}, ("in", "fc"), ("fc", "lif"), ("lif", "out"))


def codes(deployment: spikeport.Deployment) -> set[str]:
    return {finding.code for finding in deployment.findings}


def train(seed: int = 0, most: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, most + 1, (4, STEPS, 1)) * (rng.random((4, STEPS, 1)) < 0.5)


@pytest.mark.parametrize(("target", "delay"), [("loihi1", 9), ("loihi1", 40), ("loihi2", 65)])
def test_a_delay_beyond_the_chip_is_relayed_spike_for_spike(target: str, delay: int) -> None:
    nodes: Nodes = {"in": Input((1,)), "late": Delay(np.asarray(delay)), "fc": Linear(f([[1.5]]))}
    nodes |= {"lif": Neuron(f(0.9), f(1.0)), "out": Output((1,))}
    net = network(nodes, ("in", "late"), ("late", "fc"), ("fc", "lif"), ("lif", "out"))
    data = np.zeros((1, 90, 1), np.int64)
    data[0, [0, 3, 4, 20]] = 1
    run = spikeport.compile(net, target, data).run(data)
    assert np.array_equal(run.output, spikeport.run_float(net, data).outputs["out"])
    assert run.output.sum() == 4
    assert run.activity.steps < 90 + 10


def test_relays_hand_payloads_on() -> None:
    nodes: Nodes = {"in": Input((1,)), "late": Delay(np.asarray(70)), "fc": Linear(f([[0.25]]))}
    nodes |= {"lif": Neuron(f(0.0), f(0.6)), "out": Output((1,))}
    net = network(nodes, ("in", "late"), ("late", "fc"), ("fc", "lif"), ("lif", "out"))
    data = np.zeros((1, 90, 1), np.int64)
    data[0, 2:8, 0] = [1, 2, 3, 4, 3, 2]
    codec = spikeport.codec_for(net, "spikes:max_spikes=4")
    run = spikeport.compile(net, "loihi2", data, codec).run(data)
    assert np.array_equal(run.output, spikeport.run_float(net, data).outputs["out"])
    assert run.output.sum() == 3


def test_payloads_count_even_where_calibration_showed_none() -> None:
    net = one_layer(Neuron(f(1.0), f(1.0), reset="subtract", comparison=">="), weight=0.5)
    codec = spikeport.codec_for(net, "spikes:max_spikes=3")
    data = train(most=3)
    run = spikeport.compile(net, "loihi2", train(most=1), codec).run(data)
    assert np.array_equal(run.output, spikeport.run_float(net, data).outputs["out"])


def test_a_bias_above_threshold_is_held_until_its_step_0_or_said_where_a_chip_cannot() -> None:
    nodes: Nodes = {"in": Input((1,)), "fc": Linear(f([[1.0]]), f([2.0])), "hot": Neuron(f(0.0), f(1.0))}
    nodes |= {"fc2": Linear(f([[0.4]])), "lif": Neuron(f(1.0), f(1.0)), "out": Output((1,))}
    net = network(nodes, ("in", "fc"), ("fc", "hot"), ("hot", "fc2"), ("fc2", "lif"), ("lif", "out"))
    loihi2 = load_profile("loihi2")
    held = spikeport.compile(net, loihi2, train())
    assert not codes(held) & {"early-spikes", "bias-head-start"}
    assert np.array_equal(held.run(train()).output, spikeport.run_float(net, train()).outputs["out"])
    others = {name: model for name, model in loihi2.neuron_models.items() if name != "lif_refractory"}
    assert "early-spikes" in codes(spikeport.compile(net, loihi2.model_copy(update={"neuron_models": others}), train()))


def test_a_threshold_lost_beside_a_large_one_is_said() -> None:
    nodes: Nodes = {"in": Input((1,)), "fc": Linear(f([[1.0], [1.0]])), "lif": Neuron(f(0.9), f([1.0, 1e-6]))}
    net = network({**nodes, "out": Output((2,))}, ("in", "fc"), ("fc", "lif"), ("lif", "out"))
    assert "threshold-rounded" in codes(spikeport.compile(net, "loihi2", train()))


def test_a_membrane_read_out_beside_another_is_refused() -> None:
    nodes: Nodes = {"in": Input((1,)), "fc": Linear(f([[1.0]])), "fc2": Linear(f([[1.0]])), "out": Output((1,))}
    nodes |= {name: Neuron(f(0.9), f(1.0), spiking=False, reset="none") for name in ("a", "b")}
    net = network(nodes, ("in", "fc"), ("fc", "a"), ("in", "fc2"), ("fc2", "b"), ("a", "out"), ("b", "out"))
    with pytest.raises(UnsupportedOnChipError, match="its membrane potential feeds out"):
        spikeport.compile(net, "loihi2", train())


def test_a_threshold_below_the_reset_value_is_refused() -> None:
    with pytest.raises(UnsupportedOnChipError, match=r"lif: fires from -0\.5 above its reset value"):
        spikeport.compile(one_layer(Neuron(f(0.9), f(-0.5))), "loihi2", train())


def test_a_loop_that_closes_beside_one_that_does_not_keeps_its_length() -> None:
    nodes: Nodes = {"in": Input((1,)), "fc": Linear(f([[1.0]])), "a": Neuron(f(0.9), f(1.0)), "out": Output((1,))}
    nodes |= {"self": Linear(f([[0.2]])), "ab": Linear(f([[0.8]])), "b": Neuron(f(0.5), f(0.5))}
    nodes["ba"] = Linear(f([[-0.3]]))
    chain = [("in", "fc"), ("fc", "a"), ("a", "out"), ("a", "self", 1), ("self", "a"), ("a", "ab"), ("ab", "b")]
    net = network(nodes, *chain, ("b", "ba", 1), ("ba", "a"))
    deployment = spikeport.compile(net, "loihi2", train())
    assert [x.where for x in deployment.findings if x.code == "loop-lengthened"] == ["ba"]
    assert deployment.network.synapses["self"].delay == 0


def test_agreement_in_a_loop_is_that_of_a_run_of_all_populations() -> None:
    rng = np.random.default_rng(4)
    nodes: Nodes = {"in": Input((6,)), "fc": Linear(f(rng.normal(0.2, 0.5, (8, 6)))), "e": Neuron(f(0.9), f(1.0))}
    nodes |= {"ei": Linear(f(rng.normal(0.3, 0.4, (4, 8)))), "i": Neuron(f(0.8), f(1.0)), "out": Output((8,))}
    nodes["ie"] = Linear(f(-np.abs(rng.normal(0, 0.4, (8, 4)))))
    net = network(nodes, ("in", "fc"), ("fc", "e"), ("e", "ei"), ("ei", "i"), ("i", "ie", 2), ("ie", "e"), ("e", "out"))
    data = (rng.random((4, STEPS, 6)) < 0.4).astype(np.int64)
    deployment = spikeport.compile(net, "loihi2", data, options=spikeport.CompileOptions(split="never"))
    spikes = deployment.run(data, record=["e"]).spikes["e"]
    truth = spikeport.run_float(net, data, record=["e"]).spikes["e"]
    real = np.minimum(spikes, truth).sum() / max(spikes.sum(), truth.sum())
    assert deployment.quantization.populations["e"].spike_agreement == pytest.approx(real)


@pytest.mark.parametrize("wrong", [{"scales": 0}, {"samples": -1}, {"seed": -1}, {"split": "nonsense"}])
def test_compile_options_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(SpikeportError, match=next(iter(wrong))):
        spikeport.CompileOptions(**wrong)  # type: ignore[arg-type]
