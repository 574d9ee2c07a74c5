"""Parametric leaky integrate-and-fire neurons: one learnt time constant per layer."""

from __future__ import annotations

from math import log
from typing import Any

import torch
from torch import nn

from spikeport.models.neurons.stepped import Constants, SteppedNeuron


class PLIF(SteppedNeuron):
    """w = (1 - k) · v + k · x with k = sigmoid(learnt): Fang et al. 2021, arXiv:2007.05785, eq. 8 (1 / tau = k).

    One constant weighs the past and the input; `DALIF` gives each its own.
    """

    def __init__(self, tau: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.learnt = nn.Parameter(torch.tensor(-log(tau - 1.0)))

    def constants(self) -> tuple[Constants]:
        """As learnt so far."""
        k = torch.sigmoid(self.learnt)
        return (Constants(1.0 - k, k),)
