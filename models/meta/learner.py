"""A spiking body, a linear head, and the inner loop that adapts them to an episode. Stewart & Neftci 2022.

The features are spike counts over the steps, as rates in 0..1; the head's logits are W x. An inner step is

    w <- w - rate · d/dw mean cross-entropy of the support samples,

with one learnt rate per tensor (Li et al. 2017, Meta-SGD, arXiv:1707.03835, has one per weight). "maml" (Finn et al.
2017, arXiv:1703.03400) adapts everything, "anil" (Raghu et al. 2020, arXiv:1909.09157) the head alone: the part that
a chip can do by a local rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from spikeport.models.network import over_time
from spikeport.models.neurons import LIF
from spikeport.models.surrogate import FastSigmoid

Weights: TypeAlias = dict[str, Tensor]

HEAD = "head"
BODY_RATE = 0.1
"""Initial rate of the body's tensors, as a share of the head's: their gradients are larger."""


class Body(nn.Module):
    """Two convolutions of stride 2 with LIF neurons: spikes (B, T, n) for frames (B, T, C, H, W)."""

    def __init__(self, channels: int, widths: tuple[int, int], slope: float, gain: float) -> None:
        super().__init__()
        first, second = widths
        self.net = nn.Sequential()
        for name, layer in (
            ("conv1", nn.Conv2d(channels, first, 3, stride=2, padding=1)),
            ("lif1", LIF(0.5, 1.0, surrogate=FastSigmoid(slope))),
            ("conv2", nn.Conv2d(first, second, 3, stride=2, padding=1)),
            ("lif2", LIF(0.5, 1.0, surrogate=FastSigmoid(slope))),
            ("flatten", nn.Flatten()),
        ):
            self.net.add_module(name, layer)
            if isinstance(layer, nn.Conv2d):
                layer.weight.data.mul_(gain)

    def forward(self, frames: Tensor) -> Tensor:
        """Rates (B, n) of the last layer's neurons."""
        return over_time(self.net, frames).mean(1)


class Learner(nn.Module):
    """``body``, initial ``head`` (way, n), and ``rates``: the logarithm of each adapted tensor's inner rate."""

    def __init__(self, body: Body, features: int, way: int, rate: float, adapts_body: bool) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Parameter(torch.zeros(way, features))
        names = [HEAD] + ([name for name, _ in body.named_parameters()] if adapts_body else [])
        start = torch.tensor([rate * (1.0 if name == HEAD else BODY_RATE) for name in names])
        self.adapted = tuple(names)
        self.log_rates = nn.Parameter(start.log())

    def weights(self) -> Weights:
        """What the inner loop starts from: the tensors that it adapts, by name."""
        body = dict(self.body.named_parameters())
        return {name: self.head if name == HEAD else body[name] for name in self.adapted}

    def rates(self) -> Weights:
        """The inner loop's learning rates."""
        return dict(zip(self.adapted, self.log_rates.exp().unbind(), strict=True))

    def logits(self, weights: Mapping[str, Tensor], frames: Tensor) -> Tensor:
        """(B, way) under ``weights``, all of the body's included."""
        own = {name: tensor for name, tensor in weights.items() if name != HEAD}
        features: Tensor = functional_call(self.body, own, (frames,))
        return features @ weights[HEAD].T


def inner_loop(
    weights: Weights, rates: Weights, loss_of: Callable[[Weights], Tensor], steps: int, second_order: bool
) -> Weights:
    """Weights after ``steps`` gradient steps; where ``second_order``, gradients can pass through the steps."""
    for _ in range(steps):
        gradients = torch.autograd.grad(loss_of(weights), list(weights.values()), create_graph=second_order)
        weights = {
            name: weight - rates[name] * gradient
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
    return weights


def head_loss(features: Tensor, labels: Tensor) -> Callable[[Weights], Tensor]:
    """Loss of the head alone on features (B, n) that the body gave once."""
    return lambda weights: functional.cross_entropy(features @ weights[HEAD].T, labels)
