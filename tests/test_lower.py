"""lower keeps what a neuron computes: the circuit's own equations give the float network's spikes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeport.converters.circuit import Circuit, DenseMap, FloatPopulation
from spikeport.converters.network import Activation, Edge, Input, Linear, Network, Neuron, Output
from spikeport.converters.passes.infer import infer
from spikeport.converters.passes.lower import lower
from spikeport.deploy.backends.float import run_float
from spikeport.errors import UnsupportedOnChipError
from spikeport.hw_profiles.profile import load_profile

LOIHI1, LOIHI2 = load_profile("loihi1"), load_profile("loihi2")


def full(value: float) -> np.ndarray:
    return np.full((), value, dtype=np.float64)


def network(neuron: Neuron, n_in: int = 3, n: int = 2, seed: int = 0, loop: bool = False) -> Network:
    rng = np.random.default_rng(seed)
    nodes: dict[str, object] = {
        "in": Input((n_in,)),
        "fc": Linear(rng.normal(0, 1, (n, n_in)), rng.normal(0, 0.3, n)),
        "lif": neuron,
        "out": Output((n,)),
    }
    edges = [Edge("in", "fc"), Edge("fc", "lif"), Edge("lif", "out")]
    if loop:
        nodes["rec"] = Linear(rng.normal(0, 0.5, (n, n)), rng.normal(0, 0.1, n))
        edges += [Edge("lif", "rec", 1), Edge("rec", "lif")]
    return infer(Network(nodes, tuple(edges), {}, 1e-3, "nir")).result  # type: ignore[arg-type]


def circuit_spikes(c: Circuit, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Spikes and u, v margins of the one population, from the equations in the docstring of Circuit."""
    p: FloatPopulation = c.populations["lif"]
    size = p.size
    a, b, theta, amount, bias, u, v = (
        np.broadcast_to(x, p.shape).reshape(-1).astype(float)
        for x in (p.current_decay, p.membrane_decay, p.threshold, p.reset_amount, p.bias, p.u_init, p.v_init)
    )
    spikes, margin = np.zeros((len(data), size)), np.inf
    hold = np.zeros(size)
    for t, x in enumerate(data):
        heard = np.zeros(size)
        for k in c.connections.values():
            assert isinstance(k.weights, DenseMap)
            source = x if k.source == "in" else (spikes[t - 1] if t else np.zeros(size))
            heard += k.weights.weight @ source
        u = a * u + heard
        w = b * v + u + bias
        w = w if p.v_min is None else np.maximum(w, p.v_min)
        w = np.where(hold > 0, 0, w)
        fires = w > theta if p.comparison == ">" else w >= theta
        count = fires.astype(float)
        if (p.max_spikes or 99) > 1:
            count = np.clip(np.where(fires, np.floor(w / theta), 0), 0, p.max_spikes or 99)
        margin = min(margin, np.abs((w / theta) % 1 - 0).min(), np.abs(1 - (w / theta) % 1).min())
        v = np.where(count > 0, 0, w) if p.model == "lif" else w - count * amount
        hold = np.where(count > 0, p.refractory, np.maximum(hold - 1, 0))
        spikes[t] = count
    return spikes, np.asarray(margin)


neurons = st.builds(
    Neuron,
    membrane_decay=st.sampled_from([0.0, 0.5, 0.9, 1.0]).map(full),
    threshold=st.sampled_from([0.5, 1.0, 2.0]).map(full),
    current_decay=st.sampled_from([None, 0.0, 0.4, 0.8]).map(lambda x: None if x is None else full(x)),
    input_gain=st.sampled_from([1.0, 0.3]).map(full),
    current_gain=st.sampled_from([1.0, 1.7]).map(full),
    bias=st.sampled_from([0.0, 0.1, -0.2]).map(full),
    comparison=st.sampled_from([">", ">="]),
    reset=st.sampled_from(["value", "subtract"]),
    v_reset=st.sampled_from([0.0, -0.3, 0.2]).map(full),
    v_init=st.sampled_from([0.0, 0.4]).map(full),
    u_init=st.sampled_from([0.0, 0.2]).map(full),
    v_min=st.sampled_from([None, -0.5]).map(lambda x: None if x is None else full(x)),
)


