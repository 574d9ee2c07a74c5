"""How much work a conventional network is, and would be in spikes or in changes: estimates from its activations.

Rate coding sends min(a / λ, 1) · T spikes for an activation a, and each is an operation per synapse; sigma-delta sends
one message for each activation that changed by the threshold, and none for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from spikeport.converters.chip_network import Ints
from spikeport.converters.connectivity import fan_out
from spikeport.converters.network import Array, Conv, Linear, Network, Node, Output, Shape, SparseMap
from spikeport.converters.passes.convert.levels import Floats, Levels
from spikeport.converters.passes.fold import fold
from spikeport.converters.passes.fold_paths import is_population
from spikeport.converters.passes.lower_connections import conv_map
from spikeport.converters.passes.quantize.weights import with_integers


@dataclass(frozen=True)
class Operations:
    """Of one sample.

    Attributes:
        neurons: activations that become neurons, inputs not counted.
        multiply_accumulates: of the conventional network: its synapses, each used once.
        spikes_per_step: rate coding: spikes in each time step, inputs included.
        synops_per_step: the synapses that these reach.
        messages: sigma-delta: graded spikes of one frame after rest, inputs included.
        message_synops: the synapses that these reach.
    """

    neurons: int
    multiply_accumulates: int
    spikes_per_step: float
    synops_per_step: float
    messages: float
    message_synops: float


def operations(
    network: Network, levels: Mapping[str, Levels], units: Mapping[str, Array], thresholds: Mapping[str, float]
) -> Operations:
    """Estimate both codes.

    Args:
        network: inferred, without MaxPool; its input between 0 and 1.
        levels: of every activation and input.
        units: of every activation: what a spike stands for.
        thresholds: of every activation and input, in its units: the smallest change that is sent.
    """
    reached = _fan_outs(network)
    rate = {n: _rates(levels[n], units.get(n, np.ones(()))) for n in levels}
    sent = {n: _sent(levels[n], units.get(n, np.ones(())), thresholds[n]) for n in levels}
    return Operations(
        neurons=sum(prod(network.shapes[n]) for n in levels if n not in network.inputs),
        multiply_accumulates=sum(int(out.sum()) for out in reached.values()),
        spikes_per_step=float(sum(rate[n].sum() for n in levels)),
        synops_per_step=float(sum(rate[n] @ reached[n] for n in levels)),
        messages=float(sum(sent[n].sum() for n in levels)),
        message_synops=float(sum(sent[n] @ reached[n] for n in levels)),
    )


def _fan_outs(network: Network) -> dict[str, Ints]:
    """Synapses that leave each neuron, (n,); a way without weights is one synapse, one to an output is none."""
    folded = fold(network).result
    found = {n: np.zeros(prod(folded.shapes[n]), np.int64) for n in folded.nodes if is_population(folded, n)}
    for edge in folded.edges:
        if edge.source in found:
            node, target = folded.nodes[edge.target], folded.shapes[edge.target]
            found[edge.source] += _fan_out(node, folded.shapes[edge.source], target)
    return found


def _fan_out(node: Node, source: Shape, target: Shape) -> Ints:
    match node:
        case Linear(weight):
            return np.full(prod(source), weight.shape[0], np.int64)
        case SparseMap(matrix):
            return np.bincount(matrix.indices, minlength=prod(source)).astype(np.int64)
        case Conv():
            kernels = conv_map(node, source, target)
            return fan_out(with_integers(kernels, np.zeros(kernels.weight.shape, np.int64)), 0, prod(target))
        case Output():
            return np.zeros(prod(source), np.int64)
    return np.ones(prod(source), np.int64)


def _rates(levels: Levels, unit: Array) -> Floats:
    """Spikes per step of each neuron, (n,)."""
    level = np.broadcast_to(unit, levels.shape).reshape(-1)
    return np.asarray(np.minimum(levels.total / max(levels.samples, 1) / level, 1.0))


def _sent(levels: Levels, unit: Array, threshold: float) -> Floats:
    """Share of samples in which each neuron sends in a first frame, (n,): if above zero, its channel's share."""
    level = np.broadcast_to(unit, levels.shape).reshape(len(levels.top), -1)[:, :1]
    large = (levels.counts * (levels.centres / level >= threshold)).sum(1) / np.maximum(levels.counts.sum(1), 1)
    pixels = len(levels.active) // len(levels.top)
    return np.asarray(levels.active / max(levels.samples, 1) * np.repeat(large, pixels))
