"""Run: what came out of one run of a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.deploy.activity import Activity


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
    """

    output: NDArray[np.float64]
    activity: Activity
    spikes: Mapping[str, NDArray[np.int64]]
    backend: str
    input_steps: int
    findings: tuple[Finding, ...]
