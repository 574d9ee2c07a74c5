"""Effects: what separates the chip from the trained network, each a switch that can be thrown on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

Effect: TypeAlias = Literal["weights", "decays", "thresholds", "biases", "rounding", "overflow", "neuron", "pipeline"]
Effects: TypeAlias = frozenset[Effect]

EFFECTS: tuple[Effect, ...] = get_args(Effect)
NONE: Effects = frozenset()
ALL: Effects = frozenset(EFFECTS)

MEANING: Mapping[Effect, str] = {
    "weights": "weights as integers with a shared exponent, and biases that cancel their mean error",
    "decays": "decays in 4096ths",
    "thresholds": "thresholds, resets and lower bounds as integers; strictly above",
    "biases": "biases as a 13-bit mantissa and an exponent",
    "rounding": "decayed states rounded toward zero, right-shifted sums rounded down",
    "overflow": "states of 24 bits: u wraps, v is clipped",
    "neuron": "the chip's neuron model: reset, refractory period, spikes per step, lower bound",
    "pipeline": "the chip's clock: initial states, steps before the first input, longer loops, relays",
}
