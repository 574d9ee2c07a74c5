"""Census: counts chunks of a run in bulk, from event lists; equal to `spikeport.deploy.tally`."""

from __future__ import annotations

import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Ints, Population
from spikeport.deploy.backends.simulator.classes import Classes, Span, tables, together
from spikeport.deploy.backends.simulator.engine import Counters
from spikeport.deploy.backends.simulator.events.count import book, count
from spikeport.deploy.backends.simulator.trains import Train
from spikeport.deploy.books import Books, places
from spikeport.deploy.consequences import Consequences


class Census:
    """The tables of a network, with which runs are counted; several threads may book different samples at a time."""

    def __init__(self, network: ChipNetwork, consequences: Consequences) -> None:
        """Find the classes of every population."""
        self._network, self._consequences = network, consequences
        where = places(network, consequences.cores)
        self._spikes = {
            n: [Classes.of(part, where) for part in together(list(consequences.of_a_spike(n)))]
            for n in network.populations
        }
        inside = [p for p in network.populations.values() if p.model != "input"]
        self._cuts = {p.name: self._edges(p) for p in inside}
        # A neuron of each cut stands for all of them.
        self._work = {p.name: tables(list(consequences.of_work(p)), where, self._cuts[p.name][:-1]) for p in inside}

    def _edges(self, population: Population) -> Ints:
        homes = self._consequences.homes(population.name)
        return np.array(sorted({0, population.size}.union(*(home[1:] for home in homes))), np.int64)

    def cuts(self, population: str) -> Ints:
        """(S + 1,) edges between neurons that are counted apart, since they live on different cores."""
        return self._cuts[population]

    @property
    def entries(self) -> int:
        """Of the tables; see `Consequences`."""
        return self._consequences.entries

    def books(self, batch: int, steps: int) -> Books:
        """Zeroed books of a run."""
        return Books(self._network, self._consequences, batch, steps)

    def sent(self, books: Books, population: str, span: Span, train: Train, limit: Ints) -> None:
        """Count what left a population in a chunk.

        From step ``limit`` (B,) of the chunk on a sample counts only by step, where `Books.until` forgets it.
        """
        lists = train.events()
        spikes = (train.history, lists.starts, lists.index, lists.payload)
        count(spikes, span.rows, limit, books.per_neuron[population], books.payload[population])
        for classes in self._spikes[population]:
            classes.book(spikes, span, books.blocks)

    def worked(self, books: Books, population: str, span: Span, counters: Counters, limit: Ints) -> None:
        """Count what a population computed; overflows only before step ``limit`` (B,) of the chunk."""
        for table, block in zip(self._work[population], books.blocks, strict=True):
            book(counters.active, table, span.rows, span.first, block)
        early = np.arange(span.steps) < limit[:, None]
        books.u_wraps[population][span.rows] += (counters.u_wraps * early).sum(1)
        books.v_clips[population][span.rows] += (counters.v_clips * early).sum(1)
