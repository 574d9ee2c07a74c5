"""How much work a conventional network is, and would be in spikes or in changes: estimates from its activations.

Rate coding sends min(a / λ, 1) · T spikes for an activation a, and each is an operation per synapse; sigma-delta sends
one message for each activation that changed by the threshold, and none for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from spikeport.converters.network import Array, Conv, Linear, Network, Node, Output, Shape, SparseMap
from spikeport.converters.passes.convert.levels import Levels
from spikeport.converters.passes.fold import fold
from spikeport.converters.passes.fold_matrix import axis_taps


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
    reached = _synapses_out(network)
    rate = {n: _rate(levels[n], units.get(n, np.ones(()))) for n in levels}
    sent = {n: _sent(levels[n], units.get(n, np.ones(())), thresholds[n]) for n in levels}
    size = {n: prod(network.shapes[n]) for n in levels}
    return Operations(
        neurons=sum(size[n] for n in levels if n not in network.inputs),
        multiply_accumulates=sum(reached.values()),
        spikes_per_step=sum(rate[n] * size[n] for n in levels),
        synops_per_step=sum(rate[n] * reached[n] for n in levels),
        messages=sum(sent[n] * size[n] for n in levels),
        message_synops=sum(sent[n] * reached[n] for n in levels),
    )


def _synapses_out(network: Network) -> dict[str, int]:
    """Synapses that leave each population; a way without weights is one synapse per neuron, to an output none."""
    folded = fold(network).result
    found = dict.fromkeys(folded.nodes, 0)
    for edge in folded.edges:
        node, source = folded.nodes[edge.target], folded.shapes[edge.source]
        if isinstance(node, Linear | Conv | SparseMap):
            found[edge.source] += _synapses(node, source, folded.shapes[edge.target])
        elif not isinstance(node, Output) and not isinstance(folded.nodes[edge.source], Linear | Conv | SparseMap):
            found[edge.source] += prod(source)
    return found


def _synapses(node: Node, source: Shape, target: Shape) -> int:
    match node:
        case Linear(weight):
            return int(weight.size)
        case SparseMap(matrix):
            return int(matrix.nnz)
        case Conv(weight, _, stride, padding, dilation, _):
            axes = zip(source[1:], target[1:], weight.shape[2:], stride, padding, dilation, strict=True)
            return int(prod(weight.shape[:2]) * prod(axis_taps(*axis).shape[1] for axis in axes))
    return 0


def _rate(levels: Levels, unit: Array) -> float:
    """Mean spikes per neuron and step."""
    relative = np.minimum(levels.centres / _rows(levels, unit), 1.0)
    return float((relative * levels.counts).sum() / max(levels.values * len(levels.top), 1))


def _sent(levels: Levels, unit: Array, threshold: float) -> float:
    """Share of neurons that send in the first frame."""
    large = levels.centres / _rows(levels, unit) >= threshold
    return float((large * levels.counts).sum() / max(levels.values * len(levels.top), 1))


def _rows(levels: Levels, unit: Array) -> Array:
    """``unit`` for each channel, (C, 1)."""
    return np.broadcast_to(unit, levels.shape).reshape(len(levels.top), -1)[:, :1]
