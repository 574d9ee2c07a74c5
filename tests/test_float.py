"""The float executor against slow loops written from the Neuron docstring, node kinds against torch's own layers."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch.nn import functional

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import (
    Activation,
    Delay,
    Edge,
    Embed,
    Input,
    Linear,
    MaxPool,
    Network,
    Neuron,
    Node,
    Output,
    Permute,
    Pool,
    Reshape,
    Scale,
    SparseMap,
)
from spikeport.converters.passes.infer import infer
from spikeport.deploy.backends.float import run_float, run_tensors
from spikeport.errors import DataError


def f32(value: float) -> Any:
    return np.float32(value)


def slow_neuron(node: Neuron, x: np.ndarray) -> tuple[list[float], list[float]]:
    """One neuron, one step at a time, in float32 scalars: an independent reading of the docstring."""
    v, u = f32(node.v_init), f32(node.u_init)
    b, thr, zero = f32(node.membrane_decay), f32(node.threshold), f32(0)

    def count(w: Any) -> float:
        fits = w / thr
        n = np.floor(fits) if node.comparison == ">=" else np.ceil(fits) - 1
        return float(np.clip(n, 0, np.inf if node.max_spikes is None else node.max_spikes))

    spikes, membranes = [], []
    for value in x:
        drive = f32(node.input_gain) * f32(value)
        u = f32(node.current_decay) * u + drive if node.current_decay is not None else drive
        gained = f32(node.current_gain) * u
        due = f32(count(v)) if node.reset_delay or node.reset_carries else zero
        w = b * v + gained + f32(node.bias)
        if node.reset == "subtract" and (node.reset_delay or node.reset_carries):
            w = w - due * thr
        elif node.reset == "value" and node.reset_delay and due > 0:
            w = f32(node.v_reset) if node.reset_discards_input else b * f32(node.v_reset) + gained + f32(node.bias)
        n = f32(count(w))
        v = w
        if not node.reset_delay and node.reset == "value" and n > 0:
            v = f32(node.v_reset)
        elif not node.reset_delay and node.reset == "subtract":
            v = w - (n - due) * thr
        if node.v_min is not None:
            v = max(v - f32(node.v_min), zero) + f32(node.v_min)
        spikes.append(float(n))
        membranes.append(float(v))
    return spikes, membranes


# Quarters keep float32 exact, so that ties with the threshold happen and mean the same to both.
quarters = st.integers(-6, 10).map(lambda n: n / 4)


@st.composite
def neurons(draw: Any) -> Neuron:
    reset, delay = draw(st.sampled_from(["value", "subtract", "none"])), draw(st.sampled_from([0, 1]))
    single = draw(st.booleans())
    return Neuron(
        membrane_decay=f32(draw(st.sampled_from([0, 0.5, 0.75, 1]))),
        threshold=f32(draw(st.sampled_from([0.5, 1.0, 2.0]))),
        current_decay=draw(st.sampled_from([None, f32(0.5)])),
        bias=f32(draw(st.sampled_from([0, 0.25]))),
        comparison=draw(st.sampled_from([">", ">="])),
        reset=reset,
        v_reset=f32(draw(st.sampled_from([0, -0.25]))),
        reset_delay=delay,
        reset_discards_input=reset == "value" and delay == 1 and draw(st.booleans()),
        reset_carries=reset == "subtract" and delay == 0 and draw(st.booleans()),
        max_spikes=1 if single else draw(st.sampled_from([None, 3])),
        v_min=draw(st.sampled_from([None, f32(-1)])),
        v_init=f32(draw(st.sampled_from([0, 0.5]))),
    )


@settings(max_examples=150, deadline=None)
@given(neurons(), st.lists(quarters, min_size=1, max_size=12))
def test_neuron_equals_the_slow_loop(node: Neuron, x: list[float]) -> None:
    network = sequential([("n", node)], (1,), dt=1e-3)
    run = run_float(network, np.array(x, np.float32)[None, :, None], record=["n"])
    spikes, membranes = slow_neuron(node, np.array(x))
    assert run.spikes["n"][0, :, 0].tolist() == spikes
    assert run.membranes["n"][0, :, 0].tolist() == membranes


def test_recurrent_map_sees_the_step_before_and_its_bias_acts_at_once() -> None:
    rec = Linear(np.zeros((1, 1), np.float32), np.array([2.0], np.float32))
    chain = [("lif", leaky(0.5, reset="zero"))]
    network = sequential(chain, (1,), 1e-3, recurrent=[("lif", "rec", rec)])
    run = run_float(network, np.zeros((1, 2, 1), np.float32))
    assert run.outputs["output"].ravel().tolist() == [1.0, 1.0]


def test_delay_nodes_and_delayed_edges_agree() -> None:
    x = np.random.default_rng(0).normal(size=(2, 9, 3)).astype(np.float32)
    node = sequential([("d", Delay(np.array([0, 1, 3])))], (3,), 1e-3)
    waited = run_float(node, x).outputs["output"]
    for channel, steps in enumerate((0, 1, 3)):
        edge = Network({"i": Input((3,)), "o": Output((3,))}, (Edge("i", "o", steps),), {}, 1e-3, "nir")
        late = run_float(infer(edge).result, x).outputs["o"]
        np.testing.assert_array_equal(waited[..., channel], late[..., channel])
        np.testing.assert_array_equal(late[:, steps:], x[:, : 9 - steps])
        assert not late[:, :steps].any()


def test_cycle_through_a_delay_node_accumulates() -> None:
    nodes = {"i": Input((1,)), "s": Scale(np.float32(1).reshape(())), "d": Delay(np.array(2)), "o": Output((1,))}
    edges = (Edge("i", "s"), Edge("s", "d"), Edge("d", "s"), Edge("s", "o"))
    network = infer(Network(nodes, edges, {}, 1e-3, "nir")).result
    run = run_float(network, np.array([1, 0, 0, 0, 0], np.float32)[None, :, None])
    assert run.outputs["o"].ravel().tolist() == [1, 0, 1, 0, 1]


def test_sparse_map_equals_its_dense_matrix() -> None:
    rng = np.random.default_rng(1)
    dense = rng.normal(size=(6, 8)).astype(np.float32) * (rng.random((6, 8)) < 0.4)
    node = SparseMap(csr_array(dense), np.arange(6, dtype=np.float32), (2, 3))
    x = rng.normal(size=(3, 2, 2, 4)).astype(np.float32)
    network = sequential([("m", node)], (2, 4), 1e-3)
    want = x.reshape(3, 2, 8) @ dense.T + np.arange(6)
    np.testing.assert_allclose(run_float(network, x).outputs["output"].reshape(3, 2, 6), want, atol=1e-5)


@pytest.mark.parametrize("kind", ["sum", "average"])
def test_pools_count_padded_zeros(kind: Any) -> None:
    network = sequential([("p", Pool(kind, (2, 2), (2, 2), (1, 1)))], (1, 2, 2), 1e-3)
    out = run_float(network, np.ones((1, 1, 1, 2, 2), np.float32)).outputs["output"]
    assert out.ravel().tolist() == [1.0 if kind == "sum" else 0.25] * 4


def test_leaky_integrator_gives_its_membrane() -> None:
    network = sequential([("li", leaky(0.5, spiking=False))], (1,), 1e-3)
    run = run_float(network, np.ones((1, 3, 1), np.float32), record=["li"])
    assert run.outputs["output"].ravel().tolist() == [1.0, 1.5, 1.75]
    assert "li" not in run.spikes


def test_gradients_reach_weights_through_time() -> None:
    weight = torch.full((1, 2), 0.3, requires_grad=True)
    layers = [("fc", Linear(np.full((1, 2), 0.3, np.float32))), ("lif", leaky(0.9))]
    network = sequential(layers, (2,), 1e-3)
    outputs, _, _ = run_tensors(network, {"input": torch.ones(1, 5, 2)}, parameters={("fc", "weight"): weight})
    outputs["output"].sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert (weight.grad > 0).all()


def test_batch_is_independent_and_progress_is_told() -> None:
    network = sequential([("fc", Linear(np.eye(3, dtype=np.float32))), ("lif", leaky(0.9))], (3,), 1e-3)
    x = (np.random.default_rng(2).random((4, 6, 3)) < 0.6).astype(np.float32)
    seen: list[tuple[int, int]] = []
    together = run_float(network, x, progress=lambda done, total: seen.append((done, total))).outputs["output"]
    alone = np.concatenate([run_float(network, sample[None]).outputs["output"] for sample in x])
    np.testing.assert_array_equal(together, alone)
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize(
    ("x", "reason"),
    [
        (np.zeros((2, 3)), r"needs the shape \(B, T, 3\)"),
        (np.zeros((2, 3, 4)), r"needs the shape \(B, T, 3\)"),
        (np.zeros((0, 5, 3)), "at least 1"),
        (np.zeros((2, 0, 3)), "at least 1"),
        (np.full((1, 1, 3), np.nan), "NaN"),
        ({"other": np.zeros((1, 1, 3))}, "network's are"),
    ],
)
def test_unfitting_data_are_refused(x: Any, reason: str) -> None:
    network = sequential([("lif", leaky(0.9))], (3,), 1e-3)
    with pytest.raises(DataError, match=reason):
        run_float(network, x)


def test_only_neurons_can_be_recorded() -> None:
    network = sequential([("lif", leaky(0.9))], (3,), 1e-3)
    with pytest.raises(DataError, match="'input' is no neuron; those that can be recorded: lif"):
        run_float(network, np.zeros((1, 1, 3)), record=["input"])


def alone(node: Node, x: np.ndarray) -> np.ndarray:
    """What one node gives for one step's input."""
    network = sequential([("node", node)], x.shape, 1e-3)
    return run_float(network, x[None, None]).outputs["output"][0, 0]


