"""The connections of `lower`: every folded linear map becomes weights from one population to another.

A neuron's gains go into the weights; a constant c that enters before a current of decay a is c/(1 - a) on v together
with an initial u of -c/(1 - a).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array

from spikeport.converters.circuit import (
    SIGMA_DELTA,
    Connection,
    ConvMap,
    DenseMap,
    FloatMap,
    FloatPopulation,
    SparseWeights,
)
from spikeport.converters.network import (
    Array,
    Conv,
    Delay,
    Edge,
    Input,
    Linear,
    Network,
    Neuron,
    Node,
    Shape,
    SigmaDelta,
    SparseMap,
)
from spikeport.errors import ModelError, UnsupportedOnChipError

Lag: TypeAlias = int | NDArray[np.int64]


def as_double(x: Array) -> NDArray[np.float64]:
    """``x`` in float64."""
    return np.asarray(x, dtype=np.float64)


def gain_of(node: Node, population: FloatPopulation) -> NDArray[np.float64]:
    """What the chip's weights take over from the neuron: input gain × current gain, flat (n,)."""
    gain = as_double(node.input_gain) * as_double(node.current_gain) if isinstance(node, Neuron) else np.ones(())
    return np.broadcast_to(gain, population.shape).reshape(-1)


def connections_into(
    name: str, network: Network, population: FloatPopulation
) -> tuple[dict[str, Connection], NDArray[np.float64]]:
    """Connections into a population, weights times its gain, and the constant that biases add to its input."""
    gain = gain_of(network.nodes[name], population)
    connections: dict[str, Connection] = {}
    constant = np.zeros(population.size)
    for edge in network.into(name):
        for key, source, lag, weights in _paths(edge, network, population):
            connections[key] = Connection(source, name, _scaled(name, weights, gain), lag)
        constant += _constant(edge.source, network, population)
    return connections, constant


def from_input(connection: Connection, network: Network, unit: float, size: int) -> Connection:
    """A connection whose weights count payloads of the input, each worth ``unit``; ``size``: of the target."""
    if unit == 1.0 or connection.source not in network.inputs:
        return connection
    return replace(connection, weights=_scaled(connection.target, connection.weights, np.full(size, unit)))


def _paths(edge: Edge, network: Network, target: FloatPopulation) -> Iterator[tuple[str, str, Lag, FloatMap]]:
    """(connection name, source population, lag, weights) for everything that arrives over ``edge``."""
    node = network.nodes[edge.source]
    if isinstance(node, Input | Neuron | SigmaDelta | Delay):
        source, lag = _through_delay(edge, network)
        yield f"{source}->{edge.target}", source, lag, SparseWeights(csr_array(eye_array(target.size)))
        return
    into = network.into(edge.source)
    for inner in into:
        source, lag = _through_delay(inner, network)
        key = edge.source if len(into) == 1 else f"{edge.source}({source})"
        yield (
            key,
            source,
            lag + edge.delay,
            _weights(edge.source, network, inner.source),
        )


def _through_delay(edge: Edge, network: Network) -> tuple[str, Lag]:
    """Where an edge's values come from and how late: a per-neuron Delay node may stand in between."""
    node = network.nodes[edge.source]
    if not isinstance(node, Delay):
        return edge.source, edge.delay
    (inner,) = network.into(edge.source)
    steps = np.broadcast_to(node.steps, network.shapes[edge.source]).reshape(-1).astype(np.int64)
    return inner.source, steps + inner.delay + edge.delay


def _weights(name: str, network: Network, source: str) -> FloatMap:
    match node := network.nodes[name]:
        case Linear(weight):
            return DenseMap(as_double(weight))
        case Conv():
            return conv_map(node, network.shapes[source], network.shapes[name])
        case SparseMap(matrix):
            return SparseWeights(csr_array(matrix.astype(np.float64)))
    raise ModelError(f"{name}: a {type(node).__name__} is still in the graph; run the pass fold first.")


def _constant(name: str, network: Network, target: FloatPopulation) -> NDArray[np.float64]:
    """The bias of a linear node for each target neuron, (n,)."""
    node = network.nodes[name]
    bias = node.bias if isinstance(node, Linear | Conv | SparseMap) else None
    if bias is None:
        return np.zeros(target.size)
    if not isinstance(node, Conv):
        return as_double(bias).reshape(-1)
    shape = network.shapes[name]
    return np.broadcast_to(as_double(bias).reshape(-1, *[1] * (len(shape) - 1)), shape).reshape(-1)


def conv_map(conv: Conv, source: Shape, target: Shape) -> ConvMap:
    """A 1-d convolution is a 2-d one of height 1."""
    flat = conv.weight.ndim == 3

    def pair(sizes: Shape, fill: int) -> tuple[int, int]:
        return (fill, sizes[0]) if flat else (sizes[0], sizes[1])

    def image(shape: Shape) -> tuple[int, int, int]:
        return (shape[0], 1, shape[1]) if flat else (shape[0], shape[1], shape[2])

    weight = as_double(conv.weight)
    return ConvMap(
        weight[:, :, None, :] if flat else weight, image(source), image(target),
        pair(conv.stride, 1), pair(conv.padding, 0), pair(conv.dilation, 1), conv.groups,
    )  # fmt: skip


def _scaled(name: str, weights: FloatMap, gain: NDArray[np.float64]) -> FloatMap:
    match weights:
        case DenseMap(weight):
            return DenseMap(weight * gain[:, None])
        case SparseWeights(matrix):
            return SparseWeights(csr_array(diags_array(gain) @ matrix))
        case ConvMap():
            per_channel = gain.reshape(weights.target_shape[0], -1)
            if np.ptp(per_channel, axis=1).any():
                raise UnsupportedOnChipError(
                    f"{name}: neurons of one channel differ in input gain, so the convolution's kernels cannot be "
                    "shared. Make the gain (r, w_in, tau) one value per channel."
                )
            return replace(weights, weight=weights.weight * per_channel[:, :1, None, None])


def with_constant(
    name: str, population: FloatPopulation, gain: NDArray[np.float64], constant: NDArray[np.float64]
) -> FloatPopulation:
    """Move the constant part of the input into the bias, exactly (module docstring)."""
    entering = gain * constant
    if not entering.any():
        return population
    if population.model in SIGMA_DELTA:
        raise UnsupportedOnChipError(
            f"{name}: a bias in the weights before a sigma-delta unit would be added to its sum at every step. "
            "Give it to the unit as its own bias, as `spikeport convert --to sigma-delta` does."
        )
    a = np.broadcast_to(population.current_decay, population.shape).reshape(-1)
    if np.any((a == 1) & (entering != 0)):
        raise UnsupportedOnChipError(
            f"{name}: a bias enters a synaptic current that never decays; it would grow without end. Remove the bias."
        )
    settled = np.divide(entering, 1 - a, out=np.zeros_like(entering), where=a < 1)
    flat = {
        "bias": np.broadcast_to(population.bias, population.shape).reshape(-1) + settled,
        "u_init": np.broadcast_to(population.u_init, population.shape).reshape(-1) - np.where(a > 0, settled, 0.0),
    }
    return replace(population, **{k: v.reshape(population.shape) for k, v in flat.items()})
