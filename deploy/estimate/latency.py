"""Latency: a step lasts as long as its slowest core, the longest way of a packet, and the barrier.

A core works off a step's events one after the other: packets in, synaptic operations, every compartment, spikes,
packets out. The step ends when the slowest core is done, its last packet has arrived over the longest way in use, and
all cores agree (the barrier; published at a few numbers of tiles, straight lines between them). An inference takes all
its steps, those of the pipeline depth included; inferences follow each other without overlap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.mesh import hops
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity, CoreCounts
from spikeport.deploy.estimate.counts import (
    EVENTS,
    EventCounts,
    PerCore,
    compartments,
    core_compartments,
    synaptic_event,
)
from spikeport.deploy.estimate.energy import NS
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.profile import Profile
from spikeport.hw_profiles.quantity import Curve, Evidence, Quantity, weakest

WORK = tuple(e for e in EVENTS if e not in {"hop_east_west", "hop_north_south", "chip_crossing", "input_packet"})
"""Events that keep a core busy; packets under way do not, they lengthen the step by the longest way."""

_CHUNK = 1 << 22  # entries of (samples, steps, cores) worked on at once


@dataclass(frozen=True)
class Latency:
    """How long an inference takes.

    Attributes:
        seconds: mean over the batch; None where a price is missing.
        slowest_seconds: the slowest sample's; None likewise.
        step_seconds: mean step.
        barrier_seconds: the barrier's part of a step; None where not published.
        bottleneck: (cores,) part of all steps in which this core was the slowest.
        missing: time prices that were needed and are unknown.
        used: time prices that went in.
        evidence: the weakest class of them.
    """

    seconds: float | None
    slowest_seconds: float | None
    step_seconds: float | None
    barrier_seconds: float | None
    bottleneck: PerCore
    missing: tuple[str, ...]
    used: Mapping[str, Quantity | Curve]
    evidence: Evidence


def estimate_latency(
    network: ChipNetwork, placement: Placement, activity: Activity, profile: Profile, counts: EventCounts
) -> Latency:
    """Latency of one inference from what each core did in each step; unknown times make it None, never zero."""
    prices = profile.prices
    used = _times_needed(prices, counts, placement)
    missing = tuple(key for key, price in used.items() if price.evidence == "unknown")
    evidence = weakest(price.evidence for price in used.values())
    if missing:
        return Latency(None, None, None, None, np.zeros(len(placement.cores)), missing, used, evidence)
    fixed = _longest_way(placement, activity, prices) + _barrier(prices, placement)
    work = _Work.of(network, placement, activity, profile)
    per_sample, bottleneck = _sum_steps(work, activity, fixed)
    seconds = float(per_sample.mean()) if activity.batch else 0.0
    slowest = float(per_sample.max(initial=0.0))
    step = seconds / max(activity.mean_steps, 1.0)
    return Latency(seconds, slowest, step, _barrier(prices, placement), bottleneck, (), used, evidence)


def tiles_in_use(placement: Placement) -> int:
    """Tiles with at least one core, over all chips."""
    return len({seat[:3] for seat in placement.seats})


def _times_needed(prices: Prices, counts: EventCounts, placement: Placement) -> dict[str, Quantity | Curve]:
    needed: dict[str, Quantity | Curve] = {
        f"{event}_time_ns": prices.time(event)
        for event in EVENTS
        if event != "input_packet" and counts.total(event) > 0
    }
    return {**needed, "barrier_time_ns": prices.barrier_time_ns} if placement.cores else needed


def _ns(price: Quantity) -> float:
    """Seconds of a time price; an unknown one got here only because nothing needs it."""
    return (price.value or 0.0) * NS


def _barrier(prices: Prices, placement: Placement) -> float:
    if not placement.cores:
        return 0.0
    tiles, values = zip(*prices.barrier_time_ns.points, strict=True)
    return float(np.interp(tiles_in_use(placement), tiles, values)) * NS


def _longest_way(placement: Placement, activity: Activity, prices: Prices) -> float:
    """Seconds of the longest way that any packet took."""
    east_west, north_south, crossings = hops(placement.seats)
    way = (
        east_west * _ns(prices.hop_east_west_time_ns)
        + north_south * _ns(prices.hop_north_south_time_ns)
        + crossings * _ns(prices.chip_crossing_time_ns)
    )
    return float(np.max(way[activity.traffic[:-1] > 0], initial=0.0))


@dataclass(frozen=True)
class _Work:
    """A core's step is what it holds plus a weighted sum of what it did.

    Attributes:
        held: (cores,) seconds of all compartments, active or not.
        done: seconds of one event, and how often each core had it, (B, T, cores).
    """

    held: PerCore
    done: tuple[tuple[float, CoreCounts], ...]

    @staticmethod
    def of(network: ChipNetwork, placement: Placement, activity: Activity, profile: Profile) -> _Work:
        """The work of a run; events that take no time are left out."""

        def ns(event: str) -> float:
            return _ns(profile.prices.time(event))

        inactive = ns("neuron_update_inactive")
        extra = ns("neuron_update_active") - inactive
        done = (
            *((ns(synaptic_event(kind)), counts) for kind, counts in activity.core_synops.items()),
            *((extra * compartments(models, profile), counts) for models, counts in activity.core_active.items()),
            (ns("spike_out"), activity.core_spikes),
            (ns("axon_out"), activity.core_packets_out),
            (ns("axon_in") + ns("spike_within_tile"), activity.core_packets_in),
        )
        held = core_compartments(network, placement, profile) * (ns("neuron_access") + inactive)
        return _Work(held, tuple((price, counts) for price, counts in done if price != 0))


def _sum_steps(work: _Work, activity: Activity, fixed: float) -> tuple[NDArray[np.float64], PerCore]:
    """(B,) seconds per sample, and (cores,) the part of all steps in which each core was the slowest."""
    cores = len(work.held)
    per_sample, slowest = np.zeros(activity.batch), np.zeros(cores)
    chunk = max(1, _CHUNK // max(1, activity.steps * cores))
    for start in range(0, activity.batch if cores else 0, chunk):
        rows = slice(start, start + chunk)
        seconds = np.tile(work.held, (*activity.core_spikes[rows].shape[:2], 1))
        for price, counts in work.done:
            seconds += price * counts[rows]
        ran = _ran(activity, rows)
        per_sample[rows] = ((seconds.max(2) + fixed) * ran).sum(1)
        slowest += np.bincount(seconds.argmax(2)[ran], minlength=cores)
    return per_sample, slowest / max(1.0, activity.batch * activity.mean_steps)


def _ran(activity: Activity, rows: slice) -> NDArray[np.bool_]:
    """(b, T): the steps before each sample was stopped."""
    batch = len(activity.core_spikes[rows])
    if activity.used is None:
        return np.ones((batch, activity.steps), np.bool_)
    return np.asarray(np.arange(activity.steps) < activity.used[rows, None])
