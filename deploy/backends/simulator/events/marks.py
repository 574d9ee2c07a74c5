"""Marks: from one byte per neuron, 0 or 1, to a list of those that are 1."""

from __future__ import annotations

import numpy as np

from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel


@kernel
def append(marks: Array, first: Whole, index: Array, k: Whole) -> Whole:
    """Append the marked neurons to ``index`` from entry ``k`` on; the entry after the last.

    Every neuron is written, and the next one over it unless it was marked: no branch that spikes would make the
    processor guess wrong. Entries are counted in an unsigned number, which spares numba a look at its sign.

    Args:
        marks: (m,) uint8.
        first: the neuron of the first mark.
        index: with room for one more than are marked.
        k: entry.
    """
    entry = np.uint64(k)
    for i in range(marks.shape[0]):
        index[entry] = np.int32(first + i)
        entry += np.uint64(marks[i])
    return np.int64(entry)
