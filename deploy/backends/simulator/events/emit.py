"""Between event lists and arrays.

Lists: ``starts`` (B, W + 1), ``index`` (B, capacity), ``payload`` (B, capacity) or (B, 0); see `trains.Events`.
"""

from __future__ import annotations

import numpy as np

from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel
from spikeport.deploy.backends.simulator.events.marks import append


@kernel
def list_spikes(dense: Array, starts: Array, index: Array, payload: Array, first: Whole, stop: Whole) -> None:
    """Append steps ``first`` .. ``stop`` - 1 of ``dense`` (B, W, n) to the lists."""
    graded = payload.shape[1] > 0
    marks = np.empty(dense.shape[2], np.uint8)
    for b in range(dense.shape[0]):
        for w in range(first, stop):
            row, k = dense[b, w], starts[b, w]
            for i in range(row.shape[0]):
                marks[i] = row[i] != 0
            starts[b, w + 1] = append(marks, 0, index[b], k)
            if graded:
                for j in range(k, starts[b, w + 1]):
                    payload[b, j] = row[index[b, j]]


@kernel
def draw_spikes(starts: Array, index: Array, payload: Array, dense: Array, first: Whole, stop: Whole) -> None:
    """Set the spikes of steps ``first`` .. ``stop`` - 1 in ``dense`` (B, W, n), which holds zeros there."""
    graded = payload.shape[1] > 0
    for b in range(dense.shape[0]):
        for w in range(first, stop):
            for k in range(starts[b, w], starts[b, w + 1]):
                dense[b, w, index[b, k]] = payload[b, k] if graded else 1


@kernel
def copy_tail(
    starts: Array,
    index: Array,
    payload: Array,
    rows: Array,
    filled: Whole,
    new_starts: Array,
    new_index: Array,
    new_payload: Array,
    steps: Whole,
) -> None:
    """The last ``steps`` of ``filled`` steps of samples ``rows``, as the first of new lists."""
    known, wanted = payload.shape[1] > 0, new_payload.shape[1] > 0
    for r in range(rows.shape[0]):
        b = rows[r]
        base = starts[b, filled - steps]
        for w in range(steps + 1):
            new_starts[r, w] = starts[b, filled - steps + w] - base
        for k in range(new_starts[r, steps]):
            new_index[r, k] = index[b, base + k]
            if wanted:
                new_payload[r, k] = payload[b, base + k] if known else 1


@kernel
def list_input(
    data: Array, rows: Array, start: Whole, steps: Whole, history: Whole, starts: Array, index: Array, payload: Array
) -> Whole:
    """Append steps ``start`` .. ``start + steps`` - 1 of samples ``rows`` of ``data`` (B, T, n), then silence.

    Returns:
        the largest absolute value, or 2 for a negative one: more than 1 needs payloads.
    """
    size = data.shape[2]
    marks = np.empty(size, np.uint8)
    largest = np.int64(1)
    for b in range(rows.shape[0]):
        k = starts[b, history]
        for s in range(starts.shape[1] - 1 - history):
            if s < steps:
                row = data[rows[b], start + s]
                odd = np.int64(0)
                for i in range(size):
                    marks[i] = row[i] != 0
                    odd |= np.int64(row[i]) & ~1
                first = k
                k = append(marks, 0, index[b], k)
                if odd:
                    for j in range(first, k):
                        value = np.int64(row[index[b, j]])
                        size_of = value if value >= 0 else max(np.int64(2), -value)
                        largest = max(largest, size_of)
                        if payload.shape[1]:
                            payload[b, j] = value
                elif payload.shape[1]:
                    payload[b, first:k] = 1
            starts[b, history + s + 1] = k
    return largest
