"""Folding changes the form of a network, never what its neurons receive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn import functional

from spikeport.converters.findings import Finding
from spikeport.converters.network import (
    Activation,
    Conv,
    Delay,
    Edge,
    Embed,
    Flatten,
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
    Shape,
    SparseMap,
)
from spikeport.converters.passes.fold import fold
from spikeport.converters.passes.infer import infer
from spikeport.errors import DoesNotFitError, ModelError, UnsupportedOnChipError

Values = NDArray[np.float64]
RNG = np.random.default_rng(7)
POPULATIONS = (Input, Neuron, Activation, MaxPool, Output)


# ---- a slow oracle, one node and one step at a time ----------------------------------------------------------------


def _torch(values: Values) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def step(node: Node, x: Values, folded: bool) -> Values:
    """What one linear node gives for one step's input, by torch. In a folded network values are flat to a Linear."""
    match node:
        case Linear(weight, bias):
            x = x.reshape(-1) if folded else x
            return functional.linear(_torch(x), _torch(weight), None if bias is None else _torch(bias)).numpy()
        case Conv(weight, bias):
            convolve = functional.conv1d if weight.ndim == 3 else functional.conv2d
            b = None if bias is None else _torch(bias)
            image, kernels = _torch(x)[None], _torch(weight)
            return convolve(image, kernels, b, node.stride, node.padding, node.dilation, node.groups)[0].numpy()
        case Pool(kind, kernel, stride, padding):
            padded = functional.pad(_torch(x), (padding[1], padding[1], padding[0], padding[0]))
            pooled = functional.avg_pool2d(padded.reshape(-1, 1, *padded.shape[-2:]), kernel, stride)
            pooled = pooled.reshape(*x.shape[:-2], *pooled.shape[-2:]).numpy()
            return pooled * (np.prod(kernel) if kind == "sum" else 1.0)
        case Scale(factor, bias):
            return x * factor + (0.0 if bias is None else bias)
        case Reshape(shape):
            return x.reshape(shape)
        case Permute(axes):
            return x.transpose(axes)
        case Embed(shape, offset):
            whole = np.zeros(shape)
            whole[tuple(slice(o, o + n) for o, n in zip(offset, x.shape, strict=True))] = x
            return whole
        case Flatten(start, end):
            return torch.flatten(_torch(x), start, end).numpy()
        case SparseMap(matrix, bias, shape):
            y = matrix.toarray() @ x.reshape(-1)
            return (y if bias is None else y + bias).reshape(shape)
    raise TypeError(type(node))


def run(network: Network, data: Mapping[str, Values], folded: bool) -> dict[str, Values]:
    """What each population gives at each step; neurons here are y[t] = tanh(y[t-1] / 2 + x[t])."""
    history: dict[str, list[Values]] = {name: [] for name in network.nodes}
    arrived: dict[str, list[Values]] = {name: [] for name in network.nodes}
    for t in range(len(next(iter(data.values())))):
        for name, node in network.nodes.items():
            into = network.into(name)
            shape = network.shapes[into[0].source] if into else network.shapes[name]
            shape = network.shapes[name] if isinstance(node, POPULATIONS) else shape
            x = np.zeros(shape)
            for edge in into:
                if t >= edge.delay:
                    x = x + history[edge.source][t - edge.delay].reshape(shape)
            arrived[name].append(x)
            history[name].append(_value(name, node, t, x, history, arrived, data, folded))
    return {name: np.stack(history[name]) for name, node in network.nodes.items() if isinstance(node, POPULATIONS)}


def _value(name, node, t, x, history, arrived, data, folded) -> Values:  # type: ignore[no-untyped-def]
    match node:
        case Input():
            return np.asarray(data[name][t])
        case Output():
            return x
        case Neuron():
            return np.tanh(x + (history[name][t - 1] / 2 if t else 0.0))
        case Delay(steps):
            steps = np.broadcast_to(steps, x.shape)
            past = np.stack([arrived[name][t - d] if t >= d else 0 * x for d in range(int(steps.max()) + 1)])
            return np.take_along_axis(past, steps[None], axis=0)[0]
    return step(node, x, folded)


# ---- builders ------------------------------------------------------------------------------------------------------


