"""Activations with a ceiling in rectifiers that have none: min(max(x, 0), c) = relu(x) - relu(x - c).

Integrate-and-fire neurons end at their level by themselves; sigma-delta units do not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import Activation, Array, Edge, Network, Node, Scale
from spikeport.converters.passes.convert.rewire import free_name, inserted_after, with_nodes
from spikeport.converters.passes.infer import infer


def without_ceilings(network: Network, split: Collection[str]) -> Outcome[Network]:
    """Replace every activation that has a ceiling; those trained in steps become continuous, with a warning.

    Args:
        network: inferred.
        split: activations that keep their ceiling, in two populations; the others lose it.
    """
    findings = []
    for name, node in network.nodes.items():
        if not isinstance(node, Activation) or node.ceiling is None:
            continue
        if node.levels is not None:
            message = f"was trained in {node.levels} steps; sigma-delta units send the values between them, too."
            advice = "--to spiking gives few steps exactly."
            findings.append(Finding("levels-dropped", "warning", name, message, advice))
        if name in split:
            network = _split(network, name, node.ceiling)
            message = f"its ceiling of {_shown(node.ceiling)} takes a second population: relu(x) - relu(x - c)."
            findings.append(Finding("ceiling-split", "info", name, message))
        else:
            network = with_nodes(network, {name: Activation()})
            message = f"its ceiling of {_shown(node.ceiling)} is left out, which calibration data hardly notice."
            findings.append(Finding("ceiling-dropped", "info", name, message))
    return Outcome(infer(replace(network, shapes={})).result, tuple(findings))


def _shown(ceiling: Array) -> str:
    return f"{float(np.max(ceiling)):g}"


def _split(network: Network, name: str, ceiling: Array) -> Network:
    over, sum_name = free_name(network, f"{name}.over"), free_name(network, f"{name}.cut")
    below, minus = f"{over}.by", f"{over}.minus"
    heard = network.into(name)
    one = np.ones((), np.float32)
    network = inserted_after(network, name, sum_name, Scale(one))
    nodes: dict[str, Node] = {name: Activation(), below: Scale(one, -ceiling), over: Activation(), minus: Scale(-one)}
    edges = [replace(e, target=below) for e in heard]
    edges += [Edge(below, over), Edge(over, minus), Edge(minus, sum_name)]
    return replace(with_nodes(network, nodes), edges=(*network.edges, *edges))
