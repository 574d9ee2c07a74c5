"""What all neurons share: the walk over time, in the arithmetic of `spikeport.converters.network.Neuron`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikeport.converters.network import Neuron, Reset, Shape
from spikeport.errors import DataError, UnsupportedOnChipError
from spikeport.models.surrogate import FastSigmoid, Surrogate

ResetKind: TypeAlias = Literal["zero", "subtract", "none"]
_RESETS: dict[ResetKind, Reset] = {"zero": "value", "subtract": "subtract", "none": "none"}

TOLERANCE = 1e-6
"""Constants that differ by less from step to step are one constant; a decay register's unit is 1 / 4096."""


@dataclass(frozen=True)
class Constants:
    """What one step multiplies with; each a tensor that broadcasts to one sample's step, None for "without".

    ``current_decay`` a, ``input_gain`` g, ``membrane_decay`` b, ``current_gain`` c of
    u = a · u + g · x; w = b · v + c · u  (`spikeport.converters.network.Neuron`).
    """

    membrane_decay: Tensor
    input_gain: Tensor | None = None
    current_decay: Tensor | None = None
    current_gain: Tensor | None = None


class SteppedNeuron(nn.Module, ABC):
    """A layer of neurons. Takes and gives (B · T, *shape), the steps of one sample side by side; starts from rest.

    Attributes:
        steps: T of the next call; 1 unless `spikeport.models.network.over_time` set it.
        threshold: a spike where the membrane is above it.
        reset: of the membrane, in the step of the spike: to "zero", by "subtract"-ing the threshold, or "none".
        spiking: False: the membrane itself is the output.
        detach_reset: whether gradients pass by the reset.
        watched: whether the next calls keep ``membranes``, (B, T, *shape) after the reset, with gradients.
    """

    def __init__(
        self,
        threshold: float = 1.0,
        reset: ResetKind = "zero",
        surrogate: Surrogate | None = None,
        detach_reset: bool = True,
        spiking: bool = True,
    ) -> None:
        super().__init__()
        if reset not in _RESETS:
            raise DataError(f"reset={reset!r}; there are {', '.join(_RESETS)}")
        self.steps = 1
        self.threshold, self.reset, self.spiking = threshold, reset, spiking
        self.surrogate = surrogate or FastSigmoid()
        self.detach_reset = detach_reset
        self.watched, self.membranes = False, torch.empty(0)

    @abstractmethod
    def constants(self) -> Sequence[Constants]:
        """One entry that holds for every step, or one entry for each step."""

    def forward(self, x: Tensor) -> Tensor:
        """Spikes, or membranes where not ``spiking``: (B · T, *shape) for summed inputs of the same shape.

        Raises:
            DataError: the number of steps does not divide the first axis, or is not the one trained for.
        """
        if x.shape[0] % self.steps:
            raise DataError(f"{x.shape[0]} frames are no whole samples of {self.steps} steps; see over_time")
        series = x.reshape(-1, self.steps, *x.shape[1:]).unbind(1)
        constants = self.constants()
        if len(constants) not in (1, self.steps):
            raise DataError(f"neurons with constants for {len(constants)} steps cannot run {self.steps}")
        return torch.stack(self._walk(series, constants), 1).flatten(0, 1)

    def _walk(self, series: Sequence[Tensor], constants: Sequence[Constants]) -> list[Tensor]:
        u: Tensor | None = None
        v: Tensor | None = None
        given, membranes = [], []
        for x, c in zip(series, constants if len(constants) > 1 else repeat(constants[0]), strict=False):
            u = _current(c, u, x)
            w = _membrane(c, v, u)
            out, v = self._fire(w)
            given.append(out)
            if self.watched:
                membranes.append(v)
        if self.watched:
            self.membranes = torch.stack(membranes, 1)
        return given

    def _fire(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Output and the membrane after it."""
        if not self.spiking:
            return w, w
        spikes = self.surrogate(w - self.threshold)
        resets = spikes.detach() if self.detach_reset else spikes
        match self.reset:
            case "zero":
                return spikes, w * (1.0 - resets)
            case "subtract":
                return spikes, w - resets * self.threshold
            case _:
                return spikes, w

    def to_neuron(self, name: str, shape: Shape) -> Neuron:
        """The exact discrete neuron of this layer, whose output has ``shape`` in one step of one sample.

        Raises:
            UnsupportedOnChipError: constants that change from step to step.
        """
        first, *others = self.constants()
        for constants in others:
            self._same(name, first, constants)
        return Neuron(
            membrane_decay=_array(first.membrane_decay),
            threshold=np.array(self.threshold, np.float32),
            current_decay=None if first.current_decay is None else _array(first.current_decay),
            input_gain=_array(first.input_gain),
            current_gain=_array(first.current_gain),
            spiking=self.spiking,
            reset=_RESETS[self.reset],
        )

    def _same(self, name: str, first: Constants, other: Constants) -> None:
        for what in ("membrane_decay", "input_gain", "current_decay", "current_gain"):
            a, b = (_array(getattr(c, what)) for c in (first, other))
            if (np.abs(a - b) > TOLERANCE).any():
                raise UnsupportedOnChipError(
                    f"{name}: its {what.replace('_', ' ')} changes from step to step (by {np.abs(a - b).max():.3g}), "
                    "and a chip stores one for all steps. Train constants per layer, or continue from the mean of the "
                    "steps (PerStepDALIF.averaged)."
                )


def _current(c: Constants, u: Tensor | None, x: Tensor) -> Tensor:
    driven = x if c.input_gain is None else c.input_gain * x
    return driven if c.current_decay is None or u is None else c.current_decay * u + driven


def _membrane(c: Constants, v: Tensor | None, u: Tensor) -> Tensor:
    driven = u if c.current_gain is None else c.current_gain * u
    return driven if v is None else c.membrane_decay * v + driven


def _array(value: Tensor | None) -> NDArray[np.float32]:
    return np.ones((), np.float32) if value is None else value.detach().cpu().numpy().astype(np.float32)
