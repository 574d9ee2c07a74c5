"""Train: the spikes of one population over a window of steps, as event lists, as an array, or as both.

The window of a chunk of K steps begins with `history` steps of the chunk before, as many as the delays of the synapses
reach back. Steps are appended in either form; the other form is made when somebody asks for it, and only then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.simulator.events import emit


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

    def events(self) -> Events:
        """All steps appended so far, as lists."""
        found = self.room()
        if self._listed < self.filled and self._dense is not None:
            emit.list_spikes(self._dense, found.starts, found.index, found.payload, self._listed, self.filled)
            self._listed = self.filled
        return found

    def dense(self) -> NDArray[Any]:
        """All steps appended so far, (B, history + steps, n), uint8 (int32 if graded); later steps are 0."""
        found = self.canvas()
        if self._drawn < self.filled and self._events is not None:
            lists = self._events
            emit.draw_spikes(lists.starts, lists.index, lists.payload, found, self._drawn, self.filled)
            self._drawn = self.filled
        return found

    def room(self) -> Events:
        """The lists as they are, for a kernel that appends to them; then call `listed`."""
        if self._events is None:
            window = self.history + self.steps
            payload = (self.batch, window * self.neurons if self.graded else 0)
            # Room for a spike of every neuron at every step; the system gives memory only to what is written.
            self._events = Events(
                np.zeros((self.batch, window + 1), np.int64),
                np.empty((self.batch, window * self.neurons), np.int32),
                np.empty(payload, np.int32),
            )
        return self._events

    def listed(self, stop: int, largest: int = 1) -> None:
        """Steps before ``stop`` (of the window) have been appended to `room`."""
        self._listed = self.filled = stop
        self.largest = max(self.largest, largest)

    def canvas(self) -> NDArray[Any]:
        """The array as it is, for an engine that sets its next steps; then call `drawn`."""
        if self._dense is None:
            self._dense = np.zeros(
                (self.batch, self.history + self.steps, self.neurons), np.int32 if self.graded else np.uint8
            )
        return self._dense

    def drawn(self, stop: int, largest: int = 1) -> None:
        """Steps before ``stop`` (of the window) have been set in `canvas`."""
        self._drawn = self.filled = stop
        self.largest = max(self.largest, largest)

    def next(self, steps: int, rows: NDArray[np.intp] | None = None) -> Train:
        """The window of the next chunk, which begins with the end of this one; only samples ``rows`` if given."""
        batch = self.batch if rows is None else len(rows)
        follower = Train(batch, self.neurons, self.history, steps, self.graded)
        if self.history:
            chosen = np.arange(self.batch) if rows is None else rows
            old, new = self.events(), follower.room()
            old_lists, new_lists = (old.starts, old.index, old.payload), (new.starts, new.index, new.payload)
            emit.copy_tail(*old_lists, chosen, self.filled, *new_lists, self.history)
            follower.largest = self.largest
        return follower
