"""Budget: limits a deployment must keep, checked against an estimate. A figure that nobody knows keeps no limit."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.deploy.estimate.record import Estimate
from spikeport.errors import OverBudgetError


@dataclass(frozen=True)
class Budget:
    """Limits per inference; None: no limit.

    Attributes:
        energy_j: joules. latency_s: seconds, mean over samples. power_w: watts, at the estimate's rate if it has one,
            else at full speed.
    """

    energy_j: float | None = None
    latency_s: float | None = None
    power_w: float | None = None

    def check(self, estimate: Estimate) -> None:
        """Hold ``estimate`` to the limits.

        Raises:
            OverBudgetError: naming every figure that is over its limit, by how much, or unknown.
        """
        power = estimate.power_w if estimate.rate_hz is None else estimate.power_at_rate_w
        figures = (
            ("energy", "J", estimate.energy_j, self.energy_j),
            ("latency", "s", estimate.latency_s, self.latency_s),
            ("power", "W", power, self.power_w),
        )
        broken = [_broken(*figure) for figure in figures]
        if faults := [fault for fault in broken if fault]:
            raise OverBudgetError(f"{estimate.profile}: {'; '.join(faults)}")


def _broken(name: str, unit: str, found: float | None, limit: float | None) -> str:
    if limit is None or (found is not None and found <= limit):
        return ""
    if found is None:
        return f"{name} is unknown, so nothing shows that it keeps {limit:.3g} {unit}; see --assume-prices"
    return f"{name} {found:.3g} {unit} is over the budget of {limit:.3g} {unit} ({found / limit - 1:.0%} more)"
