"""Ledger: all that one event of a neuron counts for, as one matrix product per step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXACT = 1 << 24  # float32 holds every integer up to here


@dataclass(frozen=True)
class Entry:
    """What events add to one counter.

    Attributes:
        counter: (B, T, k), added to in place.
        table: (n, k) how much an event of each neuron adds to each column.
        after: steps from the event to what is counted.
    """

    counter: NDArray[np.integer]
    table: NDArray[np.integer]
    after: int = 0


class Ledger:
    """Entries of one population, booked together."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Lay the tables side by side, without columns that no event reaches.

        Sums stay below the largest column sum; where that is exact in float32, the product is exact, too.
        """
        reached = [np.flatnonzero(e.table.any(0)) for e in entries]
        whole = np.concatenate([e.table[:, columns] for e, columns in zip(entries, reached, strict=True)], axis=1)
        exact: Any = np.float32 if whole.sum(0).max(initial=0) < _EXACT else np.float64
        self._table = whole.astype(exact)
        self._parts = np.cumsum([len(columns) for columns in reached])[:-1]
        self._rows = [(e.counter, columns, e.after) for e, columns in zip(entries, reached, strict=True)]

    def book(self, step: int, events: NDArray[np.bool_]) -> None:
        """Count ``events`` (B, n) of ``step``; what would happen after the last step does not."""
        sums = events.astype(self._table.dtype) @ self._table
        for (counter, columns, after), added in zip(self._rows, np.split(sums, self._parts, axis=1), strict=True):
            if step + after < counter.shape[1]:
                counter[:, step + after, columns] += added.astype(counter.dtype)
