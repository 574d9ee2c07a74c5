"""Simulation: what every simulator, and Lava, returns for one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from spikeport.converters.chip_network import Ints
from spikeport.deploy.activity import Activity

Progress = Callable[[int, int], None]
"""Called with (chip steps done, steps in all)."""


@dataclass(frozen=True)
class Choice:
    """Which engine computed a population, and why."""

    engine: str
    reason: str


@dataclass(frozen=True)
class Simulation:
    """Trains and states on the input's clock.

    Attributes:
        spikes: per recorded population (B, T, n): spikes or payloads.
        u, v: per recorded population (B, T, n), chip units, after the step's reset.
        activity: counts over all chip steps.
        engines: per population that was computed, who computed it; empty where there was no choice.
        steps_used: (B,) chip steps until each sample was stopped; None where nothing was to stop them.
    """

    spikes: Mapping[str, Ints]
    u: Mapping[str, Ints]
    v: Mapping[str, Ints]
    activity: Activity
    engines: Mapping[str, Choice] = field(default_factory=dict)
    steps_used: Ints | None = None
