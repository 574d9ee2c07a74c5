"""to_network: a composed torch module becomes a Network, exactly as it stands."""

from __future__ import annotations

import torch
from torch import nn

from spikeport.converters.network import Network, Shape
from spikeport.converters.read.modules.read import read_module
from spikeport.models.network import neurons_of

DT = 1e-3


def to_network(net: nn.Module, shape: Shape, dt: float = DT) -> Network:
    """A module of plain torch layers and `spikeport.models.neurons`, in the form it has for evaluation.

    Args:
        net: takes (N, *shape), wired by any forward that a Network can say: additions and concatenations included.
        shape: of one step of one sample.
        dt: seconds per step.

    Raises:
        UnsupportedNodeError: a layer or operation no Network has a word for.
        UnsupportedOnChipError: neurons whose constants change from step to step.
    """
    for name, neuron in neurons_of(net):
        # Before anything runs: neurons with constants for T steps could not run a single one.
        neuron.to_neuron(name, shape)
    return read_module(net, torch.zeros(1, *shape), dt, axes="B")
