"""Between event lists and arrays.

Lists: ``starts`` (B, W + 1), ``index`` (B, capacity), ``payload`` (B, capacity) or (B, 0); see `trains.Events`.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from spikeport.deploy.backends.simulator.events.jit import kernel

Array = NDArray[Any]


@kernel
def list_spikes(dense: Array, starts: Array, index: Array, payload: Array, first: int, stop: int) -> None:
    """Append steps ``first`` .. ``stop`` - 1 of ``dense`` (B, W, n) to the lists."""
    graded = payload.shape[1] > 0
    for b in range(dense.shape[0]):
        k = starts[b, first]
        for w in range(first, stop):
            for i in range(dense.shape[2]):
                index[b, k] = i
                if graded:
                    payload[b, k] = dense[b, w, i]
                k += dense[b, w, i] != 0
            starts[b, w + 1] = k


@kernel
def draw_spikes(starts: Array, index: Array, payload: Array, dense: Array, first: int, stop: int) -> None:
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
    filled: int,
    new_starts: Array,
    new_index: Array,
    new_payload: Array,
    steps: int,
) -> None:
    """The last ``steps`` of ``filled`` steps of samples ``rows``, as the first of new lists."""
    graded = payload.shape[1] > 0
    for r in range(rows.shape[0]):
        b = rows[r]
        base = starts[b, filled - steps]
        for w in range(steps + 1):
            new_starts[r, w] = starts[b, filled - steps + w] - base
        for k in range(new_starts[r, steps]):
            new_index[r, k] = index[b, base + k]
            if graded:
                new_payload[r, k] = payload[b, base + k]