def neuron(*shape: int) -> Neuron:
    return Neuron(membrane_decay=np.full(shape, 0.5), threshold=np.ones(shape))


def normal(*shape: int) -> Values:
    return RNG.normal(size=shape)


def conv(c_in: int, c_out: int, kernel: Shape, *, stride=1, padding=0, dilation=1, groups=1, bias=False) -> Conv:  # type: ignore[no-untyped-def]
    weight = normal(c_out, c_in // groups, *kernel)
    axes = len(kernel)
    return Conv(
        weight, normal(c_out) if bias else None, (stride,) * axes, (padding,) * axes, (dilation,) * axes, groups
    )


def pool(kernel: int, kind="sum", stride=None, padding=0) -> Pool:  # type: ignore[no-untyped-def]
    return Pool(kind, (kernel,) * 2, (stride or kernel,) * 2, (padding,) * 2)


def net(nodes: Mapping[str, Node], edges: str) -> Network:
    """``edges``: "a>b b>c:2" with the delay behind the colon. Shapes follow from the nodes."""
    pairs = [(*word.partition(":")[0].split(">"), int(word.partition(":")[2] or 0)) for word in edges.split()]
    shapes = {
        k: n.threshold.shape if isinstance(n, Neuron) else n.shape
        for k, n in nodes.items()
        if isinstance(n, POPULATIONS)
    }
    for name, node in nodes.items():
        if not isinstance(node, POPULATIONS):
            known = next(shapes[a] for a, b, _ in pairs if b == name and a in shapes)
            shapes[name] = known if isinstance(node, Delay) else step(node, np.zeros(known), folded=False).shape
    return Network(nodes, tuple(sorted((Edge(*p) for p in pairs), key=str)), shapes, dt=1e-3, dialect="nir")


def chain(shape: Shape, **linear: Node) -> Network:
    """input > linear nodes > neuron."""
    names = ["input", *linear, "lif"]
    values = np.zeros(shape)
    for node in linear.values():
        values = values if isinstance(node, Delay) else step(node, values, folded=False)
    nodes = {"input": Input(shape), **linear, "lif": neuron(*values.shape)}
    return net(nodes, " ".join(f"{a}>{b}" for a, b in pairwise(names)))


def folded(network: Network) -> tuple[Network, tuple[Finding, ...]]:
    """Fold, and check what every folded network owes: the same values, one linear node at most on each way."""
    outcome = fold(network)
    result = outcome.result
    data = {name: normal(8, *network.shapes[name]) for name in network.inputs}
    expected, actual = run(network, data, folded=False), run(result, data, folded=True)
    assert expected.keys() == actual.keys()
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], atol=1e-9, err_msg=name)
    _check_form(result)
    return result, outcome.findings


def _check_form(network: Network) -> None:
    for name, node in network.nodes.items():
        if isinstance(node, POPULATIONS):
            continue
        assert isinstance(node, Linear | Conv | SparseMap | Delay)
        (into,), (out,) = network.into(name), network.out_of(name)
        source = network.nodes[into.source]
        assert isinstance(source, POPULATIONS) or (isinstance(source, Delay) and not isinstance(node, Delay))
        assert isinstance(network.nodes[out.target], POPULATIONS) or isinstance(node, Delay)
        assert out.delay == 0


def only_linear(network: Network) -> tuple[str, Node]:
    ((name, node),) = [(k, n) for k, n in network.nodes.items() if not isinstance(n, POPULATIONS)]
    return name, node


def codes(findings: tuple[Finding, ...]) -> list[str]:
    return [f.code for f in findings]


# ---- the same values, whatever the sizes ---------------------------------------------------------------------------


