"""infer and check: shapes follow, and every complaint names its node."""

from dataclasses import replace

import numpy as np
import pytest

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import (
    Activation,
    Conv,
    Edge,
    Embed,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Network,
    Output,
    Permute,
    Pool,
    Reshape,
    Scale,
)
from spikeport.converters.passes.infer import check, infer
from spikeport.errors import ModelError

ONE = np.ones((3, 4), np.float32)


def network(nodes: dict[str, object], *edges: Edge) -> Network:
    ends = {"in": Input((4,)), "out": Output((3,))}
    return Network(ends | nodes, edges, {}, 1e-3, "nir")  # type: ignore[arg-type]


def test_shapes_follow_through_conv_pool_flatten_linear() -> None:
    layers = [
        ("conv", Conv(np.ones((8, 2, 3, 5), np.float32), None, (2, 1), (1, 2), (1, 1))),
        ("lif", leaky(0.9)),
        ("pool", Pool("average", (2, 2), (2, 2), (0, 0))),
        ("flat", Flatten(0, -1)),
        ("fc", Linear(np.ones((10, 8 * 4 * 8), np.float32))),
    ]
    made = sequential(layers, (2, 16, 16), 1e-3)
    assert [made.shapes[n] for n in ("conv", "pool", "flat", "output")] == [(8, 8, 16), (8, 4, 8), (256,), (10,)]


def test_nodes_are_put_in_an_order_that_computes() -> None:
    made = infer(network({"fc": Linear(ONE)}, Edge("fc", "out"), Edge("in", "fc"))).result
    assert list(made.nodes) == ["in", "fc", "out"]


WRONG = {
    "linear": ([("fc", Linear(np.ones((3, 5), np.float32)))], "'fc': its weight takes 5 inputs, but \\(4,\\) arrives"),
    "bias": ([("fc", Linear(ONE, np.ones(2, np.float32)))], "'fc': bias of shape \\(2,\\) for 3 outputs"),
    "conv rank": (
        [("c", Conv(np.ones((1, 1, 3, 3), np.float32), None, (1, 1), (0, 0), (1, 1)))],
        "'c': its kernels take",
    ),
    "kernel": ([("c", Conv(np.ones((1, 4, 3), np.float32), None, (1,), (0,), (1,)))], "'c'"),
    "pool": ([("p", Pool("sum", (2, 2), (2, 2), (0, 0)))], "'p' pools over two axes"),
    "flatten": ([("f", Flatten(0, 3))], "'f' flattens axes 0 to 3"),
    "scale": ([("s", Scale(np.ones(3, np.float32)))], "'s': its factor has shape \\(3,\\)"),
    "scale bias": ([("s", Scale(np.ones(1), np.ones((2, 4))))], "'s': its bias has shape \\(2, 4\\)"),
    "reshape": ([("r", Reshape((3, 2)))], "'r' reads \\(4,\\) as \\(3, 2\\)"),
    "permute": ([("p", Permute((1,)))], "'p' puts the axes \\(1,\\) in order"),
    "embed": ([("e", Embed((6,), (3,)))], "'e' puts \\(4,\\) at \\(3,\\) into \\(6,\\)"),
    "embed rank": ([("e", Embed((1, 6), (0, 1)))], "'e' puts"),
    "max pool": ([("m", MaxPool((2, 2), (2, 2), (0, 0)))], "'m' pools over two axes"),
    "ceiling shape": ([("a", Activation(np.ones(3)))], "'a': its ceiling has shape \\(3,\\)"),
    "ceiling value": ([("a", Activation(np.zeros(1)))], "'a': its ceiling goes down to 0"),
    "levels": ([("a", Activation(None, 4))], "'a' has 4 levels below a ceiling of None"),
    "neuron": ([("n", leaky(np.full(3, 0.5, np.float32)))], "'n': its membrane_decay has shape \\(3,\\)"),
}


@pytest.mark.parametrize("case", sorted(WRONG))
def test_unfitting_node_is_named(case: str) -> None:
    layers, reason = WRONG[case]
    with pytest.raises(ModelError, match=reason):
        sequential(layers, (4,), 1e-3)  # type: ignore[arg-type]


def test_kernel_larger_than_its_input_is_refused() -> None:
    conv = Conv(np.ones((1, 1, 5, 5), np.float32), None, (1, 1), (0, 0), (1, 1))
    with pytest.raises(ModelError, match=r"'c'.*larger than its input \(3, 3\)"):
        sequential([("c", conv)], (1, 3, 3), 1e-3)


def test_absurd_size_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(ModelError, match="67108864 at most"):
        sequential([("n", leaky(0.9))], (1 << 20, 1 << 20), 1e-3)


def test_too_many_layers_of_absurd_size_are_refused() -> None:
    with pytest.raises(ModelError, match="give 335544320 values per step; at most 268435456"):
        sequential([(f"n{k}", leaky(0.9)) for k in range(3)], (1 << 26,), 1e-3)


BROKEN = {
    "unknown node": ((Edge("in", "ghost"),), "no node 'ghost'"),
    "twice": ((Edge("in", "fc"), Edge("in", "fc", 1), Edge("fc", "out")), "is there twice"),
    "negative delay": ((Edge("in", "fc", -1), Edge("fc", "out")), "-1 steps"),
    "into the input": ((Edge("in", "fc"), Edge("fc", "out"), Edge("fc", "in")), "leads into an Input"),
    "unreached": ((Edge("fc", "out"),), "not reached from any input"),
    "sum of two shapes": ((Edge("in", "fc"), Edge("fc", "out"), Edge("in", "out")), "sums 'fc' of shape \\(3,\\)"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_broken_graph_is_refused(case: str) -> None:
    edges, reason = BROKEN[case]
    with pytest.raises(ModelError, match=reason):
        infer(network({"fc": Linear(ONE)}, *edges))


def test_check_catches_what_a_faulty_pass_would_leave() -> None:
    good = sequential([("fc", Linear(ONE)), ("n", leaky(0.5))], (4,), 1e-3)
    check(good)
    with pytest.raises(ModelError, match="'fc' has no shape"):
        check(replace(good, shapes={k: v for k, v in good.shapes.items() if k != "fc"}))
    with pytest.raises(ModelError, match="'n': its shape"):
        check(replace(good, shapes={**good.shapes, "n": (7,)}))
    with pytest.raises(ModelError, match="stands before"):
        check(replace(good, nodes=dict(reversed(good.nodes.items()))))
    with pytest.raises(ModelError, match="no Input or no Output"):
        check(Network({"in": Input((4,))}, (), {"in": (4,)}, 1e-3, "nir"))


def test_dead_end_is_kept_and_reported() -> None:
    nodes = {"fc": Linear(ONE), "side": Linear(ONE)}
    outcome = infer(network(nodes, Edge("in", "fc"), Edge("fc", "out"), Edge("in", "side")))
    assert [(f.code, f.where) for f in outcome.findings] == [("dead-end", "side")]
