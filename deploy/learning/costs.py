"""What learning costs: counted here, and lines of the estimate of its own; only updates of weights have a price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from spikeport.converters.chip_network import Ints
from spikeport.deploy.estimate.energy import Line
from spikeport.deploy.estimate.record import Estimate
from spikeport.hw_profiles.prices import Prices
from spikeport.hw_profiles.quantity import Quantity

UNPUBLISHED = Quantity(
    value=None, unit="pJ", source="no price list here has it: not published event by event", evidence="unknown"
)


@dataclass(frozen=True)
class LearningCosts:
    """Events of a learning, in all.

    Attributes:
        presentations: samples shown, to be answered or to be learnt from.
        trace_updates: impulses added to x1, one for each spike of the hidden layer.
        weight_updates: synapses whose product of traces is not zero: computed, rounded and written back.
        weight_changes: of these, weights that came out different.
        error_words: errors sent by the host, one for each output neuron that was told one.
        score_words: readings that the host fetched to compute them.
        host_weights: weights that the host wrote itself.
    """

    presentations: int = 0
    trace_updates: int = 0
    weight_updates: int = 0
    weight_changes: int = 0
    error_words: int = 0
    score_words: int = 0
    host_weights: int = 0

    def plus(self, other: LearningCosts) -> LearningCosts:
        """Both together."""
        mine, theirs = asdict(self), asdict(other)
        return LearningCosts(**{key: mine[key] + theirs[key] for key in mine})

    def as_dict(self) -> dict[str, int]:
        """The counts as plain JSON."""
        return asdict(self)


PRICED = ("trace_updates", "weight_updates", "error_words", "score_words", "host_weights")
"""Lines of an estimate; a changed weight is a weight update."""


def epoch_costs(before: Ints, after: Ints, x1: Ints, y1: Ints, spikes: int, shown: int = 1) -> LearningCosts:
    """One epoch: weights before and after it (..., n_post, n_pre), traces, and how often the hidden layer spiked.

    ``shown``: how often the sample was, each time with its spikes; one of them taught.
    """
    return LearningCosts(
        presentations=shown * int(np.prod(before.shape[:-2], dtype=np.int64)),
        trace_updates=shown * spikes,
        weight_updates=int(((y1 != 0).sum(-1) * (x1 != 0).sum(-1)).sum()),
        weight_changes=int((before != after).sum()),
        error_words=int((y1 != 0).sum()),
        score_words=int(y1.size),
    )


def learning_lines(costs: LearningCosts, prices: Prices) -> tuple[Line, ...]:
    """What learning adds to a presentation, on average; a weight update is a price list's ``synaptic_update``."""
    counts: Mapping[str, int] = costs.as_dict()
    shown = max(costs.presentations, 1)
    known = {"weight_updates": prices.synaptic_update_energy_pj}
    return tuple(_line(name, counts[name] / shown, known.get(name, UNPUBLISHED)) for name in PRICED if counts[name])


def _line(name: str, count: float, price: Quantity) -> Line:
    energy = None if price.value is None else count * price.value * 1e-12
    name = f"learning: {name.replace('_', ' ')}"
    return Line(name, count, price.value, "pJ", energy, price.source, price.evidence)


def with_learning(estimate: Estimate, costs: LearningCosts, prices: Prices) -> Estimate:
    """The estimate of one presentation with what learning adds to it; what has no price leaves the totals open.

    ``known_j`` takes in what has one: a lower bound that says so.
    """
    lines = learning_lines(costs, prices)
    if not lines:
        return estimate
    nothing = dict.fromkeys(("dynamic_j", "energy_j", "power_w", "energy_delay_js", "max_rate_hz"))
    return replace(
        estimate,
        **nothing,  # type: ignore[arg-type]  # all of them may be None
        power_at_rate_w=None,
        energy_at_rate_j=None,
        lines=(*estimate.lines, *lines),
        counts={**estimate.counts, **{line.name: line.count or 0.0 for line in lines}},
        known_j=estimate.known_j + sum(line.energy_j or 0.0 for line in lines),
        missing=(*estimate.missing, *(line.name for line in lines if line.price is None)),
        evidence="unknown",
        notes=(*estimate.notes, "time that learning takes is not known, and not in the latency"),
    )
