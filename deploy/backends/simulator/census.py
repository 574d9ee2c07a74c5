"""Census: counts chunks of a run in bulk, from event lists; equal to `spikeport.deploy.tally`.

Neurons whose spikes count for the same (on one core, sending to the same cores) form a class. A chunk's spikes are
counted by class and step; then each class books what its spikes cause, all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Ints, Population
from spikeport.deploy.backends.simulator.engine import Counters
from spikeport.deploy.backends.simulator.events.count import book, count, follow
from spikeport.deploy.backends.simulator.trains import Train
from spikeport.deploy.books import Books, Place, places
from spikeport.deploy.consequences import Consequence, Consequences, Counter, side_by_side

MANY = 256
"""Classes up to which it is cheaper to count them first than to follow each spike."""

Table: TypeAlias = tuple[Ints, NDArray[np.uint32], Ints, Ints]
"""Sparse rows as the kernels take them; see `events.count.Table`."""


@dataclass(frozen=True)
class Span:
    """Where a chunk belongs: samples ``rows`` (B,) of the run, chip steps ``first`` .. ``first + steps`` - 1."""

    rows: NDArray[np.intp]
    first: int
    steps: int


@dataclass(frozen=True)
class Classes:
    """What events of a population count for.

    Attributes:
        number: of classes; 0 if there are too many: then every neuron has its own row in the tables.
        class_of: (n,) class of each neuron.
        tables: for the counters of layers, and for those of cores.
    """

    number: int
    class_of: NDArray[np.uint32]
    tables: tuple[Table, Table]

    @staticmethod
    def of(caused: list[Consequence], where: Mapping[Counter, Place]) -> Classes:
        """Classes of a population from the consequences of its events."""
        class_of, members = _alike(side_by_side([c.table for c in caused]))
        few = len(members) <= MANY
        rows = members if few else np.arange(len(class_of))
        return Classes(len(members) if few else 0, class_of, tables(caused, where, rows))


def tables(caused: list[Consequence], where: Mapping[Counter, Place], rows: NDArray[np.intp]) -> tuple[Table, Table]:
    """Rows ``rows`` of all consequences, as one table for each block of counters."""
    return _table(caused, where, rows, 0), _table(caused, where, rows, 1)


def _table(caused: list[Consequence], where: Mapping[Counter, Place], rows: NDArray[np.intp], block: int) -> Table:
    mine = [c for c in caused if where[c.counter].block == block]
    parts = [csr_array(c.table[rows]) for c in mine]
    columns = [where[c.counter].column + np.arange(part.shape[1]) for c, part in zip(mine, parts, strict=True)]
    delays = [np.full(part.shape[1], c.after) for c, part in zip(mine, parts, strict=True)]
    whole = side_by_side(parts) if parts else csr_array((len(rows), 0), dtype=np.int64)
    column, after = (np.concatenate([np.zeros(0, np.int64), *found])[whole.indices] for found in (columns, delays))
    return whole.indptr.astype(np.int64), column.astype(np.uint32), after, whole.data.astype(np.int64)


def _alike(table: csr_array) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Class of each row, and a member of each class: equal rows are one class."""
    keys = np.random.default_rng(0).integers(1, 1 << 62, table.shape[1], np.int64)
    _, members, class_of = np.unique(table @ keys, return_index=True, return_inverse=True)
    if abs(table - table[members][class_of]).max():  # two rows by chance with one key
        members = class_of = np.arange(table.shape[0])
    return class_of.reshape(-1).astype(np.uint32), members


class Census:
    """The tables of a network, with which runs are counted; several threads may book different samples at a time."""

    def __init__(self, network: ChipNetwork, consequences: Consequences) -> None:
        """Find the classes of every population."""
        self._network, self._consequences = network, consequences
        where = places(network, consequences.cores)
        self._spikes = {n: Classes.of(list(consequences.of_a_spike(n)), where) for n in network.populations}
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
        for table, block in zip(classes.tables, books.blocks, strict=True):
            if classes.number:
                book(found, table, span.rows, span.first, block)
            else:
                follow(spikes, table, span.rows, span.first, span.steps, block)

    def worked(self, books: Books, population: str, span: Span, counters: Counters, limit: Ints) -> None:
        """Count what a population computed; overflows only before step ``limit`` (B,) of the chunk."""
        for table, block in zip(self._work[population], books.blocks, strict=True):
            book(counters.active, table, span.rows, span.first, block)
        early = np.arange(span.steps) < limit[:, None]
        books.u_wraps[population][span.rows] += (counters.u_wraps * early).sum(1)
        books.v_clips[population][span.rows] += (counters.v_clips * early).sum(1)
