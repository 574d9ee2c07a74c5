"""infer: the shape of every node's output, the order of computation, and whether the network makes sense at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.graph import network_order, shape_order, waiting_delays
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
    SigmaDelta,
    SparseMap,
)
from spikeport.errors import ModelError

# Sixty chips of a million neurons; refusing more early keeps files that claim it from being given gigabytes.
MAX_ELEMENTS = 1 << 26
# Of all nodes together.
MAX_IN_ALL = 1 << 28


def infer(network: Network) -> Outcome[Network]:
    """Order the nodes, fill in every shape, check the whole.

    Raises:
        ModelError: whatever `check` refuses.
    """
    _check_edges(network)
    order = network_order(network)
    shapes: dict[str, Shape] = {}
    for name in shape_order(tuple(network.nodes), network.edges, network.inputs):
        shapes[name] = output_shape(name, network.nodes[name], _incoming(network, name, shapes))
    if (total := sum(map(prod, shapes.values()))) > MAX_IN_ALL:
        raise ModelError(f"the network's nodes give {total} values per step; at most {MAX_IN_ALL} are read.")
    nodes = MappingProxyType({name: network.nodes[name] for name in order})
    edges = tuple(sorted(network.edges, key=lambda e: (e.source, e.target)))
    result = replace(network, nodes=nodes, edges=edges, shapes=MappingProxyType(shapes))
    check(result)
    return Outcome(result, dead_ends(result))


def check(network: Network) -> None:
    """The contract of a Network: edges between known nodes, every cycle delayed, shapes present and consistent.

    A node that no input reaches is refused: nothing says its shape. One that leads to no output is kept, and
    `infer` reports it.

    Raises:
        ModelError: naming the node and what does not fit.
    """
    _check_edges(network)
    if not network.inputs or not network.outputs:
        raise ModelError("the network has no Input or no Output node: nothing could enter or leave. Add one.")
    _check_order(network)
    missing = [name for name in network.nodes if name not in network.shapes]
    if missing:
        raise ModelError(f"node '{missing[0]}' has no shape; run infer first.")
    for name, node in network.nodes.items():
        shape = _incoming(network, name, network.shapes)
        if output_shape(name, node, shape) != network.shapes[name]:
            raise ModelError(f"node '{name}': its shape {network.shapes[name]} does not follow from its input {shape}.")


def _check_order(network: Network) -> None:
    """The nodes' own order computes every same-step value before it is used."""
    network_order(network)
    rank = {name: i for i, name in enumerate(network.nodes)}
    waiting = set(waiting_delays(network))
    for edge in network.edges:
        if edge.delay == 0 and edge.target not in waiting and rank[edge.source] >= rank[edge.target]:
            raise ModelError(
                f"node '{edge.target}' stands before '{edge.source}', whose value it needs; run infer first."
            )


def dead_ends(network: Network) -> tuple[Finding, ...]:
    """A finding for every node whose value reaches no output."""
    useful = set(network.outputs)
    queue = list(useful)
    sources: dict[str, list[str]] = {}
    for edge in network.edges:
        sources.setdefault(edge.target, []).append(edge.source)
    while queue:
        fresh = [name for name in sources.get(queue.pop(), ()) if name not in useful]
        useful.update(fresh)
        queue += fresh
    return tuple(
        Finding("dead-end", "warning", name, "leads to no output.", "Connect it or remove it.")
        for name in network.nodes
        if name not in useful
    )


def _check_edges(network: Network) -> None:
    seen: set[tuple[str, str]] = set()
    for edge in network.edges:
        _check_edge(edge, network.nodes)
        if (edge.source, edge.target) in seen:
            raise ModelError(f"edge '{edge.source}' -> '{edge.target}' is there twice. Keep one; a sum needs a Scale.")
        seen.add((edge.source, edge.target))


