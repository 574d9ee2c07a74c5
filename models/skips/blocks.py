"""Blocks of spiking layers wired by a `SkipMatrix`: dense, plain convolution, residual, depthwise-separable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from spikeport.models.neurons import SteppedNeuron
from spikeport.models.skips.matrix import ASC, DSC, SkipMatrix

NewNeurons = Callable[[], SteppedNeuron]
LayerKind: TypeAlias = Literal["dense", "conv", "residual", "separable"]


def dense(inputs: int, width: int, neurons: NewNeurons) -> nn.Module:
    """(N, inputs) to (N, width)."""
    return nn.Sequential(nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), neurons())


def conv(inputs: int, width: int, neurons: NewNeurons) -> nn.Module:
    """3 × 3, as in DenseNet; (N, inputs, H, W) to (N, width, H, W)."""
    return nn.Sequential(*_conv3(inputs, width), neurons())


def separable(inputs: int, width: int, neurons: NewNeurons) -> nn.Module:
    """3 × 3 in each channel, then 1 × 1 across them, as in MobileNet; neurons after both, so two hops on a chip."""
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    pointwise = nn.Conv2d(inputs, width, 1, bias=False)
    return nn.Sequential(
        depthwise, nn.BatchNorm2d(inputs), neurons(), pointwise, nn.BatchNorm2d(width), neurons()
    )  # fmt: skip


class Residual(nn.Module):
    """Two 3 × 3 convolutions and, before the last neurons, the input added to them, as in ResNet's basic block.

    Where the numbers of channels differ the input goes through a 1 × 1 convolution.
    """

    def __init__(self, inputs: int, width: int, neurons: NewNeurons) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv3(inputs, width), neurons(), *_conv3(width, width))
        project = nn.Sequential(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Identity() if inputs == width else project
        self.neurons = neurons()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, width, H, W)."""
        spikes: Tensor = self.neurons(self.body(x) + self.shortcut(x))
        return spikes


def _conv3(inputs: int, width: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)


LAYERS: Mapping[LayerKind, Callable[[int, int, NewNeurons], nn.Module]] = {
    "dense": dense,
    "conv": conv,
    "residual": Residual,
    "separable": separable,
}


class SkipBlock(nn.Module):
    """Layers of one width, one after the other, and the skips of ``matrix``.

    Concatenation and addition both happen before a layer's weights: W · [x + Σ added, concatenated ...]. Sums of spikes
    are counts, no spikes; on a chip every addend has its own copy of W.
    """

    def __init__(self, matrix: SkipMatrix, kind: LayerKind, inputs: int, width: int, neurons: NewNeurons) -> None:
        super().__init__()
        self.matrix = matrix
        heard = [width * len(matrix.sources(j, DSC)) + (width if j else inputs) for j in range(matrix.depth)]
        self.layers = nn.ModuleList([LAYERS[kind](size, width, neurons) for size in heard])

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, ...) to (N, width, ...)."""
        given: list[Tensor] = []
        for j, layer in enumerate(self.layers):
            for i in self.matrix.sources(j, ASC):
                x = x + given[i]
            beside = [given[i] for i in self.matrix.sources(j, DSC)]
            x = layer(torch.cat([x, *beside], 1) if beside else x)
            given.append(x)
        return x
