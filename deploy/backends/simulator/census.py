"""Census: counts chunks of a run in bulk, from event lists; equal to `spikeport.deploy.tally`.

Neurons whose spikes count for the same (on one core, sending to the same cores) form a class. A chunk's spikes are
counted by class and step; then each class books what its spikes cause, all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Ints, Population
from spikeport.deploy.backends.simulator.engine import Counters
from spikeport.deploy.backends.simulator.events.count import book, count, follow
from spikeport.deploy.backends.simulator.trains import Train
from spikeport.deploy.books import Books
from spikeport.deploy.consequences import Consequence, Consequences, Counter, side_by_side

MANY = 256
"""Classes up to which it is cheaper to count them first than to follow each spike."""

Table = tuple[Ints, NDArray[np.uint32], Ints]
"""Sparse rows as the kernels take them: first entry of each row, column and amount of each entry."""


@dataclass(frozen=True)
class Span:
    """Where a chunk belongs: samples ``rows`` (B,) of the run, chip steps ``first`` .. ``first + steps`` - 1."""

    rows: NDArray[np.intp]
    first: int
    steps: int


@dataclass(frozen=True)
class Entry:
    """What events of each class (or neuron) add to a counter, ``after`` steps later."""

    counter: Counter
    table: Table
    after: int


@dataclass(frozen=True)
class Classes:
    """What events of a population count for.

    Attributes:
        number: of classes; 0 if there are too many: then every neuron has its own row in the tables.
        class_of: (n,) class of each neuron.
        entries: counters.
    """

    number: int
    class_of: NDArray[np.uint32]
    entries: tuple[Entry, ...]

    @staticmethod
    def of(caused: list[Consequence]) -> Classes:
        """Classes of a population from the consequences of its events."""
        whole = side_by_side([c.table for c in caused])
        class_of, members = _alike(whole)
        few = len(members) <= MANY
        entries = [Entry(c.counter, _rows(c.table[members] if few else c.table), c.after) for c in caused]
        happens = tuple(entry for entry in entries if len(entry.table[1]))
        return Classes(len(members) if few else 0, class_of, happens)


def _alike(table: csr_array) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Class of each row, and a member of each class: equal rows are one class."""
    keys = np.random.default_rng(0).integers(1, 1 << 62, table.shape[1], np.int64)
    _, members, class_of = np.unique(table @ keys, return_index=True, return_inverse=True)
    if abs(table - table[members][class_of]).max():  # two rows by chance with one key
        members = class_of = np.arange(table.shape[0])
    return class_of.reshape(-1).astype(np.uint32), members


def _rows(table: csr_array) -> Table:
    return table.indptr.astype(np.int64), table.indices.astype(np.uint32), table.data.astype(np.int64)


class Census:
    """The tables of a network, with which runs are counted; several threads may book different samples at a time."""

    def __init__(self, network: ChipNetwork, consequences: Consequences) -> None:
        """Find the classes of every population."""
        self._network, self._consequences = network, consequences
        self._spikes = {name: Classes.of(list(consequences.of_a_spike(name))) for name in network.populations}
        inside = [p for p in network.populations.values() if p.model != "input"]
        self._cuts = {p.name: self._edges(p) for p in inside}
        self._work = {p.name: self._entries_of_work(p) for p in inside}

    def _edges(self, population: Population) -> Ints:
        homes = self._consequences.homes(population.name)
        return np.array(sorted({0, population.size}.union(*(home[1:] for home in homes))), np.int64)

    def _entries_of_work(self, population: Population) -> list[Entry]:
        """A neuron of each cut stands for all of them."""
        first = self._cuts[population.name][:-1]
        return [Entry(c.counter, _rows(c.table[first]), 0) for c in self._consequences.of_work(population)]

    def cuts(self, population: str) -> Ints:
        """(S + 1,) edges between neurons that are counted apart, since they live on different cores."""
        return self._cuts[population]

    def books(self, batch: int, steps: int) -> Books:
        """Zeroed books of a run."""
        return Books(self._network, self._consequences, batch, steps)

    def sent(self, books: Books, population: str, span: Span, train: Train, limit: Ints) -> None:
        """Count what left a population in a chunk.

        From step ``limit`` (B,) of the chunk on a sample counts only by step, where `Books.until` forgets it.
        """
        classes, lists = self._spikes[population], train.events()
        spikes = (train.history, lists.starts, lists.index, lists.payload)
        found = np.empty((len(span.rows), span.steps, classes.number), np.int64)
        neurons, total = books.per_neuron[population], books.payload[population]
        count(spikes, span.rows, limit, classes.class_of, found, neurons, total)
        for entry in classes.entries:
            counter, start, steps = _place(books, entry, span)
            if steps > 0 and classes.number:
                book(found, entry.table, span.rows, start, steps, counter)
            elif steps > 0:
                follow(spikes, entry.table, span.rows, start, steps, counter)

    def worked(self, books: Books, population: str, span: Span, counters: Counters, limit: Ints) -> None:
        """Count what a population computed; overflows only before step ``limit`` (B,) of the chunk."""
        for entry in self._work[population]:
            book(counters.active, entry.table, span.rows, span.first, span.steps, books.counters[entry.counter])
        early = np.arange(span.steps) < limit[:, None]
        books.u_wraps[population][span.rows] += (counters.u_wraps * early).sum(1)
        books.v_clips[population][span.rows] += (counters.v_clips * early).sum(1)


def _place(books: Books, entry: Entry, span: Span) -> tuple[NDArray[Any], int, int]:
    """The counter of an entry, its step that belongs to the chunk's first, and how many steps are left of it."""
    counter, start = books.counters[entry.counter], span.first + entry.after
    return counter, start, min(span.steps, counter.shape[1] - start)