@st.composite
def pools_then_convs(draw: st.DrawFn) -> Network:
    """Input, pool, convolution, neuron, in all small sizes, most of which do not divide."""

    def small(low: int, high: int) -> Shape:
        return (draw(st.integers(low, high)), draw(st.integers(low, high)))

    groups, sizes = draw(st.sampled_from([1, 2])), small(3, 9)
    p = Pool(draw(st.sampled_from(["sum", "average"])), small(1, 3), small(1, 3), small(0, 1))
    weight = normal(2 * groups, 1 if groups == 2 else 2, *small(1, 3))
    bias = normal(2 * groups) if draw(st.booleans()) else None
    c = Conv(weight, bias, small(1, 3), small(0, 2), small(1, 3), groups)
    middle = [(n + 2 * q - k) // s + 1 for n, k, s, q in zip(sizes, p.kernel, p.stride, p.padding, strict=True)]
    reach = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], c.dilation, strict=True)]
    assume(all(m >= 1 and m + 2 * q >= r for m, q, r in zip(middle, c.padding, reach, strict=True)))
    return chain((2, *sizes), pool=p, conv=c)


@given(pools_then_convs())
@settings(max_examples=150, deadline=None)
def test_a_pool_and_a_convolution_are_one_map(network: Network) -> None:
    result, findings = folded(network)
    name, node = only_linear(result)
    assert name == "conv"
    assert isinstance(node, Conv) == (codes(findings) == [])


