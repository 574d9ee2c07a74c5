"""A maximum pool before its activation becomes one behind it: relu(max(x)) = max(relu(x)), both only ever grow.

Behind the activation nothing is below zero, and the pool picks among neurons that exist anyway.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeport.converters.network import Activation, Array, MaxPool, Network
from spikeport.converters.passes.convert.rewire import swapped
from spikeport.converters.passes.infer import infer


def pools_behind_activations(network: Network) -> Network:
    """``network``, inferred, with every such pair in the other order; both keep their names."""
    for name, node in reversed(list(network.nodes.items())):
        if isinstance(node, MaxPool) and (activation := _only_target(network, name)):
            network = swapped(network, name, activation)
    return infer(replace(network, shapes={})).result


def _only_target(network: Network, pool: str) -> str:
    """The activation that alone hears ``pool``, and hears it alone, and treats all pixels alike; else ""."""
    targets = network.out_of(pool)
    if len(targets) != 1 or len(network.into(targets[0].target)) != 1:
        return ""
    node = network.nodes[targets[0].target]
    return targets[0].target if isinstance(node, Activation) and _same_for_pixels(node.ceiling) else ""


def _same_for_pixels(ceiling: Array | None) -> bool:
    return ceiling is None or int(np.prod(ceiling.shape[-2:])) == 1