X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 8


def test_memoryless_nodes_give_what_their_docstrings_say() -> None:
    bias = np.array([[[1.0]], [[2.0]]], np.float32)
    np.testing.assert_array_equal(alone(Scale(np.float32(3) + 0 * bias, bias), X), 3 * X + bias)
    np.testing.assert_array_equal(alone(Reshape((4, 6)), X), X.reshape(4, 6))
    np.testing.assert_array_equal(alone(Permute((2, 0, 1)), X), X.transpose(2, 0, 1))
    np.testing.assert_array_equal(alone(Embed((4, 3, 7), (1, 0, 2)), X), np.pad(X, ((1, 1), (0, 0), (2, 1))))
    np.testing.assert_array_equal(alone(Activation(), X), np.maximum(X, 0))
    np.testing.assert_array_equal(alone(Activation(np.full(4, 6, np.float32)), X), np.clip(X, 0, 6))
    expected = functional.max_pool2d(torch.from_numpy(X), (2, 3), (1, 2), (1, 1)).numpy()
    np.testing.assert_array_equal(alone(MaxPool((2, 3), (1, 2), (1, 1)), X), expected)


def test_an_activation_in_levels_rounds_to_the_nearest_one_below_its_ceiling() -> None:
    x = np.array([-1.0, 0.2, 0.25, 0.7, 0.75, 1.2, 1.6, 1.9, 9.0], np.float32)
    given = alone(Activation(np.float32(2) * np.ones((), np.float32), 4), x)
    np.testing.assert_array_equal(given, [0, 0, 0.5, 0.5, 1, 1, 1.5, 2, 2])


def test_gradients_pass_an_activation_in_levels_straight() -> None:
    network = sequential([("act", Activation(np.ones((), np.float32), 4))], (4,), 1e-3)
    x = torch.tensor([[[-0.5, 0.3, 0.6, 1.5]]], requires_grad=True)
    ceiling = torch.tensor(1.0, requires_grad=True)
    outputs, _, _ = run_tensors(network, {"input": x}, parameters={("act", "ceiling"): ceiling})
    outputs["output"].sum().backward()
    assert x.grad is not None
    assert ceiling.grad is not None
    assert x.grad.tolist() == [[[0, 1, 1, 0]]]
    # Within the range the rounding error over the ceiling (here -0.05 - 0.1), above it 1.
    assert ceiling.grad.item() == pytest.approx(1 + (0.25 - 0.3) + (0.5 - 0.6))
