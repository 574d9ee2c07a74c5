"""What arrives at a node when nothing is sent: the biases on all ways that lead there, and a constant input's share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Conv, Linear, Network, Node, Scale, SparseMap
from spikeport.converters.passes.fold_paths import paths_into, walk

Floats = NDArray[np.float64]


def constant(network: Network, target: str) -> Floats:
    """What ``target`` (a neuron, an activation, an output) receives of biases alone, in the shape of its input.

    Raises:
        UnsupportedOnChipError: see `spikeport.converters.passes.fold_paths.paths_into`.
    """
    shape = network.shapes[target]
    total = np.zeros(prod(shape))
    for path in paths_into(target, network):
        linear = walk(path, network).linear
        if linear is not None and linear.bias is not None:
            total += linear.bias
    return total.reshape(shape)


def without_bias(network: Network, names: Collection[str]) -> Network:
    """``network`` with the biases of the linear nodes ``names`` left out."""
    nodes = {name: _bare(node) if name in names else node for name, node in network.nodes.items()}
    return replace(network, nodes=nodes)


def biased(network: Network) -> tuple[str, ...]:
    """Linear nodes with a bias."""
    return tuple(name for name, node in network.nodes.items() if _bare(node) is not node)


def _bare(node: Node) -> Node:
    if isinstance(node, Linear | Conv | Scale | SparseMap) and node.bias is not None:
        return replace(node, bias=None)
    return node
