"""What an estimate says: the record that the command line, reports and budgets read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from spikeport.deploy.estimate.energy import Line
from spikeport.hw_profiles.quantity import Evidence


@dataclass(frozen=True)
class Part:
    """One layer's or core's share, per inference.

    Attributes:
        name: the layer, or ``core 3`` with its layers.
        energy_j: dynamic energy of what has a price.
        busy_s: core time of what has a price.
        complete: False where a price is missing.
    """

    name: str
    energy_j: float
    busy_s: float
    complete: bool


@dataclass(frozen=True)
class Estimate:
    """Energy, latency and power of one inference (mean over the batch).

    Attributes:
        profile, title: whose prices; an assumption shows in both.
        samples, steps: the run behind the counts; chip steps per sample, a mean where samples stopped early.
        cores, tiles, chips: in use.
        counts: events per inference.
        lines: the energy, line by line.
        dynamic_j: Σ of all lines but "static"; None where a price is missing.
        static_j: static power × latency; None where either is unknown.
        energy_j: both; None where one is.
        known_j: Σ of the lines that have a price; a lower bound, not a total.
        missing: what lacks a price and was needed, energy and time.
        not_covered: entries the price list leaves out on purpose, with its words.
        evidence: the weakest class behind energy_j.
        latency_s, slowest_latency_s: mean and slowest sample; None where a time is missing.
        step_s, barrier_s: mean step, and the barrier's part of it.
        latency_evidence: the weakest class behind latency_s.
        bottleneck: the core that was the slowest most often.
        max_rate_hz: inferences per second, one after the other.
        power_w: at max_rate_hz.
        rate_hz: the rate that was asked for, or None.
        power_at_rate_w, energy_at_rate_j: at that rate; static power is drawn between inferences, too.
        energy_delay_js: energy_j × latency_s.
        by_layer, by_core: where it goes.
        references: sources of all prices used.
        notes: what else a reader should know.
    """

    profile: str
    title: str
    samples: int
    steps: float
    cores: int
    tiles: int
    chips: int
    counts: Mapping[str, float]
    lines: tuple[Line, ...]
    dynamic_j: float | None
    static_j: float | None
    energy_j: float | None
    known_j: float
    missing: tuple[str, ...]
    not_covered: tuple[str, ...]
    evidence: Evidence
    latency_s: float | None
    slowest_latency_s: float | None
    step_s: float | None
    barrier_s: float | None
    latency_evidence: Evidence
    bottleneck: str
    max_rate_hz: float | None
    power_w: float | None
    rate_hz: float | None
    power_at_rate_w: float | None
    energy_at_rate_j: float | None
    energy_delay_js: float | None
    by_layer: tuple[Part, ...]
    by_core: tuple[Part, ...]
    references: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The estimate as plain JSON values."""
        return asdict(self)
