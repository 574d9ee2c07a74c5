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
    """

    output: NDArray[np.float64]
    activity: Activity
    spikes: Mapping[str, NDArray[np.int64]]
    backend: str
    input_steps: int

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Registers that left their 24 bits during the run."""
        layers = self.activity.populations.items()
        wrapped = [_overflow("u-wrapped", n, "wrapped around", "synaptic current", p.u_wraps) for n, p in layers]
        clipped = [_overflow("v-clipped", n, "was clipped", "membrane potential", p.v_clips) for n, p in layers]
        return tuple(f for f in (*wrapped, *clipped) if f is not None)


def _overflow(code: str, layer: str, how: str, what: str, times: int) -> Finding | None:
    if not times:
        return None
    message = f"the {what} left its 24 bits and {how} {times} time(s)."
    return Finding(code, "warning", layer, message, "Compile with calibration data that cover inputs like these.")
