"""Current-based leaky integrate-and-fire neurons: input passes a synaptic filter first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikeport.models.neurons.stepped import Constants, SteppedNeuron


class CubaLIF(SteppedNeuron):
    """u = current_decay · u + gain · x; w = decay · v + current_gain · u; a spike where w > threshold.

    DECOLLE's traces (Kaiser et al. 2020, arXiv:1811.10766), Q = b Q + (1 - b) S and P = a P + (1 - a) Q with
    U = W P, are these neurons with current decay b, decay a and gains 1 - b, 1 - a: all of it is linear.
    """

    current_decay: Tensor
    decay: Tensor
    gain: Tensor
    current_gain: Tensor

    def __init__(
        self, current_decay: float, decay: float, gain: float = 1.0, current_gain: float = 1.0, **options: Any
    ) -> None:
        super().__init__(**options)
        for name, value in (("current_decay", current_decay), ("decay", decay)):
            self.register_buffer(name, torch.tensor(value))
        for name, value in (("gain", gain), ("current_gain", current_gain)):
            self.register_buffer(name, torch.tensor(value))

    def constants(self) -> tuple[Constants]:
        """The same at every step."""
        return (Constants(self.decay, self.gain, self.current_decay, self.current_gain),)
