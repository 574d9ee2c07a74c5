"""Estimate: what an inference costs, where, on whose word, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping

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
from spikeport.deploy.estimate.record import Estimate, Part
from spikeport.errors import DataError
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.profile import Profile
from spikeport.hw_profiles.quantity import weakest


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
    lines = (*dynamic_lines(counts, activity.mean_steps, profile.prices), static)
    dynamic_j = _total([line.energy_j for line in lines[:-1]])
    energy_j = _total([dynamic_j, static.energy_j])
    static_w = None if static.price is None else static.price * placement.chips * MW
    at_rate = _total([None if dynamic_j is None or rate_hz is None else dynamic_j * rate_hz, static_w])
    return Estimate(
        profile=profile.name,
        title=profile.title,
        samples=activity.batch,
        steps=activity.mean_steps,
        cores=len(placement.cores),
        tiles=tiles_in_use(placement),
        chips=placement.chips,
        counts={event: counts.total(event) for event in EVENTS},
        lines=lines,
        dynamic_j=dynamic_j,
        static_j=static.energy_j,
        energy_j=energy_j,
        known_j=sum((line.energy_j for line in lines if line.energy_j is not None), 0.0),
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
