"""Run: what came out of one run of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.deploy.activity import Activity
from spikeport.deploy.backends.simulator.simulation import Choice


@dataclass(frozen=True)
class Run:
    """Outputs on the input's clock, and the activity that an estimate needs.

    Attributes:
        output: (B, T, n) of the output population: spikes per step, or the membrane potential in the trained
            network's units where the output is an integrator.
        activity: counts.
        spikes: (B, T, *shape) of each population recorded, on the input's clock.
        backend: which executor ran.
        input_steps: T; the chip itself took ``activity.steps``.
        findings: input values that were clamped, registers that left their 24 bits.
        engines: per population, which engine computed it and why; empty where there was no choice.
        memory: bytes that the run allocated at most, as predicted before it began; None where nobody knows.
        steps_used: (B,) chip steps until each sample was stopped; None where nothing was to stop them.
    """

    output: NDArray[np.float64]
    activity: Activity
    spikes: Mapping[str, NDArray[np.int64]]
    backend: str
    input_steps: int
    findings: tuple[Finding, ...]
    engines: Mapping[str, Choice] = field(default_factory=dict)
    memory: int | None = None
    steps_used: NDArray[np.int64] | None = None
