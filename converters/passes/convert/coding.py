"""From data to what the converted network's input carries: values between two ends become 0 .. 1."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikeport.converters.network import Network, Scale
from spikeport.converters.passes.convert.rewire import free_name, inserted_after
from spikeport.errors import DataError

NEAR_ZERO = 0.05
"""A lowest value this close above zero, as a share of the highest, is taken for zero: silence then means zero."""


@dataclass(frozen=True)
class Range:
    """Data values that stand for no spike and for a spike at every step (or the largest payload)."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise DataError(f"the input's range {self.low:g} .. {self.high:g} must be two numbers, the smaller first.")


def range_of(data: np.ndarray) -> Range:
    """The range of calibration data; from zero where they start near it.

    Raises:
        DataError: all values are equal.
    """
    low, high = float(data.min()), float(data.max())
    return Range(0.0 if 0.0 <= low <= NEAR_ZERO * high else low, high)


def with_input_range(network: Network, ends: Range) -> Network:
    """The network for inputs between 0 and 1 that stand for values between the ``ends``: x = low + (high - low) · s."""
    width = np.array(ends.high - ends.low, np.float32)
    bias = np.array(ends.low, np.float32) if ends.low else None
    if width == 1.0 and bias is None:
        return network
    for name in network.inputs:
        network = inserted_after(network, name, free_name(network, f"{name}.range"), Scale(width, bias))
    return replace(network, shapes={})
