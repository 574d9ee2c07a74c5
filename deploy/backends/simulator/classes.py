"""Classes: neurons whose spikes count for the same, and three ways to book what a chunk's spikes cause.

Few classes (a layer on one core, or on several without overlap): count spikes by class, then book each class once.
Many classes whose spikes each reach many cores (convolutions onto channels that are spread over cores): count by class,
and multiply the counts with a table. Many classes whose spikes reach few cores (sparse networks): follow each spike.
Counters that tell the same neurons apart are booked together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.deploy.backends.simulator.events import count
from spikeport.deploy.books import Place
from spikeport.deploy.consequences import Consequence, Counter, side_by_side

FEW = 256
"""Classes up to which each is booked by itself."""
RATE, FOLLOWING, MULTIPLYING = 0.05, 1.5, 0.03
"""To choose between the other two ways: spikes per neuron and step; nanoseconds of an entry booked, or multiplied."""
MORE = 1.2
"""How many times as many classes two counters may have together as the richer one by itself."""
_ODD = np.int64(0x9E3779B97F4A7C1)
EXACT = 1 << 24
"""Sums of integers below this are exact in float32, others of this size in float64."""
FOUND_BYTES = 1 << 22

Table: TypeAlias = tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[np.int64], NDArray[np.int64]]
"""Sparse rows as the kernels take them; see `events.count.Table`."""
Spikes: TypeAlias = tuple[int, NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]
Blocks: TypeAlias = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Span:
    """Where a chunk belongs: samples ``rows`` (B,) of the run, chip steps ``first`` .. ``first + steps`` - 1."""

    rows: NDArray[np.intp]
    first: int
    steps: int


@dataclass(frozen=True)
class Product:
    """What counts by class are multiplied with.

    Attributes:
        block: of counters, see `Place`.
        after: steps from event to effect.
        columns: (k,) of the block.
        table: (C, k).
    """

    block: int
    after: int
    columns: NDArray[np.int64]
    table: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Classes:
    """What spikes of a population count for.

    Attributes:
        number: of classes to be booked one by one, 0 if they are too many.
        class_of: (n,) class of each neuron.
        tables: rows by class, or by neuron where spikes are followed, for both blocks of counters.
        products: to multiply counts by class with; else nothing.
    """

    number: int
    class_of: NDArray[np.uint32]
    tables: tuple[Table, Table]
    products: tuple[Product, ...]

    @staticmethod
    def of(caused: list[Consequence], where: Mapping[Counter, Place]) -> Classes:
        """Classes of neurons by these consequences of their events, and the cheapest way to book them."""
        whole = side_by_side([c.table for c in caused])
        class_of, members = _alike(whole)
        if len(members) <= FEW:
            return Classes(len(members), class_of, tables(caused, where, members), ())
        columns = len(np.unique(whole.indices))
        if RATE * whole.nnz * FOLLOWING > len(members) * columns * MULTIPLYING:
            nothing = tables(caused, where, members[:0])
            return Classes(0, class_of, nothing, _products(caused, where, members))
        return Classes(0, class_of, tables(caused, where, np.arange(whole.shape[0])), ())

    def book(self, spikes: Spikes, span: Span, blocks: Blocks) -> None:
        """Add what the spikes of a chunk cause to ``blocks``."""
        if self.products:
            self._multiply(spikes, span, blocks)
        elif self.number:
            found = np.empty((len(span.rows), span.steps, self.number), np.int64)
            count.classify(spikes, self.class_of, found)
            for table, block in zip(self.tables, blocks, strict=True):
                count.book(found, table, span.rows, span.first, block)
        else:
            for table, block in zip(self.tables, blocks, strict=True):
                count.follow(spikes, table, span.rows, span.first, span.steps, block)

    def _multiply(self, spikes: Spikes, span: Span, blocks: Blocks) -> None:
        classes = len(self.products[0].table)
        found = np.empty((max(1, FOUND_BYTES // (4 * classes)), classes), self.products[0].table.dtype)
        for b, row in enumerate(span.rows.tolist()):
            for start in range(0, span.steps, len(found)):
                part = found[: min(len(found), span.steps - start)]
                count.tabulate(spikes, self.class_of, b, start, part)
                for p in self.products:
                    count.put(part @ p.table, p.columns, row, span.first + start + p.after, blocks[p.block])


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


def _products(
    caused: list[Consequence], where: Mapping[Counter, Place], members: NDArray[np.intp]
) -> tuple[Product, ...]:
    """One for each block and number of steps, since all of one number type."""
    largest = max(int(c.table.sum(axis=0).max(initial=0)) for c in caused)
    exact = np.float32 if largest < EXACT else np.float64
    found = []
    for block, after in sorted({(where[c.counter].block, c.after) for c in caused}):
        mine = [c for c in caused if (where[c.counter].block, c.after) == (block, after)]
        reached = [np.unique(c.table.indices) for c in mine]
        columns = [where[c.counter].column + at for c, at in zip(mine, reached, strict=True)]
        rows = [c.table[members][:, at].toarray() for c, at in zip(mine, reached, strict=True)]
        found.append(Product(block, after, np.concatenate(columns), np.concatenate(rows, axis=1).astype(exact)))
    return tuple(found)


def together(caused: list[Consequence]) -> list[list[Consequence]]:
    """Consequences in groups that tell few classes of neurons apart, or many, but hardly more than each by itself."""
    keyed = sorted(((_keys(c.table), c) for c in caused), key=lambda pair: len(np.unique(pair[0])))
    groups: list[tuple[NDArray[np.int64], list[Consequence]]] = []
    for keys, consequence in keyed:
        alone = len(np.unique(keys))
        for at, (others, members) in enumerate(groups):
            both = others * _ODD + keys
            if len(np.unique(both)) <= max(FEW, MORE * max(alone, len(np.unique(others)))):
                groups[at] = both, [*members, consequence]
                break
        else:
            groups.append((keys, [consequence]))
    return [members for _, members in groups]


def _keys(table: csr_array) -> NDArray[np.int64]:
    """A number for each row, the same for equal rows and, but for a chance in 2^64, for no others."""
    columns = np.random.default_rng(0).integers(1, 1 << 62, table.shape[1], np.int64)
    found: NDArray[np.int64] = table @ columns
    return found


def _alike(table: csr_array) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Class of each row, and a member of each class: equal rows are one class."""
    _, members, class_of = np.unique(_keys(table), return_index=True, return_inverse=True)
    if not _equal(table, table[members][class_of]):  # by chance
        members = class_of = np.arange(table.shape[0])
    return class_of.reshape(-1).astype(np.uint32), members


def _equal(a: csr_array, b: csr_array) -> bool:
    """Whether two tables hold the same, without a third: they are the largest things in memory."""
    pairs = ((a.indptr, b.indptr), (a.indices, b.indices), (a.data, b.data))
    return all(np.array_equal(mine, other) for mine, other in pairs)
