"""Recordings of event sensors, and cutting them into time steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data.events import Binning, bin_events
from spikeport.models.data.samples import Samples

CHUNK = 500
"""Recordings binned at a time: their events are held several times over while that is done."""


@dataclass(frozen=True)
class Recordings:
    """Events of B recordings, one after another.

    Attributes:
        events: (n,) structured with the fields x, y, p, t.
        offsets: (B + 1,) recording i is ``events[offsets[i]:offsets[i + 1]]``.
        labels: (B,).
        sensor: (polarities, height, width).
        time_unit: seconds per unit of t.
    """

    events: NDArray[Any]
    offsets: NDArray[np.int64]
    labels: NDArray[np.int64]
    sensor: Shape
    time_unit: float = 1e-6

    def frames(self, steps: int, seconds: float, pool: int = 1, counts: bool = False) -> Samples:
        """Frames (B, steps, polarities, height / pool, width / pool) that share ``seconds`` equally.

        Args:
            steps: T.
            seconds: what T steps span together; later events are left out, and a finding says how many.
            pool: as many pixels each way become one.
            counts: False: 1 where at least one event fell. True: how many did.

        Raises:
            DataError: the pool does not divide the sensor, or what `bin_events` refuses.
        """
        if pool < 1 or self.sensor[1] % pool or self.sensor[2] % pool:
            raise DataError(f"pooling {pool} x {pool} pixels does not divide a sensor of {self.sensor[1:]}")
        binning = Binning(seconds / steps, steps, self.sensor, counts, self.time_unit)
        parts, late = [], 0
        for events, offsets in self._chunks():
            dense, findings = bin_events(events, offsets, binning)
            late += int((events["t"] * self.time_unit >= seconds).sum()) if findings else 0
            parts.append(_pooled(dense, pool, counts))
        return Samples(np.concatenate(parts), self.labels, _late(late, len(self.events), seconds))

    def _chunks(self) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
        for first in range(0, len(self.labels), CHUNK):
            offsets = self.offsets[first : first + CHUNK + 1]
            yield self.events[offsets[0] : offsets[-1]], offsets - offsets[0]


def _pooled(dense: NDArray[Any], pool: int, counts: bool) -> NDArray[Any]:
    if pool == 1:
        return dense
    *front, height, width = dense.shape
    tiles = dense.reshape(*front, height // pool, pool, width // pool, pool)
    return np.asarray(tiles.sum((-3, -1), dtype=dense.dtype) if counts else tiles.max((-3, -1)))


def _late(dropped: int, total: int, seconds: float) -> tuple[Finding, ...]:
    if not dropped:
        return ()
    text = f"{dropped} of {total} events come after {seconds:g} s and were left out."
    return (Finding("events-left-out", "info", "", text),)
