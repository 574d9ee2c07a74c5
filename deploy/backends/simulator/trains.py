"""Train: the spikes of one population over a window of steps, as event lists, as an array, or as both.

The window of a chunk of K steps begins with `history` steps of the chunk before, as many as the delays of the synapses
reach back. Steps are appended in either form; the other form is made when somebody asks for it, and only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.simulator.events import emit

_SLACK = 1
"""Entries behind the last, which `marks.append` may touch."""


@dataclass(frozen=True)
class Events:
    """Spikes of B samples, W steps; those of sample b and step w are entries starts[b, w] .. starts[b, w + 1] - 1.

    Attributes:
        starts: (B, W + 1) int64, from 0.
        index: (B, capacity) int32, the neurons. In a row, what lies behind its last start is undefined.
        payload: (B, capacity) int32, or (B, 0) where every payload is 1.
    """

    starts: NDArray[np.int64]
    index: NDArray[np.int32]
    payload: NDArray[np.int32]


class Train:
    """Spikes of ``batch`` samples of a population of ``neurons`` over ``history + steps`` steps."""

    def __init__(self, batch: int, neurons: int, history: int, steps: int, graded: bool) -> None:
        """An empty window whose history is silent.

        Args:
            batch, neurons, history, steps: sizes.
            graded: spikes carry payloads, positive or negative; otherwise every spike is worth 1.
        """
        self.batch, self.neurons, self.history, self.steps = batch, neurons, history, steps
        self.graded = graded
        self.filled = history  # steps of the window that have been appended, in whatever form
        self.largest = 1
        """Bound of the payloads' absolute values in this window."""
        self._listed = self._drawn = history
        self._events: Events | None = None
        self._dense: NDArray[Any] | None = None
        self._lock = Lock()

    def events(self) -> Events:
        """All steps appended so far, as lists. A kernel that appends to them then calls `listed`."""
        with self._lock:
            return self._as_lists()

    def _as_lists(self) -> Events:
        if self._events is None:
            window = self.history + self.steps
            payload = (self.batch, window * self.neurons + _SLACK if self.graded else 0)
            # Room for a spike of every neuron at every step; the system gives memory only to what is written.
            self._events = Events(
                np.zeros((self.batch, window + 1), np.int64),
                np.empty((self.batch, window * self.neurons + _SLACK), np.int32),
                np.empty(payload, np.int32),
            )
        if self._listed < self.filled and self._dense is not None:
            found = self._events
            emit.list_spikes(self._dense, found.starts, found.index, found.payload, self._listed, self.filled)
            self._listed = self.filled
        return self._events

    def dense(self) -> NDArray[Any]:
        """All steps appended so far, (B, history + steps, n), uint8 (int32 if graded); later steps are 0.

        An engine that sets the next steps then calls `drawn`.
        """
        with self._lock:
            return self._as_array()

    def _as_array(self) -> NDArray[Any]:
        if self._dense is None:
            shape = self.batch, self.history + self.steps, self.neurons
            self._dense = np.zeros(shape, np.int32 if self.graded else np.uint8)
        if self._drawn < self.filled and self._events is not None:
            lists = self._events
            emit.draw_spikes(lists.starts, lists.index, lists.payload, self._dense, self._drawn, self.filled)
            self._drawn = self.filled
        return self._dense

    def listed(self, stop: int, largest: int = 1) -> None:
        """Steps before ``stop`` (of the window) have been appended to `events`, payloads up to ±``largest``."""
        self._listed = self.filled = stop
        self.largest = max(self.largest, largest)

    def drawn(self, stop: int, largest: int = 1) -> None:
        """Steps before ``stop`` (of the window) have been set in `dense`, payloads up to ±``largest``."""
        self._drawn = self.filled = stop
        self.largest = max(self.largest, largest)

    def next(self, steps: int, rows: NDArray[np.intp] | None = None, graded: bool = False) -> Train:
        """The window of the next chunk, which begins with the end of this one.

        Args:
            steps: of the chunk.
            rows: samples to go on with; all if None.
            graded: spikes carry payloads from now on; they do anyway if they did before.
        """
        chosen = np.arange(self.batch) if rows is None else rows
        follower = Train(len(chosen), self.neurons, self.history, steps, self.graded or graded)
        if self.history:
            old, new = self.events(), follower.events()
            old_lists, new_lists = (old.starts, old.index, old.payload), (new.starts, new.index, new.payload)
            emit.copy_tail(*old_lists, chosen, self.filled, *new_lists, self.history)
            follower.largest = self.largest
            follower._drawn = 0
        return follower

    def rest(self, rows: NDArray[np.intp]) -> Train:
        """The end of this window, only samples ``rows``: what `next` needs of them."""
        return self.next(0, rows)