def _check_edge(edge: Edge, nodes: Mapping[str, Node]) -> None:
    for name in (edge.source, edge.target):
        if name not in nodes:
            raise ModelError(f"edge '{edge.source}' -> '{edge.target}': there is no node '{name}'.")
    if edge.delay < 0:
        raise ModelError(
            f"edge '{edge.source}' -> '{edge.target}' has a delay of {edge.delay} steps; it cannot be negative."
        )
    if isinstance(nodes[edge.target], Input) or isinstance(nodes[edge.source], Output):
        raise ModelError(
            f"edge '{edge.source}' -> '{edge.target}' leads into an Input or out of an Output. Turn it around."
        )


def _incoming(network: Network, name: str, shapes: Mapping[str, Shape]) -> Shape | None:
    """The common shape of what meets at a node; None for inputs."""
    known = [(e.source, shapes[e.source]) for e in network.into(name) if e.source in shapes]
    return merged_shape(name, known)


def merged_shape(name: str, sources: list[tuple[str, Shape]]) -> Shape | None:
    """The shape of a sum.

    Raises:
        ModelError: the summands differ in shape.
    """
    if not sources:
        return None
    first, shape = sources[0]
    for other, found in sources[1:]:
        if found != shape:
            raise ModelError(
                f"node '{name}' sums '{first}' of shape {shape} and '{other}' of shape {found}; they must be equal."
            )
    return shape


def output_shape(name: str, node: Node, shape: Shape | None) -> Shape:
    """The shape of what ``node`` gives when it is given ``shape`` (None: nothing is connected to it).

    Raises:
        ModelError: the node cannot take this shape, or its result would be absurdly large.
    """
    if isinstance(node, Input):
        return _sized(name, node.shape)
    if shape is None:
        raise ModelError(f"node '{name}' has no input. Connect or remove it.")
    result = _RULES[type(node)](name, node, shape)
    return _sized(name, result)


def _sized(name: str, shape: Shape) -> Shape:
    if any(n < 1 for n in shape) or prod(shape) > MAX_ELEMENTS:
        raise ModelError(
            f"node '{name}' would have the shape {shape}; each axis needs an element; {MAX_ELEMENTS} at most are read."
        )
    return shape


def _same(name: str, node: Output, shape: Shape) -> Shape:
    if node.shape != shape:
        raise ModelError(f"output '{name}' says {node.shape}, but {shape} arrives. Correct the Output's shape.")
    return shape


def _linear(name: str, node: Linear, shape: Shape) -> Shape:
    n_out, n_in = node.weight.shape
    if not shape or shape[-1] != n_in:
        raise ModelError(f"node '{name}': its weight takes {n_in} inputs, but {shape} arrives.")
    if node.bias is not None and node.bias.shape != (n_out,):
        raise ModelError(f"node '{name}': bias of shape {node.bias.shape} for {n_out} outputs.")
    return (*shape[:-1], n_out)


def _conv(name: str, node: Conv, shape: Shape) -> Shape:
    kernel = node.weight.shape[2:]
    n_out, per_group = node.weight.shape[:2]
    if node.groups < 1 or n_out % node.groups:
        raise ModelError(f"node '{name}': {n_out} output channels do not divide into {node.groups} groups.")
    if len(shape) != len(kernel) + 1 or shape[0] != per_group * node.groups:
        wanted = f"({per_group * node.groups}, {', '.join('·' * len(kernel))})"
        raise ModelError(f"node '{name}': its kernels take {wanted}, but {shape} arrives.")
    if node.bias is not None and node.bias.shape != (n_out,):
        raise ModelError(f"node '{name}': bias of shape {node.bias.shape} for {n_out} channels.")
    return (n_out, *_windows(name, shape[1:], kernel, node.stride, node.padding, node.dilation))


def _pool(name: str, node: Pool | MaxPool, shape: Shape) -> Shape:
    if len(shape) < 2:
        raise ModelError(f"node '{name}' pools over two axes, but {shape} arrives.")
    if any(2 * p > k for p, k in zip(node.padding, node.kernel, strict=True)):
        raise ModelError(f"node '{name}': padding {node.padding} is more than half its kernel {node.kernel}.")
    return (*shape[:-2], *_windows(name, shape[-2:], node.kernel, node.stride, node.padding, (1, 1)))


