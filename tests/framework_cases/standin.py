"""A neuron module of nobody's framework: it says itself what it is, and lets tests write nets as users do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.converters.network import Neuron, Shape


class Standin(nn.Module):
    """v = decay · v + x; a spike where v > threshold, which is subtracted; one step per call, the state is its own."""

    def __init__(self, decay: float = 0.5, threshold: float = 1.0) -> None:
        super().__init__()
        self.decay, self.threshold = decay, threshold
        self.v: Tensor | None = None

    def reset_mem(self) -> None:
        """Forget."""
        self.v = None

    def forward(self, x: Tensor) -> Tensor:
        """Spikes of one step, (B, ...)."""
        v = x if self.v is None else self.decay * self.v + x
        spikes = (v > self.threshold).float()
        self.v = v - spikes * self.threshold
        return spikes

    def to_neuron(self, name: str, shape: Shape) -> Neuron:
        """What it is."""
        numbers = (np.array(value, np.float32) for value in (self.decay, self.threshold))
        return Neuron(*numbers, reset="subtract")


def dense(n_in: int, n_out: int, size: float = 2.0) -> nn.Linear:
    """A linear map strong enough to make neurons fire."""
    layer = nn.Linear(n_in, n_out)
    with torch.no_grad():
        layer.weight.mul_(size)
    return layer
