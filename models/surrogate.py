"""Spikes that gradients pass through: exactly 0 or 1 forwards, a smooth stand-in for the derivative backwards.

Every stand-in is made of differentiable torch operations on the distance, so that second derivatives exist wherever
the formula has them (meta-learning needs them; a rectangle's are zero).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import pi, tanh
from typing import Any

import torch
from torch import Tensor


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, pull_back: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.pull_back = pull_back
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return ctx.pull_back(gradients[0], distance), None


@dataclass(frozen=True)
class Surrogate(ABC):
    """A spike function; calling it gives 1 where the membrane is above the threshold, else 0."""

    def __call__(self, distance: Tensor) -> Tensor:
        """Spikes, shaped like ``distance`` (membrane minus threshold)."""
        result: Tensor = _Spike.apply(distance, self.pull_back)  # type: ignore[no-untyped-call]  # torch's own
        return result

    @abstractmethod
    def pull_back(self, upstream: Tensor, distance: Tensor) -> Tensor:
        """``upstream`` times what stands in for d spike / d distance; all shaped like ``distance``."""


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """1 / (slope · |x| + 1)²: Zenke and Ganguli, "SuperSpike", Neural Computation 30, 2018."""

    slope: float = 10.0

    def pull_back(self, upstream: Tensor, distance: Tensor) -> Tensor:
        """See the class."""
        return upstream / (self.slope * distance.abs() + 1.0) ** 2


@dataclass(frozen=True)
class ArcTan(Surrogate):
    """alpha / 2 / (1 + (pi / 2 · alpha · x)²): Fang et al. 2021, arXiv:2007.05785, eq. 7."""

    alpha: float = 2.0

    def pull_back(self, upstream: Tensor, distance: Tensor) -> Tensor:
        """See the class."""
        return upstream * (self.alpha / 2.0) / (1.0 + (pi / 2.0 * self.alpha * distance) ** 2)


@dataclass(frozen=True)
class Triangle(Surrogate):
    """max(0, width - |x|) / width²: Deng et al. 2022 (TET), arXiv:2202.11946; SEENN's public code with width 1.

    With width 1 / alpha it is BrainCog's QGateGrad, max(0, alpha - alpha² · |x|), of He et al., arXiv:2303.13077.
    """

    width: float = 1.0

    def pull_back(self, upstream: Tensor, distance: Tensor) -> Tensor:
        """See the class."""
        return upstream * (self.width - distance.abs()).clamp(min=0.0) / self.width**2


@dataclass(frozen=True)
class Rectangle(Surrogate):
    """1 / width where |x| < width / 2, else 0: Wu et al. 2018 (STBP), arXiv:1706.02609, eq. 24."""

    width: float = 1.0

    def pull_back(self, upstream: Tensor, distance: Tensor) -> Tensor:
        """See the class."""
        return upstream * (distance.abs() < self.width / 2.0) / self.width


@dataclass(frozen=True)
class DSpike(Surrogate):
    """b · (1 - tanh²(b · x)) / (2 · tanh(b / 2)) where |x| <= 1/2, else 0: Li et al. 2021, "Differentiable Spike"
    (NeurIPS), its function on [0, 1] centred on the threshold; SEENN's main models take b = 3.
    """

    b: float = 3.0

    def pull_back(self, upstream: Tensor, distance: Tensor) -> Tensor:
        """See the class."""
        steepness = self.b * (1.0 - torch.tanh(self.b * distance) ** 2) / (2.0 * tanh(self.b / 2.0))
        return upstream * (distance.abs() <= 0.5) * steepness
