"""Putting nodes into a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

import numpy as np

from spikeport.converters.network import Array, Edge, Network, Node, Scale


def with_nodes(network: Network, nodes: Mapping[str, Node]) -> Network:
    """``network`` with nodes replaced or added; edges stay."""
    return replace(network, nodes={**network.nodes, **nodes})


def inserted_after(network: Network, name: str, new: str, node: Node) -> Network:
    """``node`` takes over everything that leaves ``name``, and hears ``name`` alone."""
    edges = [replace(e, source=new) if e.source == name else e for e in network.edges]
    return replace(with_nodes(network, {new: node}), edges=(*edges, Edge(name, new)))


def inserted_before(network: Network, name: str, new: str, node: Node) -> Network:
    """``node`` takes over everything that arrives at ``name``, which hears ``node`` alone."""
    edges = [replace(e, target=new) if e.target == name else e for e in network.edges]
    return replace(with_nodes(network, {new: node}), edges=(*edges, Edge(new, name)))


def in_units(network: Network, name: str, unit: Array) -> Network:
    """``name`` computes in multiples of ``unit``: what arrives is divided by it, what leaves is multiplied again."""
    before = Scale((1.0 / np.asarray(unit, np.float64)).astype(np.float32))
    network = inserted_before(network, name, free_name(network, f"{name}.in"), before)
    return inserted_after(network, name, free_name(network, f"{name}.unit"), Scale(np.asarray(unit, np.float32)))


def swapped(network: Network, first: str, second: str) -> Network:
    """``network`` where ``second``, which alone hears ``first`` and hears it alone, comes before it."""
    edges = []
    for edge in network.edges:
        if (edge.source, edge.target) == (first, second):
            edges.append(Edge(second, first))
        elif edge.target == first:
            edges.append(replace(edge, target=second))
        else:
            edges.append(replace(edge, source=first) if edge.source == second else edge)
    return replace(network, edges=tuple(edges))


def free_name(network: Network, wish: str) -> str:
    """``wish``, numbered where the network has it already."""
    if wish not in network.nodes:
        return wish
    return next(name for n in count(2) if (name := f"{wish}{n}") not in network.nodes)
