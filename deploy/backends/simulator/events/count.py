"""Counting spikes of event lists, and booking what they cause."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel

Table: TypeAlias = tuple[Array, Array, Array, Array]
"""Sparse rows: first entry of each row; column, steps from event to effect, and amount of each entry."""
Spikes: TypeAlias = tuple[Whole, Array, Array, Array]
"""A train: steps of history; starts, index and payload of its lists."""


@kernel
def count(train: Spikes, rows: Array, limit: Array, per_neuron: Array, total: Array) -> None:
    """Count the spikes of a chunk by neuron, and with their payloads.

    Args:
        train: see `Spikes`.
        rows: (b,) samples, as rows of ``per_neuron`` and ``total``.
        limit: (b,) steps of the chunk that count.
        per_neuron: (B, n), added to.
        total: (B,) absolute payloads, added to.
    """
    history, starts, index, payload = train
    for b in range(rows.shape[0]):
        neurons, listed = per_neuron[rows[b]], index[b]
        steps = min(limit[b], starts.shape[1] - 1 - history)
        first, stop = starts[b, history], starts[b, history + steps]
        for k in range(first, stop):
            neurons[np.uint32(listed[k])] += 1
        if payload.shape[1]:
            for k in range(first, stop):
                total[rows[b]] += abs(np.int64(payload[b, k]))  # -2^31 has no opposite in 32 bits
        else:
            total[rows[b]] += stop - first


@kernel
def classify(train: Spikes, class_of: Array, found: Array) -> None:
    """Set ``found`` (b, K, C) to the numbers of spikes by class (n,) of neuron and step."""
    history, starts, index, _ = train
    for b in range(found.shape[0]):
        listed = index[b]
        for s in range(found.shape[1]):
            first, stop = starts[b, history + s], starts[b, history + s + 1]
            classes = found[b, s]
            if classes.shape[0] == 1:
                classes[0] = stop - first
            else:
                classes[:] = 0
                for k in range(first, stop):
                    classes[class_of[np.uint32(listed[k])]] += 1


@kernel
def book(found: Array, table: Table, rows: Array, start: Whole, block: Array) -> None:
    """Add what counted events cause to a block of counters; what would come after its last step is left out.

    Args:
        found: (b, K, C) events by class.
        table: what an event of each class adds.
        rows: (b,) samples, as rows of the block.
        start: the block's step that belongs to the first of ``found``.
        block: (B, T, columns).
    """
    first, column, after, amount = table
    for b in range(rows.shape[0]):
        for s in range(found.shape[1]):
            for c in range(found.shape[2]):
                events = found[b, s, c]
                if events:
                    for at in range(first[c], first[c + 1]):
                        step = start + s + after[at]
                        if step < block.shape[1]:
                            block[rows[b], step, column[at]] += events * amount[at]


@kernel
def follow(train: Spikes, table: Table, rows: Array, start: Whole, steps: Whole, block: Array) -> None:
    """As `book`, spike by spike: ``table`` has a row for each neuron."""
    history, starts, index, _ = train
    first, column, after, amount = table
    for b in range(rows.shape[0]):
        for s in range(steps):
            for k in range(starts[b, history + s], starts[b, history + s + 1]):
                i = np.uint32(index[b, k])
                for at in range(first[i], first[i + 1]):
                    step = start + s + after[at]
                    if step < block.shape[1]:
                        block[rows[b], step, column[at]] += amount[at]


@kernel
def tabulate(train: Spikes, class_of: Array, b: Whole, start: Whole, found: Array) -> None:
    """Set ``found`` (K, C) to the numbers of spikes by class of sample ``b`` in steps from ``start`` on."""
    history, starts, index, _ = train
    for s in range(found.shape[0]):
        row = found[s]
        row[:] = 0
        for k in range(starts[b, history + start + s], starts[b, history + start + s + 1]):
            row[class_of[np.uint32(index[b, k])]] += 1


@kernel
def put(added: Array, columns: Array, row: Whole, start: Whole, block: Array) -> None:
    """Add ``added`` (K, k) to columns of a sample of a block of counters, from step ``start`` on, as far as it goes."""
    for s in range(min(added.shape[0], block.shape[1] - start)):
        out = block[row, start + s]
        for j in range(columns.shape[0]):
            out[columns[j]] += np.int64(added[s, j])
