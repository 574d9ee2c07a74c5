"""What real files hold and readers stumble over: each in a file of a few nodes."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport.converters.network import Conv, Delay, Edge, Flatten, Linear, Network, Neuron, Pool
from spikeport.converters.read.nir import read_nir
from spikeport.errors import DialectError, ModelError, UnsupportedNodeError

DIALECT = "nir:dt=1e-3"
ONES = np.ones(3)
LIF: dict[str, Any] = {"type": "LIF", "tau": ONES * 0.01, "r": ONES, "v_leak": ONES * 0, "v_threshold": ONES}
CHAIN = [("input", "fc"), ("fc", "lif"), ("lif", "output")]


def chain(**changed: Any) -> dict[str, dict[str, Any]]:
    nodes = {
        "input": {"type": "Input", "shape": np.array([4])},
        "fc": {"type": "Linear", "weight": np.arange(12.0).reshape(3, 4)},
        "lif": dict(LIF),
        "output": {"type": "Output", "shape": np.array([3])},
    }
    return {k: v for k, v in (nodes | changed).items() if v is not None}


def codes(network: Network) -> set[str]:
    return {f.code for f in network.findings}


def image(*nodes: tuple[str, dict[str, Any]], shape: tuple[int, ...] = (2, 6, 6)) -> tuple[dict[str, Any], list[Any]]:
    names = ["input", *(n for n, _ in nodes), "output"]
    every = {"input": {"type": "Input", "shape": np.array(shape)}, **dict(nodes)}
    every["output"] = {"type": "Output", "shape": np.array([1])}
    return every, list(pairwise(names))


@pytest.mark.parametrize("shape", [(20, 4), (1, 1, 4), (7, 1, 4)])
def test_leading_batch_and_time_axes_of_the_input_are_dropped(nir_file: Any, shape: tuple[int, ...]) -> None:
    network = read_nir(nir_file(chain(input={"type": "Input", "shape": np.array(shape)}), CHAIN), DIALECT)
    assert network.shapes["input"] == (4,)
    assert "leading-axes-dropped" in codes(network)


def test_scalar_and_batched_parameters_mean_the_same(nir_file: Any) -> None:
    scalar = LIF | {"tau": 0.01, "r": np.int64(1), "v_leak": np.float32(0), "v_threshold": np.ones((1, 3), np.int32)}
    first = read_nir(nir_file(chain(lif=scalar), CHAIN), DIALECT).nodes["lif"]
    assert isinstance(first, Neuron)
    assert first.membrane_decay == np.float32(0.9)
    assert first.threshold == 1


def test_per_neuron_parameters_stay_per_neuron(nir_file: Any) -> None:
    node = read_nir(nir_file(chain(lif=LIF | {"tau": np.array([0.01, 0.02, 0.04])}), CHAIN), DIALECT).nodes["lif"]
    assert isinstance(node, Neuron)
    np.testing.assert_allclose(node.membrane_decay, [0.9, 0.95, 0.975], rtol=1e-6)


def test_missing_input_and_output_are_added_and_said(nir_file: Any) -> None:
    network = read_nir(nir_file(chain(input=None, output=None), [("fc", "lif")]), DIALECT)
    assert (network.shapes["input"], network.shapes["output"]) == ((4,), (3,))
    assert [f.code for f in network.findings] == ["end-added", "end-added", "shape-inferred"]


def test_missing_input_is_not_guessed_between_two(nir_file: Any) -> None:
    nodes = chain(input=None, fc2={"type": "Linear", "weight": np.ones((3, 4))})
    with pytest.raises(ModelError, match="2 nodes could be the network's input: fc, fc2"):
        read_nir(nir_file(nodes, [*CHAIN[1:], ("fc2", "lif")]), DIALECT)


def test_zero_bias_is_no_bias_and_ints_become_floats(nir_file: Any) -> None:
    affine = {"type": "Affine", "weight": np.ones((3, 4), np.int64), "bias": np.zeros(3)}
    node = read_nir(nir_file(chain(fc=affine), CHAIN), DIALECT).nodes["fc"]
    assert isinstance(node, Linear)
    assert node.bias is None
    assert node.weight.dtype == np.float32


def test_edges_that_meet_are_a_sum(nir_file: Any) -> None:
    nodes = chain(fc2={"type": "Linear", "weight": np.ones((3, 4))})
    network = read_nir(nir_file(nodes, [*CHAIN, ("input", "fc2"), ("fc2", "lif")]), DIALECT)
    assert {e.source for e in network.into("lif")} == {"fc", "fc2"}


def test_subgraph_with_recurrence_is_flattened(nir_file: Any) -> None:
    inner = {
        "nodes": {
            "input": {"type": "Input", "shape": np.array([3])},
            "lif": LIF,
            "w_rec": {"type": "Linear", "weight": np.ones((3, 3))},
            "output": {"type": "Output", "shape": np.array([3])},
        },
        "edges": [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    }
    edges = [("input", "fc"), ("fc", "rnn"), ("rnn", "output")]
    network = read_nir(nir_file(chain(lif=None, rnn=inner), edges), DIALECT)
    assert set(network.nodes) == {"input", "fc", "rnn.lif", "rnn.w_rec", "output"}
    assert Edge("rnn.lif", "rnn.w_rec", 1) in network.edges
    assert Edge("rnn.w_rec", "rnn.lif", 0) in network.edges


def test_nodes_and_edges_in_any_order_give_one_network(nir_file: Any) -> None:
    rec = {"type": "Linear", "weight": np.ones((3, 3))}
    edges = [*CHAIN, ("lif", "rec"), ("rec", "lif")]
    first = read_nir(nir_file(chain(rec=rec), edges), DIALECT)
    second = read_nir(nir_file(dict(reversed(chain(rec=rec).items())), edges[::-1]), DIALECT)
    assert list(first.nodes) == list(second.nodes)
    assert first.edges == second.edges
    assert first.shapes == second.shapes


@pytest.mark.parametrize(
    ("start", "input_type", "expected"),
    [(0, [2, 2, 2], 0), (1, [0, 0, 0, 0], 0), (1, [2, 2, 2], 0), (1, None, 0), (0, None, 0)],
)
def test_flatten_counts_the_batch_axis_or_not(nir_file: Any, start: int, input_type: Any, expected: int) -> None:
    flat: dict[str, Any] = {"type": "Flatten", "start_dim": start, "end_dim": -1}
    if input_type is not None:
        flat["input_type"] = np.array(input_type)
    nodes, edges = image(("flat", flat), ("fc", {"type": "Linear", "weight": np.ones((1, 8))}), shape=(2, 2, 2))
    nodes["input"]["shape"] = np.array([2, 2, 2])
    network = read_nir(nir_file(nodes, edges))
    assert network.nodes["flat"] == Flatten(expected, -1)


@pytest.mark.parametrize(
    ("padding", "kernel", "expected"),
    [("same", 3, (3, 6, 6)), ("same", 4, (3, 6, 6)), ("valid", 3, (3, 4, 4)), (1, 3, (3, 6, 6))],
)
def test_padding_words_and_numbers(nir_file: Any, padding: Any, kernel: int, expected: tuple[int, ...]) -> None:
    conv = {
        "type": "Conv2d",
        "weight": np.ones((3, 2, kernel, kernel)),
        "bias": np.ones(3),
        "stride": 1,
        "padding": padding,
        "dilation": 1,
        "groups": 1,
    }
    nodes, edges = image(("conv", conv))
    network = read_nir(nir_file(nodes, edges))
    assert network.shapes["output"] == expected
    assert "output-shape-differs" in codes(network)


def test_even_same_padding_equals_torch(nir_file: Any) -> None:
    import torch

    from spikeport.deploy.backends.float import run_float

    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 2, 4)).astype(np.float32)
    conv = {
        "type": "Conv1d",
        "weight": weight,
        "bias": np.zeros(3),
        "stride": 1,
        "padding": "same",
        "dilation": 1,
        "groups": 1,
    }
    nodes, edges = image(("conv", conv), shape=(2, 9))
    x = rng.normal(size=(1, 1, 2, 9)).astype(np.float32)
    expected = torch.nn.functional.pad(torch.from_numpy(x[0]), (1, 2))
    want = torch.nn.functional.conv1d(expected, torch.from_numpy(weight))
    np.testing.assert_allclose(run_float(read_nir(nir_file(nodes, edges)), x).outputs["output"][0], want, atol=1e-5)


def test_scalar_pool_kernel_and_missing_stride(nir_file: Any) -> None:
    nodes, edges = image(("pool", {"type": "SumPool2d", "kernel_size": 2, "padding": 0}))
    network = read_nir(nir_file(nodes, edges))
    assert network.nodes["pool"] == Pool("sum", (2, 2), (2, 2), (0, 0))
    assert network.shapes["pool"] == (2, 3, 3)


def test_grouped_non_square_conv_has_the_right_shape(nir_file: Any) -> None:
    conv = {
        "type": "Conv2d",
        "weight": np.ones((4, 1, 3, 5)),
        "bias": np.zeros(4),
        "stride": np.array([1, 2]),
        "padding": np.array([1, 0]),
        "dilation": np.array([1, 1]),
        "groups": 2,
    }
    nodes, edges = image(("conv", conv))
    network = read_nir(nir_file(nodes, edges))
    assert isinstance(network.nodes["conv"], Conv)
    assert network.shapes["conv"] == (4, 6, 1)


def test_delay_becomes_whole_steps_and_rounding_is_said(nir_file: Any) -> None:
    nodes = chain(lif={"type": "Delay", "delay": np.array([0.0, 0.002, 0.0034])})
    network = read_nir(nir_file(nodes, CHAIN), DIALECT)
    node = network.nodes["lif"]
    assert isinstance(node, Delay)
    np.testing.assert_array_equal(node.steps, [0, 2, 3])
    assert "delay-rounded" in codes(network)


def test_ignored_fields_and_dead_ends_are_said(nir_file: Any) -> None:
    nodes = chain(lif=LIF | {"refractory": 2.0}, side={"type": "Linear", "weight": np.ones((2, 3))})
    network = read_nir(nir_file(nodes, [*CHAIN, ("lif", "side")]), DIALECT)
    assert {"unknown-field", "dead-end"} <= codes(network)


def test_unknown_type_names_node_type_and_way_out(nir_file: Any) -> None:
    with pytest.raises(UnsupportedNodeError, match=r"node 'lif' has the type Izhikevich.*Known: Affine.*subgraph"):
        read_nir(nir_file(chain(lif={"type": "Izhikevich"}), CHAIN), DIALECT)


BAD = {
    "nan weight": (
        {"fc": {"type": "Linear", "weight": np.full((3, 4), np.nan)}},
        "'weight' has 12 of 12 values that are NaN",
    ),
    "infinite weight": ({"fc": {"type": "Linear", "weight": np.full((3, 4), np.inf)}}, "NaN or infinite"),
    "float32 overflow": ({"fc": {"type": "Linear", "weight": np.full((3, 4), 1e300)}}, "more than float32 holds"),
    "zero tau": ({"lif": LIF | {"tau": ONES * 0}}, "'tau' must be positive"),
    "negative tau": ({"lif": LIF | {"tau": -ONES}}, "'tau' must be positive"),
    "negative threshold": ({"lif": LIF | {"v_threshold": -ONES}}, "'v_threshold' must be positive"),
    "zero threshold": ({"lif": LIF | {"v_threshold": ONES * 0}}, "'v_threshold' must be positive"),
    "missing tau": ({"lif": {k: v for k, v in LIF.items() if k != "tau"}}, "'tau' is missing"),
    "text for numbers": ({"lif": LIF | {"tau": "fast"}}, "text 'fast'"),
    "empty weight": ({"fc": {"type": "Linear", "weight": np.ones((0, 4))}}, "holds no data|'weight' is empty"),
    "flat weight": ({"fc": {"type": "Linear", "weight": np.ones(4)}}, "1 axes, expected 2"),
    "wrong width": ({"fc": {"type": "Linear", "weight": np.ones((3, 5))}}, "takes 5 inputs, but \\(4,\\) arrives"),
    "wrong population": ({"lif": LIF | {"tau": np.ones(7)}}, "shape \\(7,\\), but \\(3,\\) arrives"),
    "wrong bias": ({"fc": {"type": "Affine", "weight": np.ones((3, 4)), "bias": np.ones(2)}}, "bias of shape \\(2,\\)"),
    "denormal tau": ({"lif": LIF | {"tau": ONES * 1e-320}}, "shortest time constant"),
    "overflowing gain": ({"lif": LIF | {"r": ONES * 1e300}}, "does not fit float32"),
    "negative delay": ({"lif": {"type": "Delay", "delay": -ONES}}, "must not be negative"),
    "endless delay": ({"lif": {"type": "Delay", "delay": ONES * 1e9}}, "more than 100000"),
    "absurd shape": ({"input": {"type": "Input", "shape": np.array([2**40])}}, "should be|67108864 at most"),
    "negative shape": ({"input": {"type": "Input", "shape": np.array([-4])}}, "must be at least 0"),
    "fractional shape": ({"input": {"type": "Input", "shape": np.array([3.5])}}, "should be 1 integers"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_senseless_parameter_is_refused_by_name(nir_file: Any, case: str) -> None:
    changed, reason = BAD[case]
    with pytest.raises(ModelError, match=reason):
        read_nir(nir_file(chain(**changed), CHAIN), DIALECT)


EDGES = {
    "dangling": ([*CHAIN, ("lif", "ghost")], "there is no node 'ghost'"),
    "duplicate": ([*CHAIN, ("fc", "lif")], "'fc' -> 'lif' is there 2 times"),
    "linear self-loop": ([*CHAIN, ("fc", "fc")], "without any neuron"),
    "no way in": ([CHAIN[1], CHAIN[2]], "not reached from any input"),
    "none": ([], "not reached from any input"),
    "out of the output": ([*CHAIN, ("output", "lif")], "one side only|no Output|leads into"),
}


@pytest.mark.parametrize("case", sorted(EDGES))
def test_senseless_edges_are_refused(nir_file: Any, case: str) -> None:
    edges, reason = EDGES[case]
    with pytest.raises(ModelError, match=reason):
        read_nir(nir_file(chain(), edges), DIALECT)


def test_unusable_time_step_is_refused(nir_file: Any) -> None:
    path: Path = nir_file(chain(), CHAIN)
    for dt in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DialectError, match="positive number of seconds"):
            read_nir(path, "nir", dt=dt)
    assert read_nir(path, "nir:dt=5", dt=1e-3).dt == 1e-3
