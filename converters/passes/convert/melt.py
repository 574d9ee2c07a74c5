"""Factors melt into the weights beside them, so that a converted network is weights and neurons, as NIR's readers know.

A Scale y = f · x + c goes into the linear map that feeds it alone, else into the maps that alone it feeds; on the way
it passes pools and nodes that only move values, and a sum's factor goes onto its summands where that helps. What finds
no map stays: the identity branch of a residual block keeps a factor, which is a weight of one synapse per neuron.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from spikeport.converters.network import Edge, Flatten, Network, Node, Pool, Reshape, Scale, Shape
from spikeport.converters.passes.convert.absorb import absorbed_after, absorbed_before, moved_behind
from spikeport.converters.passes.convert.rewire import free_name, swapped
from spikeport.converters.passes.infer import infer


def melted(network: Network) -> Network:
    """``network``, inferred, with every Scale that can go gone; the maps keep their names."""
    while (fewer := _one_step(network)) is not None:
        network = fewer
    return infer(replace(network, shapes={})).result


def _one_step(network: Network) -> Network | None:
    for name, node in network.nodes.items():
        if isinstance(node, Scale):
            found = _into_source(network, name, node) or _into_targets(network, name, node)
            found = found or _onto_summands(network, name, node) or _behind(network, name, node)
            if found is not None:
                return found
    return None


def _into_source(network: Network, name: str, scale: Scale) -> Network | None:
    """Into the one map that feeds it, where nobody else hears that map."""
    into = network.into(name)
    if len(into) != 1 or into[0].delay or len(network.out_of(into[0].source)) != 1:
        return None
    source = into[0].source
    together = absorbed_after(network.nodes[source], scale, network.shapes[name])
    return None if together is None else _without(network, name, {source: together})


def _into_targets(network: Network, name: str, scale: Scale) -> Network | None:
    """Into the maps it feeds, where all of them hear nothing else and can take it."""
    targets = network.out_of(name)
    alone = all(len(network.into(e.target)) == 1 and e.delay == 0 for e in targets)
    if not alone or not targets:
        return None
    maps = {e.target: absorbed_before(network.nodes[e.target], scale, network.shapes[name]) for e in targets}
    known = {target: node for target, node in maps.items() if node is not None}
    return _without(network, name, known) if len(known) == len(maps) else None


def _onto_summands(network: Network, name: str, scale: Scale) -> Network | None:
    """A factor of a sum as a factor of each summand, where a summand is a map that can take it."""
    into = network.into(name)
    if len(into) < 2 or scale.bias is not None or bool(np.all(scale.factor == 1.0)):
        return None
    takers = [e for e in into if _takes(network, e, scale, network.shapes[name])]
    if not takers:
        return None
    nodes: dict[str, Node] = {k: v for k, v in network.nodes.items() if k != name}
    shapes = dict(network.shapes)
    edges = [e for e in network.edges if name not in (e.source, e.target)]
    for edge in into:
        part = free_name(replace(network, nodes=nodes), name)
        nodes[part], shapes[part] = scale, network.shapes[name]
        edges += [replace(edge, target=part), *(replace(e, source=part) for e in network.out_of(name))]
    return replace(network, nodes=nodes, shapes=shapes, edges=tuple(edges))


def _takes(network: Network, edge: Edge, scale: Scale, shape: Shape) -> bool:
    alone = len(network.out_of(edge.source)) == 1 and edge.delay == 0
    return alone and absorbed_after(network.nodes[edge.source], scale, shape) is not None


def _behind(network: Network, name: str, scale: Scale) -> Network | None:
    """Past the one pool, or node that only moves values, which it alone feeds."""
    targets = network.out_of(name)
    if len(targets) != 1 or len(network.into(targets[0].target)) != 1 or targets[0].delay:
        return None
    mover = targets[0].target
    node = network.nodes[mover]
    if not isinstance(node, Pool | Flatten | Reshape):
        return None
    moved = moved_behind(node, scale, network.shapes[name], network.shapes[mover])
    if moved is None:
        return None
    behind = swapped(network, name, mover)
    shapes = {**network.shapes, name: network.shapes[mover]}
    return replace(behind, nodes={**network.nodes, name: moved}, shapes=shapes)


def _without(network: Network, name: str, replaced: dict[str, Node]) -> Network:
    """``network`` without ``name``: what it heard goes straight to those who heard it."""
    nodes = {k: v for k, v in {**network.nodes, **replaced}.items() if k != name}
    shapes = {k: v for k, v in network.shapes.items() if k != name}
    through = [Edge(a.source, b.target, a.delay + b.delay) for a in network.into(name) for b in network.out_of(name)]
    return replace(network, nodes=nodes, shapes=shapes, edges=(*_away_from(network.edges, name), *through))


def _away_from(edges: Iterable[Edge], name: str) -> list[Edge]:
    return [e for e in edges if name not in (e.source, e.target)]
