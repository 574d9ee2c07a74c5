"""Estimate: what an inference costs, where, on whose word, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.passes.core_load import models_used
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity
from spikeport.deploy.estimate.counts import EVENTS, EventCounts, count_events
from spikeport.deploy.estimate.energy import (
    MW,
    Line,
    dynamic_lines,
    event_energy,
    event_seconds,
    static_line,
)
from spikeport.deploy.estimate.latency import WORK, Latency, estimate_latency, tiles_in_use
from spikeport.errors import DataError
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.profile import Profile
from spikeport.hw_profiles.quantity import Evidence, weakest


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
        samples, steps: the run behind the counts; chip steps per sample.
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
    steps: int
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


def estimate(
    network: ChipNetwork,
    placement: Placement,
    activity: Activity,
    profile: Profile,
    rate_hz: float | None = None,
) -> Estimate:
    """What one inference costs by the prices of ``profile``.

    Args:
        network, placement: of the deployment.
        activity: of a run of it.
        profile: the deployment's own, or another price list for the same counts.
        rate_hz: inferences per second to give power for.

    Raises:
        DataError: nothing was run, or the rate is not positive.
    """
    _check(activity, rate_hz)
    counts = count_events(network, placement, activity, profile)
    latency = estimate_latency(network, placement, activity, profile, counts)
    static = static_line(placement.chips, latency.seconds, latency.evidence, profile.prices.static_power_per_chip_mw)
    lines = (*dynamic_lines(counts, activity.steps, profile.prices), static)
    dynamic_j = _total([line.energy_j for line in lines[:-1]])
    energy_j = _total([dynamic_j, static.energy_j])
    static_w = None if static.price is None else static.price * placement.chips * MW
    at_rate = _total([None if dynamic_j is None or rate_hz is None else dynamic_j * rate_hz, static_w])
    return Estimate(
        profile=profile.name,
        title=profile.title,
        samples=activity.batch,
        steps=activity.steps,
        cores=len(placement.cores),
        tiles=tiles_in_use(placement),
        chips=placement.chips,
        counts={event: counts.total(event) for event in EVENTS},
        lines=lines,
        dynamic_j=dynamic_j,
        static_j=static.energy_j,
        energy_j=energy_j,
        known_j=sum(line.energy_j for line in lines if line.energy_j is not None),
        missing=_missing(lines, latency),
        not_covered=tuple(f"{line.name}: {line.source}" for line in lines if not line.covered),
        evidence=weakest(line.evidence for line in lines),
        latency_s=latency.seconds,
        slowest_latency_s=latency.slowest_seconds,
        step_s=latency.step_seconds,
        barrier_s=latency.barrier_seconds,
        latency_evidence=latency.evidence,
        bottleneck=_bottleneck(placement, latency),
        max_rate_hz=1 / latency.seconds if latency.seconds else None,
        power_w=energy_j / latency.seconds if energy_j is not None and latency.seconds else None,
        rate_hz=rate_hz,
        power_at_rate_w=at_rate,
        energy_at_rate_j=at_rate / rate_hz if at_rate is not None and rate_hz else None,
        energy_delay_js=None if energy_j is None or latency.seconds is None else energy_j * latency.seconds,
        by_layer=_by_layer(network, counts, profile.prices),
        by_core=_by_core(placement, counts, profile.prices),
        references=_references(lines, latency),
        notes=_notes(network, placement, profile, latency, rate_hz),
    )


def _check(activity: Activity, rate_hz: float | None) -> None:
    if activity.batch < 1 or activity.steps < 1:
        raise DataError(f"nothing to estimate: {activity.batch} samples of {activity.steps} steps were run")
    if rate_hz is not None and not 0 < rate_hz < float("inf"):
        raise DataError(f"the inference rate must be positive, found {rate_hz} Hz")


def _total(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _missing(lines: tuple[Line, ...], latency: Latency) -> tuple[str, ...]:
    keys = {"static": "static_power_per_chip_mw"}
    energy = [keys.get(line.name, f"{line.name}_energy_pj") for line in lines if line.price is None]
    return (*energy, *latency.missing)


def _bottleneck(placement: Placement, latency: Latency) -> str:
    if latency.seconds is None or not placement.cores:
        return ""
    core = int(latency.bottleneck.argmax())
    return f"{_core_name(placement, core)}: slowest in {latency.bottleneck[core]:.0%} of steps"


def _core_name(placement: Placement, core: int) -> str:
    layers = dict.fromkeys(s.population for s in placement.cores[core].slices)
    return f"core {core} ({', '.join(layers)})"


def _by_layer(network: ChipNetwork, counts: EventCounts, prices: Prices) -> tuple[Part, ...]:
    rows = {n: {event: counts.by_layer[event].get(n, 0.0) for event in EVENTS} for n in network.populations}
    return tuple(_part(name, row, prices) for name, row in rows.items())


def _by_core(placement: Placement, counts: EventCounts, prices: Prices) -> tuple[Part, ...]:
    rows = [{event: float(counts.by_core[event][c]) for event in EVENTS} for c in range(len(placement.cores))]
    return tuple(_part(_core_name(placement, core), row, prices) for core, row in enumerate(rows))


def _part(name: str, row: Mapping[str, float], prices: Prices) -> Part:
    energy, priced = event_energy(row, prices)
    busy, timed = event_seconds({event: row[event] for event in WORK}, prices)
    return Part(name, energy, busy, priced and timed)


def _references(lines: tuple[Line, ...], latency: Latency) -> tuple[str, ...]:
    prices = [(line.evidence, line.source) for line in lines]
    times = [(price.evidence, price.source) for price in latency.used.values()]
    used = [source for evidence, source in (*prices, *times) if evidence not in {"unknown", "not-modelled"}]
    return tuple(dict.fromkeys(used))


def _notes(
    network: ChipNetwork, placement: Placement, profile: Profile, latency: Latency, rate_hz: float | None
) -> tuple[str, ...]:
    notes = [
        f"{profile.name} has no neuron model {model} ({p.name}); counted as one compartment per neuron"
        for p in network.populations.values()
        for model in models_used(p)
        if p.model != "input" and model not in profile.neuron_models
    ]
    sizes = {core.usage["neurons"].limit for core in placement.cores if "neurons" in core.usage}
    own = profile.limits.neurons_per_core.value
    if sizes - {own}:
        notes.append(f"cut for cores of {max(sizes)} compartments, {profile.name} has {own}: its own cut would differ")
    published = profile.prices.barrier_time_ns.points
    if published and tiles_in_use(placement) > published[-1][0]:
        notes.append(f"the barrier is published up to {published[-1][0]:g} tiles and held there")
    if rate_hz is not None and latency.seconds and rate_hz * latency.seconds > 1:
        notes.append(f"{rate_hz:g} Hz is more than one chip run after the other can do ({1 / latency.seconds:g} Hz)")
    return tuple(notes)
