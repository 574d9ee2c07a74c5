"""Groups of synapses as linear nodes in trained units: coarse and fine weights summed to the one map they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Conv2d, Ints, Population, Sparse, Synapses
from spikeport.converters.findings import Finding
from spikeport.converters.network import Conv, Linear, Scale, Shape
from spikeport.converters.write.chip_neurons import arrival_worth, message_worth
from spikeport.errors import UnsupportedNodeError

Floats = NDArray[np.float64]
SUFFIXES = ("/coarse", "/fine")
MAX_DENSE = 1 << 26
"""Sparse weights are written as a matrix up to this many entries: NIR has no sparse map."""


@dataclass(frozen=True)
class FloatConnection:
    """A connection in floats.

    Attributes:
        name: of the connection, which is the trained network's own where it had a linear node.
        source, target: population names.
        node: the map; ``takes`` and ``gives`` are the shapes it works on.
        lag: steps of the trained network's clock, one int or an int array (n_source,).
    """

    name: str
    source: str
    target: str
    node: Linear | Conv | Scale
    takes: Shape
    gives: Shape
    lag: int | Ints


def joined(groups: Sequence[Synapses]) -> dict[str, list[Synapses]]:
    """Groups by connection: split weights under one name."""
    found: dict[str, list[Synapses]] = {}
    for group in groups:
        name = next((group.name.removesuffix(s) for s in SUFFIXES if group.name.endswith(s)), group.name)
        found.setdefault(name, []).append(group)
    return found


def float_connection(
    name: str, groups: Sequence[Synapses], source: Population, target: Population, input_unit: float
) -> FloatConnection:
    """One connection.

    Args:
        name: see `FloatConnection`.
        groups: what carries it, all of one kind and delay.
        source, target: its ends.
        input_unit: what a payload of 1 from an input is worth to the trained network.

    Raises:
        UnsupportedNodeError: sparse weights too many to write as a matrix.
    """
    worth = input_unit if source.model == "input" else message_worth(source)
    gain = arrival_worth(target) / worth
    # The chip's D steps of delay are D = shift_target - shift_source + lag - 1 (`spikeport.converters.passes.align`).
    lag = groups[0].delay + 1 - target.shift + source.shift
    shapes = (source.shape, target.shape)
    match groups[0].connectivity:
        case Conv2d() as conv:
            made = _conv(conv, _summed(groups) * gain, *shapes)
        case _:
            made = _matrix(name, groups, gain, *shapes)
    return FloatConnection(name, source.name, target.name, *made, lag)


Made = tuple[Linear | Conv | Scale, Shape, Shape]
"""A map and the shapes it takes and gives."""


def _summed(groups: Sequence[Synapses]) -> Floats:
    total: Floats = np.add.reduce([_values(g) for g in groups])
    return total


def _values(group: Synapses) -> Floats:
    """Weights of a dense group or kernels of a convolution, their exponent applied."""
    kind = group.connectivity
    weight = kind.matrix.toarray() if isinstance(kind, Sparse) else kind.weight
    return np.asarray(weight, np.float64) * 2.0**group.weight_exp


def _matrix(name: str, groups: Sequence[Synapses], gain: float, source: Shape, target: Shape) -> Made:
    """A matrix, or one factor per neuron where it is diagonal and both ends have one shape."""
    if source == target and all(_diagonal(g) for g in groups):
        factors = [g.connectivity.matrix.data * 2.0**g.weight_exp for g in groups]  # type: ignore[union-attr]
        factor: Floats = np.add.reduce(factors) * gain
        return Scale(factor.reshape(source).astype(np.float32)), source, target
    size = prod(source) * prod(target)
    if isinstance(groups[0].connectivity, Sparse) and size > MAX_DENSE:
        raise UnsupportedNodeError(
            f"{name}: sparse weights between {prod(source)} and {prod(target)} neurons; NIR has no sparse map, and a "
            f"matrix of {size} entries is more than the {MAX_DENSE} that are written."
        )
    return Linear((_summed(groups) * gain).astype(np.float32)), (prod(source),), (prod(target),)


def _diagonal(group: Synapses) -> bool:
    if not isinstance(group.connectivity, Sparse):
        return False
    matrix, each = group.connectivity.matrix, np.arange(group.connectivity.matrix.shape[0] + 1)
    return bool(np.array_equal(matrix.indptr, each) and np.array_equal(matrix.indices, each[:-1]))


def _conv(conv: Conv2d, weight: Floats, source: Shape, target: Shape) -> Made:
    """A 2-d convolution, or a 1-d one where both ends are (C, L)."""
    flat = len(source) == len(target) == 2

    def axes(sizes: tuple[int, int]) -> Shape:
        return sizes[1:] if flat else sizes

    kernels = (weight[:, :, 0] if flat else weight).astype(np.float32)
    node = Conv(kernels, None, axes(conv.stride), axes(conv.padding), axes(conv.dilation), conv.groups)
    return (node, source, target) if flat else (node, conv.source_shape, conv.target_shape)


def unsaid(name: str, groups: Sequence[Synapses]) -> list[Finding]:
    """What a map in floats leaves out."""
    rounded = [-g.weight_exp for g in groups if g.weight_exp < 0 and np.any(_integers(g) % (1 << -g.weight_exp))]
    if not rounded:
        return []
    message = f"the chip rounds its sums down to multiples of 2^{max(rounded)}; floats do not."
    return [Finding("sums-not-rounded", "info", name, message)]


def _integers(group: Synapses) -> Ints:
    held = group.connectivity
    return np.asarray(held.matrix.data if isinstance(held, Sparse) else held.weight)