def _windows(name: str, size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape) -> Shape:
    if min((*stride, *dilation, *kernel)) < 1 or min(padding) < 0:
        raise ModelError(f"node '{name}': stride {stride}, dilation {dilation} and kernel {kernel} must be positive.")
    found = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if min(found) < 1:
        raise ModelError(f"node '{name}': its kernel {kernel} (dilation {dilation}) is larger than its input {size}.")
    return found


def _broadcast(name: str, shape: Shape, **arrays: Any) -> Shape:
    """``shape``, to which all ``arrays`` that are not None broadcast."""
    for what, array in arrays.items():
        if array is None:
            continue
        try:
            fits = np.broadcast_shapes(array.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ModelError(f"node '{name}': its {what} has shape {array.shape}, but {shape} arrives.")
    return shape


_NEURON_ARRAYS = (
    "threshold",
    "membrane_decay",
    "current_decay",
    "input_gain",
    "current_gain",
    "bias",
    "v_reset",
    "v_min",
    "v_init",
    "u_init",
)


def _neuron(name: str, node: Neuron, shape: Shape) -> Shape:
    return _broadcast(name, shape, **{field: getattr(node, field) for field in _NEURON_ARRAYS})


def _activation(name: str, node: Activation, shape: Shape) -> Shape:
    if node.levels is not None and (node.ceiling is None or node.levels < 1):
        raise ModelError(f"node '{name}' has {node.levels} levels below a ceiling of {node.ceiling}; both are needed.")
    if node.ceiling is not None and not np.all((node.ceiling > 0) & np.isfinite(node.ceiling)):
        raise ModelError(f"node '{name}': its ceiling goes down to {node.ceiling.min()}; it must be above zero.")
    return _broadcast(name, shape, ceiling=node.ceiling)


def _reshape(name: str, node: Reshape, shape: Shape) -> Shape:
    if prod(node.shape) != prod(shape):
        raise ModelError(f"node '{name}' reads {shape} as {node.shape}, which has another number of elements.")
    return node.shape


def _permute(name: str, node: Permute, shape: Shape) -> Shape:
    if sorted(node.axes) != list(range(len(shape))):
        raise ModelError(f"node '{name}' puts the axes {node.axes} in order, but {shape} arrives.")
    return tuple(shape[axis] for axis in node.axes)


def _embed(name: str, node: Embed, shape: Shape) -> Shape:
    same_rank = len(node.shape) == len(node.offset) == len(shape)
    inside = zip(node.offset, shape, node.shape, strict=same_rank)
    if not same_rank or any(o < 0 or o + held > whole for o, held, whole in inside):
        raise ModelError(f"node '{name}' puts {shape} at {node.offset} into {node.shape}, where it does not fit.")
    return node.shape


def _flatten(name: str, node: Flatten, shape: Shape) -> Shape:
    rank = len(shape)
    start, end = (axis + rank if axis < 0 else axis for axis in (node.start, node.end))
    if not 0 <= start <= end < rank:
        raise ModelError(f"node '{name}' flattens axes {node.start} to {node.end} of {shape}, which has no such axes.")
    return (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :])


def _sparse(name: str, node: SparseMap, shape: Shape) -> Shape:
    if node.matrix.shape != (prod(node.shape), prod(shape)):
        raise ModelError(f"node '{name}': its matrix {node.matrix.shape} does not map {shape} to {node.shape}.")
    return node.shape


_RULES: Mapping[type, Callable[[str, Any, Shape], Shape]] = {
    Output: _same,
    Linear: _linear,
    Conv: _conv,
    Pool: _pool,
    Scale: lambda name, node, shape: _broadcast(name, shape, factor=node.factor, bias=node.bias),
    Delay: lambda name, node, shape: _broadcast(name, shape, steps=node.steps),
    Flatten: _flatten,
    Reshape: _reshape,
    Permute: _permute,
    Embed: _embed,
    SparseMap: _sparse,
    Neuron: _neuron,
    Activation: _activation,
    MaxPool: _pool,
    SigmaDelta: lambda name, node, shape: _broadcast(name, shape, threshold=node.threshold, bias=node.bias),
}