@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2),
    st.integers(1, 3), st.integers(1, 2), st.integers(0, 1), st.integers(1, 2),
    st.sampled_from([(1, 1), (2, 1), (4, 2), (2, 4)]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_two_convolutions_are_one_map(d1, k1, s1, p1, k2, s2, p2, d2, groups) -> None:  # type: ignore[no-untyped-def]
    first = conv(4, 4, (k1, k1), stride=s1, padding=p1, dilation=d1, groups=groups[0], bias=True)
    then = conv(4, 4, (k2, k2), stride=s2, padding=p2, dilation=d2, groups=groups[1], bias=True)
    result, _ = folded(chain((4, 14, 15), conv1=first, conv2=then))
    assert only_linear(result)[0] == "conv2"


@given(st.integers(5, 12), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
@settings(max_examples=40, deadline=None)
def test_one_dimensional_convolutions_fold(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    first = conv(2, 4, (kernel,), stride=stride, padding=padding, dilation=dilation, groups=2)
    then = conv(4, 3, (2,), padding=1, dilation=dilation, bias=True)
    middle = step(first, np.zeros((2, size)), folded=False).shape[1]
    assume(middle + 2 > dilation)
    folded(chain((2, size), conv1=first, scale=Scale(normal(4, 1)), conv2=then))


LINKS = st.sampled_from(
    [
        "beside",
        "padded",
        "shift",
        "turned",
        "rows",
        "scale",
        "scale_per_channel",
        "scale_per_neuron",
        "pool",
        "average",
        "conv",
        "biased",
    ]
)


@given(st.lists(LINKS, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_chain_is_one_map(links: list[str], flat: bool) -> None:
    shape, nodes = (2, 18, 16), {}
    for k, link in enumerate(links):
        channels, height, width = shape
        nodes[f"{link}{k}"] = {
            "beside": Embed((channels + 3, height, width), (1, 0, 0)),
            "padded": Embed((channels, height + 1, width + 5), (0, 0, 3)),
            "shift": Scale(normal(channels, 1, 1), normal(channels, 1, 1)),
            "turned": Permute((0, 2, 1)), "rows": Reshape((channels, width, height)),
            "scale": Scale(normal()),
            "scale_per_neuron": Scale(normal(*shape)), "scale_per_channel": Scale(normal(channels, 1, 1)),
            "pool": pool(2), "average": pool(2, "average", stride=1, padding=1),
            "conv": conv(channels, 2, (3, 2), padding=1), "biased": conv(channels, 2, (2, 3), padding=1, bias=True),
        }[link]  # fmt: skip
        shape = step(nodes[f"{link}{k}"], np.zeros(shape), folded=False).shape
    if flat:
        size = int(np.prod(shape))
        nodes |= {"flatten": Flatten(0, 2), "gain": Scale(normal(size)), "fc": Linear(normal(5, size), normal(5))}
    result, _ = folded(chain((2, 18, 16), **nodes))
    assert len(result.nodes) == (3 if flat or set(links) - {"rows"} else 2)


# ---- the form that comes out ---------------------------------------------------------------------------------------


def test_a_dividing_pool_before_a_padded_convolution_stays_a_convolution() -> None:
    result, findings = folded(chain((2, 16, 8), pool=pool(2), conv=conv(2, 3, (3, 3), padding=1)))
    _, node = only_linear(result)
    assert isinstance(node, Conv)
    assert (node.weight.shape, node.stride, node.padding) == ((3, 2, 6, 6), (2, 2), (2, 2))
    assert findings == ()


def test_a_leftover_pixel_under_padding_unrolls_and_says_so() -> None:
    result, findings = folded(chain((2, 17, 16), pool=pool(2), conv=conv(2, 3, (3, 3), padding=1)))
    name, node = only_linear(result)
    assert isinstance(node, SparseMap)
    (finding,) = findings
    assert (finding.code, finding.severity, finding.where) == ("fold-sparse", "info", name)
    assert "17-pixel axis" in finding.message
    assert f"{node.matrix.nnz:,} synapses" in finding.message
    assert "55 shared weights" in finding.message


def test_a_leftover_pixel_without_padding_stays_a_convolution() -> None:
    result, findings = folded(chain((2, 17, 17), pool=pool(2), conv=conv(2, 3, (3, 3))))
    assert isinstance(only_linear(result)[1], Conv)
    assert findings == ()


def test_a_convolution_before_an_overlapping_pool_stays_a_convolution() -> None:
    result, _ = folded(chain((1, 9, 9), conv=conv(1, 2, (3, 3), padding=1, bias=True), pool=pool(3, "average", 2)))
    name, node = only_linear(result)
    assert isinstance(node, Conv)
    assert (name, node.weight.shape, node.stride) == ("conv", (2, 1, 5, 5), (2, 2))


def test_a_kernel_of_mostly_gaps_is_unrolled() -> None:
    result, findings = folded(chain((1, 32, 32), pool=pool(2), conv=conv(1, 1, (3, 3), dilation=3)))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert "18% of the folded kernel's taps" in findings[0].message


def test_a_pool_alone_is_a_depthwise_convolution() -> None:
    result, findings = folded(chain((3, 8, 8), pool=pool(2, "average", padding=1)))
    name, node = only_linear(result)
    assert isinstance(node, Conv)
    assert (name, node.groups, findings) == ("pool", 3, ())
    np.testing.assert_array_equal(node.weight, np.full((3, 1, 2, 2), 0.25, np.float32))


def test_a_pool_over_other_than_three_axes_is_sparse() -> None:
    result, findings = folded(chain((6, 8), pool=pool(2)))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert "last two of 2 axes" in findings[0].message


def test_a_pool_along_one_axis_and_a_convolution_are_one_convolution() -> None:
    along = Pool("average", (1, 2), (1, 2), (0, 0))
    result, findings = folded(chain((3, 8), pool=along, conv=conv(3, 4, (3,), padding=1)))
    assert isinstance(only_linear(result)[1], Conv)
    assert findings == ()


@pytest.mark.parametrize("ends", [(0, 1), (1, 0), (1, 1), (0, 3), (2, 0)])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_before_a_convolution_stays_a_convolution(ends: Shape, stride: int) -> None:
    padded = Embed((2, 8 + sum(ends), 7 + sum(ends)), (0, ends[0], ends[0]))
    result, findings = folded(chain((2, 8, 7), pad=padded, conv=conv(2, 3, (3, 3), stride=stride, padding=1)))
    assert isinstance(only_linear(result)[1], Conv)
    assert findings == ()


def test_a_convolution_of_concatenated_channels_becomes_one_slice_for_each_branch() -> None:
    nodes = {"input": Input((3, 6, 6)), "a": neuron(3, 6, 6), "wide": conv(3, 5, (1, 1)), "b": neuron(5, 6, 6),
             "part_a": Embed((8, 6, 6), (0, 0, 0)), "part_b": Embed((8, 6, 6), (3, 0, 0)),
             "norm": Scale(normal(8, 1, 1), normal(8, 1, 1)), "conv": conv(8, 4, (3, 3), bias=True),
             "c": neuron(4, 4, 4), "output": Output((4, 4, 4))}  # fmt: skip
    edges = "input>a a>wide wide>b a>part_a b>part_b part_a>norm part_b>norm norm>conv conv>c c>output"
    result, findings = folded(net(nodes, edges))
    slices = sorted(node.weight.shape for node in result.nodes.values() if isinstance(node, Conv))
    assert slices == [(4, 3, 3, 3), (4, 5, 3, 3), (5, 3, 1, 1)]
    assert findings == ()


def test_channels_beside_others_are_single_synapses_not_an_empty_kernel() -> None:
    result, _ = folded(chain((2, 4, 4), beside=Embed((16, 4, 4), (3, 0, 0)), shift=Scale(normal(16, 1, 1))))
    _, node = only_linear(result)
    assert isinstance(node, SparseMap)
    assert node.matrix.nnz == 32


def test_a_linear_map_of_concatenated_vectors_is_a_linear_map_for_each() -> None:
    nodes = {"input": Input((3,)), "n": neuron(3), "first": Embed((6,), (0,)), "second": Embed((6,), (3,)),
             "fc": Linear(normal(4, 6), normal(4)), "output": Output((4,))}  # fmt: skip
    result, _ = folded(net(nodes, "input>first input>n n>second first>fc second>fc fc>output"))
    assert sorted(n.weight.shape for n in result.nodes.values() if isinstance(n, Linear)) == [(4, 3), (4, 3)]


def test_activations_and_max_pools_are_populations() -> None:
    nodes = {"input": Input((2, 6, 6)), "conv": conv(2, 3, (3, 3)), "norm": Scale(normal(3, 1, 1), normal(3, 1, 1)),
             "relu": Activation(), "max": MaxPool((2, 2), (2, 2), (0, 0)), "flat": Reshape((12,)),
             "fc": Linear(normal(5, 12)), "output": Output((5,))}  # fmt: skip
    names = list(nodes)
    network = Network(nodes, tuple(map(Edge, names, names[1:])), {}, 1.0, "nir")
    result = fold(infer(network).result).result
    assert list(result.nodes) == ["input", "conv", "relu", "max", "fc", "output"]
    assert isinstance(result.nodes["conv"], Conv)
    assert result.nodes["conv"].bias is not None


def test_pool_flatten_linear_is_a_linear_with_more_columns() -> None:
    result, findings = folded(
        chain((2, 6, 6), pool=pool(2), flatten=Flatten(0, 2), fc=Linear(normal(4, 18), normal(4)))
    )
    name, node = only_linear(result)
    assert isinstance(node, Linear)
    assert (name, node.weight.shape, findings) == ("fc", (4, 72), ())


def test_a_product_of_linear_maps_with_few_weights_left_is_sparse() -> None:
    first, then = Linear(np.eye(20)), Linear(np.diag(normal(20)))
    result, findings = folded(chain((20,), a=first, b=then))
    name, node = only_linear(result)
    assert isinstance(node, SparseMap)
    assert (name, node.matrix.nnz, codes(findings)) == ("b", 20, ["fold-sparse"])


def test_a_pruned_linear_on_its_own_stays_linear() -> None:
    result, findings = folded(chain((20,), fc=Linear(np.eye(20))))
    assert isinstance(only_linear(result)[1], Linear)
    assert findings == ()


def test_a_linear_on_the_last_axis_is_block_diagonal() -> None:
    result, findings = folded(chain((3, 4), fc=Linear(normal(2, 4), normal(2))))
    _, node = only_linear(result)
    assert isinstance(node, SparseMap)
    assert (node.shape, node.matrix.nnz) == ((3, 2), 24)
    assert "block 3 times" in findings[0].message


def test_leading_axes_of_one_leave_a_linear_dense() -> None:
    result, _ = folded(chain((1, 1, 4), fc=Linear(normal(2, 4), normal(2))))
    assert isinstance(only_linear(result)[1], Linear)


def test_a_factor_per_neuron_breaks_weight_sharing_and_says_so() -> None:
    result, findings = folded(chain((2, 5, 5), scale=Scale(normal(2, 5, 5)), conv=conv(2, 2, (3, 3))))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert "breaks weight sharing" in findings[0].message


def test_a_bias_under_padding_breaks_weight_sharing_and_says_so() -> None:
    nodes = {"conv1": conv(1, 2, (1, 1), bias=True), "conv2": conv(2, 2, (3, 3), padding=1)}
    result, findings = folded(chain((1, 5, 5), **nodes))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert "bias that differs" in findings[0].message


@pytest.mark.parametrize(("factor", "form"), [((1, 1, 1), Conv), ((2, 1, 1), Conv), ((2, 4, 4), SparseMap)])
def test_a_factor_alone_becomes_synapses(factor: Shape, form: type) -> None:
    assert isinstance(only_linear(folded(chain((2, 4, 4), scale=Scale(normal(*factor))))[0])[1], form)


def test_a_flatten_alone_leaves_a_bare_edge() -> None:
    result, _ = folded(chain((2, 3, 4), flatten=Flatten(0, 2)))
    assert result.edges == (Edge("input", "lif"),)


def test_a_convolution_keeps_its_own_axes_in_front_of_a_flatten() -> None:
    result, _ = folded(chain((1, 5, 5), conv=conv(1, 2, (3, 3)), flatten=Flatten(0, 2)))
    assert isinstance(result.nodes["conv"], Conv)
    assert (result.shapes["conv"], result.shapes["lif"]) == ((2, 3, 3), (18,))


def test_axes_merged_before_a_convolution_unroll_it() -> None:
    result, findings = folded(chain((2, 3, 3), flatten=Flatten(1, 2), conv=conv(2, 2, (3,))))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert "(2, 3, 3) as (2, 9)" in findings[0].message


def test_axes_merged_between_convolutions_unroll_them() -> None:
    nodes = {"conv1": conv(2, 2, (2, 2)), "flatten": Flatten(1, 2), "conv2": conv(2, 2, (3,), padding=1)}
    result, findings = folded(chain((2, 4, 4), **nodes))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert "gives as (2, 3, 3) the next reads as (2, 9)" in findings[0].message


def test_a_sparse_map_that_was_there_before_is_no_news() -> None:
    mapped = SparseMap(csr_array(np.diag(normal(6))), normal(6), (6,))
    result, findings = folded(chain((6,), map=mapped))
    assert isinstance(only_linear(result)[1], SparseMap)
    assert findings == ()


def test_folding_twice_changes_nothing_more() -> None:
    once = fold(chain((2, 17, 17), pool=pool(2), conv=conv(2, 3, (3, 3), padding=1, bias=True))).result
    twice = fold(once)
    assert twice.findings == ()
    assert (twice.result.nodes["conv"].matrix != once.nodes["conv"].matrix).nnz == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_keep_their_precision(dtype: type) -> None:
    fc = Linear(normal(3, 4).astype(dtype), normal(3).astype(dtype))
    _, node = only_linear(fold(chain((4,), scale=Scale(np.float32([2.0])), fc=fc)).result)
    assert isinstance(node, Linear)
    assert node.bias is not None
    assert (node.weight.dtype, node.bias.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(node.weight, 2 * fc.weight)


# ---- branches, names -----------------------------------------------------------------------------------------------


def test_a_fan_out_is_copied_with_readable_names() -> None:
    nodes = {"in": Input((4,)), "fc": Linear(normal(3, 4), normal(3)), "lif1": neuron(3), "lif2": neuron(3)}
    result, _ = folded(net(nodes, "in>fc fc>lif1 fc>lif2"))
    assert list(result.nodes) == ["in", "fc->lif1", "lif1", "fc->lif2", "lif2"]


def test_a_bias_where_branches_meet_is_counted_once() -> None:
    nodes = {
        "a": Input((4,)),
        "b": Input((4,)),
        "s": Scale(normal()),
        "fc": Linear(normal(3, 4), normal(3)),
        "lif": neuron(3),
    }
    result, _ = folded(net(nodes, "a>fc b>s s>fc fc>lif"))
    biases = [node.bias is not None for node in result.nodes.values() if isinstance(node, Linear)]
    assert sorted(biases) == [False, True]
    assert {"a->fc->lif", "b->fc->lif"} < set(result.nodes)


def test_diamonds_of_biased_maps_fold() -> None:
    def linear() -> Linear:
        return Linear(normal(4, 4), normal(4))

    nodes = {"in": Input((4,)), **{k: linear() for k in "abcdef"}, "lif": neuron(4)}
    result, _ = folded(net(nodes, "in>a in>b a>c b>c a>d c>e d>e e>f c>f f>lif"))
    assert len([n for n in result.nodes.values() if isinstance(n, Linear)]) == 5


def test_a_residual_edge_stays_bare() -> None:
    nodes = {"in": Input((4,)), "fc": Linear(normal(4, 4)), "lif": neuron(4), "out": Output((4,))}
    result, _ = folded(net(nodes, "in>fc fc>lif in>lif lif>out"))
    assert Edge("in", "lif") in result.edges
    assert Edge("lif", "out") in result.edges


def test_parallel_factors_and_bare_edges_all_count() -> None:
    nodes = {
        "in": Input((2, 2)),
        "s": Scale(np.float64(1.0)),
        "d": Delay(np.array(2)),
        "flat": Flatten(0, 1),
        "lif": neuron(2, 2),
    }
    result, _ = folded(net(nodes, "in>lif in>s s>lif in>d d>lif in>flat flat>lif"))
    assert len(result.into("lif")) == len(set(result.into("lif"))) == 4


def test_names_never_collide_with_the_users() -> None:
    nodes = {"in": Input((3,)), "fc": Linear(normal(3, 3)), "fc->a": neuron(3), "a": neuron(3), "b": neuron(3)}
    result, _ = folded(net(nodes, "in>fc fc>a fc>b"))
    assert isinstance(result.nodes["fc->a"], Neuron)
    assert isinstance(result.nodes["in->fc->a"], Linear)


def test_a_map_that_leads_nowhere_is_left_out_and_named() -> None:
    nodes = {"in": Input((3,)), "idle": Linear(normal(3, 3)), "out": Output((3,))}
    result, findings = folded(net(nodes, "in>idle in>out"))
    assert "idle" not in result.nodes
    assert [(f.code, f.where) for f in findings] == [("fold-unused", "idle")]


def test_everything_else_of_the_network_stays() -> None:
    said = Finding("reader", "info", "", "something")
    network = replace(
        chain((2, 17, 17), pool=pool(2), conv=conv(2, 3, (3, 3), padding=1)), source_hash="abc", findings=(said,)
    )
    outcome = fold(network)
    assert (outcome.result.dt, outcome.result.dialect, outcome.result.source_hash) == (1e-3, "nir", "abc")
    assert outcome.result.findings == (said, *outcome.findings)


# ---- delays and loops ----------------------------------------------------------------------------------------------


def test_uniform_delays_and_edge_delays_add_up_on_the_first_edge() -> None:
    nodes = {
        "in": Input((3,)),
        "d": Delay(np.full(3, 2)),
        "fc": Linear(normal(3, 3)),
        "e": Delay(np.array(1)),
        "lif": neuron(3),
    }
    result, _ = folded(net(nodes, "in>d:1 d>fc fc>e e>lif:3"))
    assert set(result.edges) == {Edge("in", "fc", 7), Edge("fc", "lif", 0)}


def test_a_delay_per_neuron_stays_in_front() -> None:
    nodes = {"in": Input((3,)), "d": Delay(np.array([1, 3, 2])), "fc": Linear(normal(4, 3)), "lif": neuron(4)}
    result, _ = folded(net(nodes, "in>d d>fc fc>lif"))
    np.testing.assert_array_equal(result.nodes["d"].steps, [0, 2, 1])  # type: ignore[union-attr]
    assert set(result.edges) == {Edge("in", "d", 1), Edge("d", "fc"), Edge("fc", "lif")}


def test_a_delay_per_channel_moves_in_front_of_a_depthwise_map() -> None:
    delay = Delay(np.array([0, 2]).reshape(2, 1, 1))
    result, _ = folded(
        chain((2, 4, 4), pool=pool(2), scale=Scale(normal(2, 1, 1)), delay=delay, conv=conv(2, 3, (2, 2)))
    )
    assert result.shapes["delay"] == (2, 4, 4)
    assert isinstance(result.nodes["conv"], Conv)


def test_a_delay_per_neuron_straight_into_a_neuron_has_no_map() -> None:
    result, _ = folded(chain((4,), delay=Delay(np.array([0, 1, 2, 3]))))
    assert list(result.nodes) == ["input", "delay", "lif"]


def test_a_delay_per_neuron_behind_a_dense_map_is_refused_by_name() -> None:
    network = chain((3,), fc=Linear(normal(4, 3)), slow=Delay(np.array([0, 1, 2, 5])))
    with pytest.raises(UnsupportedOnChipError, match=r"^slow: .*source neuron 0: 0 to 5 steps.*in front of"):
        fold(network)


def test_a_bias_behind_a_delay_is_reported_with_its_numbers() -> None:
    nodes = {
        "in": Input((3,)),
        "fc": Linear(normal(2, 3), np.array([0.5, -1.5])),
        "d": Delay(np.array(4)),
        "lif": neuron(2),
    }
    outcome = fold(net(nodes, "in>fc fc>d d>lif"))
    (finding,) = outcome.findings
    assert (finding.code, finding.severity, finding.where) == ("bias-delay", "warning", "fc")
    assert "1.5" in finding.message
    assert "4 steps" in finding.message


def test_a_bias_in_front_of_no_delay_is_no_news() -> None:
    nodes = {"in": Input((3,)), "d": Delay(np.array(4)), "fc": Linear(normal(2, 3), normal(2)), "lif": neuron(2)}
    assert folded(net(nodes, "in>d d>fc fc>lif"))[1] == ()


def test_recurrence_keeps_its_delay() -> None:
    nodes = {
        "in": Input((3,)),
        "fc": Linear(normal(4, 3)),
        "rec": Linear(normal(4, 4), normal(4)),
        "lif": neuron(4),
        "out": Output((4,)),
    }
    result, _ = folded(net(nodes, "in>fc fc>lif lif>rec:1 rec>lif lif>out"))
    assert Edge("lif", "rec", 1) in result.edges


def test_a_loop_through_a_delay_per_neuron_keeps_a_step_on_its_edge() -> None:
    nodes = {"in": Input((2,)), "d": Delay(np.array([1, 3])), "rec": Linear(normal(2, 2)), "lif": neuron(2)}
    result, _ = folded(net(nodes, "in>lif lif>d:1 d>rec rec>lif"))
    assert Edge("lif", "d", 2) in result.edges


def test_a_loop_without_a_neuron_is_refused_by_name() -> None:
    nodes = {"in": Input((3,)), "a": Linear(normal(3, 3)), "b": Linear(normal(3, 3)), "lif": neuron(3)}
    network = net(nodes, "in>a a>b b>a:1 b>lif")
    with pytest.raises(UnsupportedOnChipError, match=r"a -> b -> a|b -> a -> b"):
        fold(network)


def test_branches_that_multiply_without_end_are_refused() -> None:
    nodes: dict[str, Node] = {"n0": Input((1,))}
    edges = []
    for k in range(40):
        nodes |= {f"a{k}": Scale(normal(1)), f"b{k}": Scale(normal(1)), f"n{k + 1}": Scale(normal(1))}
        edges += [f"n{k}>a{k}", f"n{k}>b{k}", f"a{k}>n{k + 1}", f"b{k}>n{k + 1}"]
    network = net(nodes | {"lif": neuron(1)}, " ".join([*edges, "n40>lif"]))
    with pytest.raises(UnsupportedOnChipError, match=r"^lif: more than 1000 ways"):
        fold(network)


def test_a_product_larger_than_any_chip_is_refused_before_it_is_built() -> None:
    wide = Linear(np.broadcast_to(np.float32(1.0), (1, 20_000)))
    tall = Linear(np.broadcast_to(np.float32(1.0), (20_000, 1)))
    nodes = {"in": Input((20_000,)), "wide": wide, "tall": tall, "lif": neuron(20_000)}
    shapes = {"in": (20_000,), "wide": (1,), "tall": (20_000,), "lif": (20_000,)}
    edges = (Edge("in", "wide"), Edge("tall", "lif"), Edge("wide", "tall"))
    with pytest.raises(DoesNotFitError, match="400,000,000 synapses"):
        fold(Network(nodes, edges, shapes, 1e-3, "nir"))


def test_a_network_without_shapes_is_refused() -> None:
    network = replace(chain((3,), fc=Linear(normal(2, 3))), shapes={"input": (3,)})
    with pytest.raises(ModelError, match=r"^fc: its shape is not known"):
        fold(network)
