"""A linear node's matrix is what torch's own function does to each unit vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from spikeport.converters.network import Conv, Flatten, Linear, Pool, Scale, Shape
from spikeport.converters.passes.fold_matrix import MatrixNode, apply, as_matrix, conv_shape
from spikeport.errors import DoesNotFitError

RNG = np.random.default_rng(3)


def by_torch(node: Linear | Conv | Pool, unit: torch.Tensor) -> torch.Tensor:
    match node:
        case Linear(weight):
            return functional.linear(unit, torch.from_numpy(weight))
        case Conv(weight, _, stride, padding, dilation, groups):
            convolve = functional.conv1d if weight.ndim == 3 else functional.conv2d
            return convolve(unit[None], torch.from_numpy(weight), None, stride, padding, dilation, groups)[0]
        case Pool(kind, kernel, stride, padding):
            size = 1.0 if kind == "average" else float(np.prod(kernel))
            return functional.avg_pool2d(unit, kernel, stride, padding) * size


def column_by_column(node: Linear | Conv | Pool, shape: Shape) -> NDArray[np.float64]:
    units = torch.eye(int(np.prod(shape)), dtype=torch.float64).reshape(-1, *shape)
    return torch.stack([by_torch(node, unit).reshape(-1) for unit in units], dim=1).numpy()


def check(node: Linear | Conv | Pool, shape: Shape) -> None:
    expected = column_by_column(node, shape)
    np.testing.assert_allclose(as_matrix(node, shape).toarray(), expected, atol=1e-12)
    values = RNG.normal(size=int(np.prod(shape)))
    np.testing.assert_allclose(apply(node, shape, values), expected @ values, atol=1e-12)


PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))


@given(st.tuples(st.integers(1, 6), st.integers(1, 6)), PAIR, PAIR, PAIR, PAIR, st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_convolutions(size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> None:
    node = Conv(RNG.normal(size=(4, 2 // groups, *kernel)), None, stride, padding, dilation, groups)
    assume(min(conv_shape(node, (2, *size))) > 0)
    check(node, (2, *size))


@given(st.integers(3, 8), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=30, deadline=None)
def test_convolutions_on_one_axis(size: int, kernel: int, stride: int, padding: int) -> None:
    check(Conv(RNG.normal(size=(3, 2, kernel)), None, (stride,), (padding,), (1,)), (2, size))


@pytest.mark.parametrize("kind", ["sum", "average"])
@pytest.mark.parametrize("shape", [(2, 5, 7), (5, 7), (2, 2, 5, 4)])
def test_pools_over_any_leading_axes(kind: str, shape: Shape) -> None:
    check(Pool(kind, (3, 2), (2, 1), (1, 1)), shape if len(shape) > 2 else (1, *shape))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4), (2, 3, 4)])
def test_a_linear_acts_on_the_last_axis(shape: Shape) -> None:
    check(Linear(RNG.normal(size=(5, 4))), shape)


@pytest.mark.parametrize("node", [Scale(np.array([[2.0], [3.0]])), Flatten(0, 1)])
def test_factors_and_reordering_are_diagonal(node: MatrixNode) -> None:
    expected = [2.0, 2.0, 2.0, 3.0, 3.0, 3.0] if isinstance(node, Scale) else np.ones(6)
    np.testing.assert_array_equal(as_matrix(node, (2, 3)).toarray(), np.diag(expected))


def test_zero_weights_are_no_synapses() -> None:
    weight = np.ones((1, 1, 3, 3))
    weight[0, 0, 1, 1] = 0.0
    assert as_matrix(Conv(weight, None, (1, 1), (0, 0), (1, 1)), (1, 3, 3)).nnz == 8


def test_a_convolution_larger_than_any_chip_is_refused_before_it_is_unrolled() -> None:
    node = Conv(np.ones((64, 64, 3, 3)), None, (1, 1), (1, 1), (1, 1))
    with pytest.raises(DoesNotFitError, match=r"\(64, 128, 128\) unrolls to 5\d\d,\d{3},\d{3} synapses"):
        as_matrix(node, (64, 128, 128))
