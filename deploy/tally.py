"""Tally: counts a run while it happens, step by step, per layer and per core, so that no spike tensor need be stored.

The plain way, for the reference and Lava; `spikeport.deploy.backends.simulator.census` counts the same in bulk.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity
from spikeport.deploy.books import Books
from spikeport.deploy.consequences import Consequence, Consequences
from spikeport.deploy.ledger import Entry, Ledger


class Tally:
    """Counters of one run; an executor calls `sent` and `worked` at every step, then `finish`."""

    def __init__(self, network: ChipNetwork, placement: Placement, batch: int, steps: int) -> None:
        """Make the tables and zero the counters for ``batch`` samples of ``steps`` chip steps."""
        caused = Consequences(network, placement)
        self._books = Books(network, caused, batch, steps)
        self._sent = {n: Ledger([self._entry(c) for c in caused.of_a_spike(n)]) for n in network.populations}
        inside = [p for p in network.populations.values() if p.model != "input"]
        self._worked = {p.name: Ledger([self._entry(c) for c in caused.of_work(p)]) for p in inside}

    def _entry(self, consequence: Consequence) -> Entry:
        return Entry(self._books.counters[consequence.counter], consequence.table.toarray(), consequence.after)

    def sent(self, population: str, step: int, spikes: Ints) -> None:
        """Count ``spikes`` (B, n) that leave ``population`` in ``step``, and what they cause on arrival.

        A spike with delay D acts at ``step`` + 1 + D; spikes that arrive after the last step cause nothing.
        """
        sent = spikes != 0
        self._books.per_neuron[population] += sent
        self._books.payload[population] += np.abs(spikes).sum(1)
        self._sent[population].book(step, sent)

    def worked(self, population: str, step: int, active: NDArray[np.bool_], u_wraps: int, v_clips: int) -> None:
        """Count neurons (B, n) that had something to compute in ``step``, and registers that overflowed."""
        self._worked[population].book(step, active)
        self._books.u_wraps[population][0] += u_wraps
        self._books.v_clips[population][0] += v_clips

    def finish(self) -> Activity:
        """The finished counts."""
        return self._books.activity()
