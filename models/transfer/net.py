"""One spiking feature extractor with a head for static images and a head for events; only the latter is deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.layers import Body
from spikeport.models.network import over_time
from spikeport.models.neurons import LIF, Integrator
from spikeport.models.surrogate import Triangle

VTH = 0.5


def neuron() -> LIF:
    """m += (x - m) / 2; a spike above 0.5; hard reset; QGateGrad with alpha = 2, as in the paper's code."""
    return LIF(0.5, 0.5, threshold=VTH, surrogate=Triangle(0.5))


def small_body(shape: Shape, channels: int) -> Body:
    """C16-AP2-C32-AP2 for 16 ``channels``, unpadded; N-MNIST's frames are 17, 15, 7, 5, 2 pixels wide in it.

    Raises:
        DataError: frames too small for that.
    """
    height, width = (((side - 2) // 2 - 2) // 2 for side in shape[1:])
    if min(height, width) < 1:
        raise DataError(f"frames of {shape[1]} x {shape[2]} pixels are too small for two convolutions; pool fewer")
    layers = {
        "conv1": nn.Conv2d(shape[0], channels, 3, bias=False),
        "norm1": nn.BatchNorm2d(channels),
        "lif1": neuron(),
        "pool1": nn.AvgPool2d(2),
        "conv2": nn.Conv2d(channels, 2 * channels, 3, bias=False),
        "norm2": nn.BatchNorm2d(2 * channels),
        "lif2": neuron(),
        "pool2": nn.AvgPool2d(2),
        "flatten": nn.Flatten(),
    }
    return layers, 2 * channels * height * width


class TransferNet(nn.Module):
    """A body of convolutions, a dense layer of ``hidden`` neurons, and two heads.

    ``eta`` (T,): the learnt coefficients of the alignment,
    which start at 1.
    """

    def __init__(self, body: Body, hidden: int, classes: int, steps: int) -> None:
        super().__init__()
        layers, features = body
        self.features, self.last = nn.Sequential(), neuron()
        for name, layer in {**layers, "fc": nn.Linear(features, hidden), "lif3": self.last}.items():
            self.features.add_module(name, layer)
        self.event_head, self.static_head = nn.Linear(hidden, classes), nn.Linear(hidden, classes)
        self.eta = nn.Parameter(torch.ones(steps))

    def domain(self, frames: Tensor, static: bool) -> tuple[Tensor, Tensor]:
        """Logits of every step (B, T, classes) and last hidden membranes (B, T, F) for frames (B, T, *shape)."""
        self.last.watched = True
        spikes = over_time(self.features, frames)
        self.last.watched = False
        head = self.static_head if static else self.event_head
        logits: Tensor = head(spikes)
        return logits, self.last.membranes.flatten(2)

    def event_branch(self) -> nn.Sequential:
        """What is deployed: shared layers, event head, and a sum over time."""
        branch = nn.Sequential()
        for name, layer in self.features.named_children():
            branch.add_module(name, layer)
        branch.add_module("head", self.event_head)
        branch.add_module("sum", Integrator())
        return branch
