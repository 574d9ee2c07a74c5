"""Leaky integrate-and-fire neurons with fixed constants."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeport.models.neurons.stepped import Constants, SteppedNeuron


class LIF(SteppedNeuron):
    """w = decay · v + gain · x; a spike where w > threshold; reset as `SteppedNeuron` says.

    The textbook form v += (x - v) / tau is ``decay=1 - 1 / tau, gain=1 / tau``.
    """

    decay: Tensor
    gain: Tensor

    def __init__(self, decay: float = 0.5, gain: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.register_buffer("decay", torch.tensor(decay))
        self.register_buffer("gain", torch.tensor(gain))

    def constants(self) -> tuple[Constants]:
        """The same at every step."""
        return (Constants(self.decay, self.gain),)
