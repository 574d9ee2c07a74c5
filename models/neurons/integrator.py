"""Integrators that never fire: what a read-out adds up in."""

from __future__ import annotations

import torch
from torch import Tensor

from spikeport.models.neurons.stepped import Constants, SteppedNeuron


class Integrator(SteppedNeuron):
    """v = decay · v + x; the output is v itself. With decay 1 the last step holds the sum over time."""

    decay: Tensor

    def __init__(self, decay: float = 1.0) -> None:
        super().__init__(spiking=False, reset="none")
        self.register_buffer("decay", torch.tensor(decay))

    def constants(self) -> tuple[Constants]:
        """The same at every step."""
        return (Constants(self.decay),)