@settings(max_examples=150, deadline=None)
@given(neurons, st.integers(0, 10_000), st.booleans())
def test_the_circuit_spikes_as_the_network_does(neuron: Neuron, seed: int, loop: bool) -> None:
    net = network(neuron, seed=seed, loop=loop)
    data = (np.random.default_rng(seed).random((1, 12, 3)) < 0.5).astype(np.float32)
    truth = np.asarray(run_float(net, data, record=["lif"]).spikes["lif"], dtype=float).reshape(12, -1)
    spikes, margin = circuit_spikes(lower(net, LOIHI2).result, data[0])
    if margin > 1e-4:
        assert np.array_equal(spikes, truth)


@pytest.mark.parametrize("decay", [0.5, 0.9])
def test_a_delayed_subtraction_becomes_a_larger_one_at_once(decay: float) -> None:
    neuron = Neuron(membrane_decay=full(decay), threshold=full(1.0), reset="subtract", reset_delay=1)
    circuit = lower(network(neuron), LOIHI2).result
    assert circuit.populations["lif"].reset_amount == pytest.approx(1 / decay)
    data = (np.random.default_rng(1).random((1, 30, 3)) < 0.5).astype(np.float32)
    truth = np.asarray(run_float(network(neuron), data, record=["lif"]).spikes["lif"])[0]
    assert np.array_equal(circuit_spikes(circuit, data[0])[0], truth)


def test_a_membrane_with_subtraction_is_measured_from_its_start() -> None:
    neuron = Neuron(full(0.9), full(1.0), reset="subtract", comparison=">=", v_init=full(0.5))
    p = lower(network(neuron), LOIHI2).result.populations["lif"]
    assert (float(p.v_init), float(p.offset), float(p.threshold), float(p.reset_amount)) == (0.0, 0.5, 0.5, 1.0)
    beyond = lower(network(replace(neuron, v_init=full(1.5))), LOIHI2).result.populations["lif"]
    assert (float(beyond.v_init), float(beyond.offset)) == (1.5, 0.0)


def test_a_discarding_reset_becomes_a_refractory_step() -> None:
    neuron = Neuron(membrane_decay=full(0.9), threshold=full(0.3), reset_delay=1, reset_discards_input=True)
    circuit = lower(network(neuron), LOIHI2).result
    assert circuit.populations["lif"].refractory == 1
    data = np.ones((1, 30, 3), np.float32)
    truth = np.asarray(run_float(network(neuron), data, record=["lif"]).spikes["lif"])[0]
    assert np.array_equal(circuit_spikes(circuit, data[0])[0], truth)


def test_several_spikes_a_step_stay_on_a_graded_chip_and_are_said_on_another() -> None:
    neuron = Neuron(membrane_decay=full(0.9), threshold=full(0.3), reset="subtract", max_spikes=None)
    assert (lower(network(neuron), LOIHI2).result.populations["lif"].max_spikes or 2) > 1
    outcome = lower(network(neuron), LOIHI1)
    assert outcome.result.populations["lif"].max_spikes == 1
    assert "single-spike" in [f.code for f in outcome.findings]


def test_a_carried_reset_is_said() -> None:
    neuron = Neuron(membrane_decay=full(0.9), threshold=full(1.0), reset="subtract", reset_carries=True)
    assert [f.code for f in lower(network(neuron), LOIHI2).findings] == ["reset-carry-dropped"]


def test_a_missing_reset_is_refused_with_the_way_out() -> None:
    neuron = Neuron(membrane_decay=full(0.9), threshold=full(1.0), reset="none")
    with pytest.raises(UnsupportedOnChipError, match=r"lif: spikes without any reset"):
        lower(network(neuron), LOIHI2)


def test_a_decay_above_one_is_refused_with_its_value() -> None:
    neuron = Neuron(membrane_decay=full(1.2), threshold=full(1.0))
    with pytest.raises(UnsupportedOnChipError, match=r"lif: membrane decay 1.2"):
        lower(network(neuron), LOIHI2)


def test_an_analog_neuron_may_not_feed_another() -> None:
    neuron = Neuron(membrane_decay=full(0.9), threshold=full(1.0), spiking=False, reset="none")
    with pytest.raises(UnsupportedOnChipError, match=r"lif: its membrane potential feeds rec"):
        lower(network(neuron, loop=True), LOIHI2)


def test_a_conventional_network_is_sent_to_convert() -> None:
    ann = network(Activation())  # type: ignore[arg-type]
    with pytest.raises(UnsupportedOnChipError, match=r"lif \(Activation\): .* spikeport convert"):
        lower(ann, LOIHI2)
