"""Energy: Σ counts × price, line by line; a price that is unknown leaves its line, and so the total, open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from spikeport.deploy.estimate.counts import EVENTS, EventCounts
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.quantity import Evidence, Quantity, weakest

PJ = 1e-12
NS = 1e-9
MW = 1e-3


@dataclass(frozen=True)
class Line:
    """One line of an estimate, per inference.

    Attributes:
        name: the event, or "barrier", "static".
        count: how often; for "static" chips × seconds (None where the latency is unknown).
        price: of one, in ``unit`` ("pJ"; "mW" for "static"); None where unknown.
        energy_j: None where count or price is.
        source, evidence: of the price; for "static" the weakest of power and latency.
    """

    name: str
    count: float | None
    price: float | None
    unit: str
    energy_j: float | None
    source: str
    evidence: Evidence

    @property
    def covered(self) -> bool:
        """False where the price list leaves this entry out on purpose."""
        return self.evidence != "not-modelled"


def dynamic_lines(counts: EventCounts, steps: float, prices: Prices) -> tuple[Line, ...]:
    """A line for each event that happened; what did not happen costs nothing at any price."""
    happened = [(event, counts.total(event), prices.energy(event)) for event in EVENTS]
    rows = [*happened, ("barrier", steps, prices.barrier_energy_pj)]
    return tuple(_line(name, count, price) for name, count, price in rows if count > 0)


def _line(name: str, count: float, price: Quantity) -> Line:
    energy = None if price.value is None else count * price.value * PJ
    return Line(name, count, price.value, price.unit, energy, price.source, price.evidence)


def static_line(chips: int, seconds: float | None, time_evidence: Evidence, price: Quantity) -> Line:
    """Static power of ``chips`` over one inference; nothing to wait for where the list does not model it."""
    if price.value == 0:
        return Line("static", None, 0.0, price.unit, 0.0, price.source, price.evidence)
    count = None if seconds is None else chips * seconds
    energy = None if count is None or price.value is None else count * price.value * MW
    return Line(
        "static", count, price.value, price.unit, energy, price.source, weakest((price.evidence, time_evidence))
    )


def event_energy(counts: Mapping[str, float], prices: Prices) -> tuple[float, bool]:
    """Joules of the priced events among ``counts``, and whether all that happened have a price."""
    return _priced([(n, prices.energy(event).value) for event, n in counts.items() if n > 0], PJ)


def event_seconds(counts: Mapping[str, float], prices: Prices) -> tuple[float, bool]:
    """Seconds of core time of ``counts``, and whether all that happened have a price."""
    return _priced([(n, prices.time(event).value) for event, n in counts.items() if n > 0], NS)


def _priced(happened: list[tuple[float, float | None]], unit: float) -> tuple[float, bool]:
    known = [n * value * unit for n, value in happened if value is not None]
    return sum(known, 0.0), len(known) == len(happened)
