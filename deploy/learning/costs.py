"""What learning costs: counted here, and lines of the estimate of its own. No price list knows these prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from spikeport.converters.chip_network import Ints
from spikeport.deploy.estimate.energy import Line
from spikeport.deploy.estimate.record import Estimate

SOURCE = "no price list here has it: the energy of learning was not published event by event"


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


def with_learning(estimate: Estimate, costs: LearningCosts) -> Estimate:
    """The estimate of one presentation with what learning adds to it; what has no price leaves the totals open.

    ``known_j`` stays what it was: a lower bound that says so.
    """
    counts: Mapping[str, int] = costs.as_dict()
    shown = max(costs.presentations, 1)
    lines = tuple(
        Line(f"learning: {name.replace('_', ' ')}", counts[name] / shown, None, "pJ", None, SOURCE, "unknown")
        for name in PRICED
        if counts[name]
    )
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
        missing=(*estimate.missing, *(line.name for line in lines)),
        evidence="unknown",
        notes=(*estimate.notes, "time that learning takes is not known, and not in the latency"),
    )
