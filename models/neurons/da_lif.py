"""Dual adaptive leaky integrate-and-fire neurons: Zhang et al. 2025, arXiv:2502.10422.

V[t] = beta · H[t-1] + alpha · X[t]; a spike where V > threshold; H = 0 where it spiked, V elsewhere. alpha = k(a) and
beta = k(b) with learnt a and b, k = tanh (the paper's choice) or sigmoid; all neurons of a layer share them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import atanh, log
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from spikeport.errors import DataError
from spikeport.models.neurons.stepped import Constants, SteppedNeuron

Squash: TypeAlias = Literal["tanh", "sigmoid"]
_SQUASH: Mapping[Squash, tuple[Callable[[Tensor], Tensor], Callable[[float], float]]] = {
    "tanh": (torch.tanh, atanh),
    "sigmoid": (torch.sigmoid, lambda y: log(y / (1.0 - y))),
}


class Squashed(nn.Module):
    """k(learnt), which starts at ``start``: one number, or one for each of ``steps``."""

    def __init__(self, start: float, squash: Squash, steps: int | None = None) -> None:
        super().__init__()
        if squash not in _SQUASH:
            raise DataError(f"squash={squash!r}; there are {', '.join(_SQUASH)}")
        self.squash: Squash = squash
        inverse = _SQUASH[squash][1]
        self.learnt = nn.Parameter(torch.full(() if steps is None else (steps,), inverse(start)))

    def forward(self) -> Tensor:
        """() or (steps,)."""
        return _SQUASH[self.squash][0](self.learnt)


class DALIF(SteppedNeuron):
    """One alpha and one beta per layer.

    On the chip alpha goes into the weights and beta into the decay register, exactly. tanh allows a beta below 0,
    which no decay register holds: compiling such a network is refused.
    """

    def __init__(self, alpha: float = 0.5, beta: float = 0.5, squash: Squash = "tanh", **options: Any) -> None:
        super().__init__(**options)
        self.alpha, self.beta = Squashed(alpha, squash), Squashed(beta, squash)

    def constants(self) -> tuple[Constants]:
        """As learnt so far."""
        return (Constants(self.beta(), self.alpha()),)


class PerStepDALIF(SteppedNeuron):
    """One alpha and one beta per layer and time step: more than a chip can hold, so `to_neuron` refuses it."""

    def __init__(
        self, steps: int, alpha: float = 0.5, beta: float = 0.5, squash: Squash = "tanh", **options: Any
    ) -> None:
        super().__init__(**options)
        self.alpha, self.beta = Squashed(alpha, squash, steps), Squashed(beta, squash, steps)

    def constants(self) -> tuple[Constants, ...]:
        """As learnt so far, one entry per step."""
        return tuple(map(Constants, self.beta(), self.alpha()))

    def averaged(self) -> DALIF:
        """Neurons with the mean of the steps, to be trained on as constants."""
        alpha, beta = (float(part().detach().mean()) for part in (self.alpha, self.beta))
        return DALIF(
            alpha,
            beta,
            self.alpha.squash,
            threshold=self.threshold,
            reset=self.reset,
            surrogate=self.surrogate,
            detach_reset=self.detach_reset,
        )
