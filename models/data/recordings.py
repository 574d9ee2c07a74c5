"""Recordings of event sensors, and cutting them into time steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data.events import Binning, bin_events
from spikeport.models.data.npz import MAX_BYTES
from spikeport.models.data.samples import Samples

CHUNK = 500
"""Recordings binned at a time: their events are held several times over while that is done."""


@dataclass(frozen=True)
class Framing:
    """How events become frames.

    Attributes:
        steps: T.
        seconds: what T steps span together, equally; later events are left out, and a finding says how many.
        pool: (rows, columns) of pixels that become one.
        counts: False: 1 where at least one event fell. True: how many did.
    """

    steps: int
    seconds: float
    pool: tuple[int, int] = (1, 1)
    counts: bool = False


@dataclass(frozen=True)
class Recordings:
    """Events of B recordings, one after another.

    Attributes:
        events: (n,) structured with the fields x, y, p, t.
        offsets: (B + 1,) recording i is ``events[offsets[i]:offsets[i + 1]]``.
        labels: (B,).
        sensor: (polarities, height, width).
        time_unit: seconds per unit of t.
        origin: where they were read, for messages; "" where that goes without saying.
    """

    events: NDArray[Any]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    sensor: Shape
    time_unit: float = 1e-6
    origin: str = ""

    @staticmethod
    def single(events: NDArray[Any], label: int, sensor: Shape, origin: str) -> Recordings:
        """One recording; ``events`` as above, t in microseconds.

        Raises:
            DataError: without events.
        """
        if not len(events):
            raise DataError(f"{origin} has no events; remove it")
        return Recordings(events, np.array([0, len(events)]), np.array([label]), sensor, origin=origin)

    def frames(self, framing: Framing) -> Samples:
        """Frames (B, T, polarities, height / rows, width / columns); see `frames_of`."""
        return frames_of(self._chunks(), framing)

    def _chunks(self) -> Iterator[Recordings]:
        for first in range(0, len(self.labels), CHUNK):
            offsets = self.offsets[first : first + CHUNK + 1]
            events, labels = self.events[offsets[0] : offsets[-1]], self.labels[first : first + CHUNK]
            yield Recordings(events, offsets - offsets[0], labels, self.sensor, self.time_unit)


def frames_of(recordings: Iterable[Recordings], framing: Framing) -> Samples:
    """Frames of recordings that come one group after another, so that all events need never lie in memory at once.

    Raises:
        DataError: no recordings, a pool that does not divide the sensor, frames above 8 GiB, or what `bin_events`
            refuses.
    """
    parts: list[NDArray[Any]] = []
    labels: list[NDArray[np.int64]] = []
    late = total = size = 0
    for group in recordings:
        binning = Binning(framing.seconds / framing.steps, framing.steps, group.sensor, framing.counts, group.time_unit)
        dense = _binned(group, binning)
        parts.append(_pooled(dense, framing))
        if (size := size + parts[-1].nbytes) > MAX_BYTES:
            raise DataError(f"frames of these recordings take over {MAX_BYTES} bytes; pool more, or take fewer steps")
        labels.append(group.labels)
        late += int((group.events["t"] * group.time_unit >= framing.seconds).sum())
        total += len(group.events)
    if not parts:
        raise DataError("there are no recordings")
    return Samples(np.concatenate(parts), np.concatenate(labels), _late(late, total, framing.seconds))


def _binned(group: Recordings, binning: Binning) -> NDArray[Any]:
    try:
        return bin_events(group.events, group.offsets, binning)[0]
    except DataError as error:
        raise DataError(f"{group.origin}: {error}" if group.origin else str(error)) from error


def _pooled(dense: NDArray[Any], framing: Framing) -> NDArray[Any]:
    rows, columns = framing.pool
    *front, height, width = dense.shape
    if min(rows, columns) < 1 or height % rows or width % columns:
        raise DataError(f"pooling {rows} x {columns} pixels does not divide a sensor of {height} x {width}")
    tiles = dense.reshape(*front, height // rows, rows, width // columns, columns)
    return np.asarray(tiles.sum((-3, -1), dtype=dense.dtype) if framing.counts else tiles.max((-3, -1)))


def _late(dropped: int, total: int, seconds: float) -> tuple[Finding, ...]:
    if not dropped:
        return ()
    text = f"{dropped} of {total} events come after {seconds:g} s and were left out."
    return (Finding("events-left-out", "info", "", text),)
