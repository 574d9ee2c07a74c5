"""Events (x, y, polarity, time) of an event camera, binned into dense spikes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data.npz import MAX_BYTES


@dataclass(frozen=True)
class Binning:
    """How events become spikes.

    Attributes:
        bin: seconds per time step.
        steps: T; later events are left out, and counted in a finding. None: up to the last event of the file.
        sensor: (polarities, height, width).
        counts: False: a bin holds 1 where at least one event fell into it. True: the number of events.
        time_unit: seconds per unit of the field ``t``.
    """

    bin: float = 1e-3
    steps: int | None = None
    sensor: Shape | None = None
    counts: bool = False
    time_unit: float = 1e-6

    def __post_init__(self) -> None:
        if not (0.0 < self.bin < float("inf") and 0.0 < self.time_unit < float("inf")):
            raise DataError(f"bins of {self.bin:g} s and a time unit of {self.time_unit:g} s must both be above 0")
        if self.steps is not None and self.steps < 1:
            raise DataError(f"{self.steps} time steps: events need at least one")


def bin_events(
    events: NDArray[Any], offsets: NDArray[Any], binning: Binning
) -> tuple[NDArray[Any], tuple[Finding, ...]]:
    """Dense spikes (B, T, P, H, W) of recordings that lie one after another in ``events``.

    Args:
        events: (n,) structured, with the fields x, y, p, t.
        offsets: (B + 1,) recording i is ``events[offsets[i]:offsets[i + 1]]``.
        binning: bins, sensor and time unit.

    Raises:
        DataError: missing fields, offsets out of order, events outside the sensor, or a result above 8 GiB.
    """
    sensor = _checked(events, offsets, binning.sensor)
    step = np.floor(events["t"].astype(np.float64) * (binning.time_unit / binning.bin) + 1e-9).astype(np.int64)
    steps = binning.steps if binning.steps is not None else int(step.max()) + 1
    shape = (len(offsets) - 1, steps, *sensor)
    kind = np.dtype(np.uint16 if binning.counts else np.uint8)
    if prod(shape) * kind.itemsize > MAX_BYTES:
        raise DataError(
            f"events binned to {shape} would take more than {MAX_BYTES} bytes; use longer bins or fewer steps"
        )
    if not (kept := step < steps).any():
        raise DataError(f"all events come after {steps} steps of {binning.bin:g} s; check the time unit of the field t")
    dense = np.zeros(shape, dtype=kind)
    sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    at = tuple(index[kept] for index in (sample, step, *(events[key].astype(np.int64) for key in "pyx")))
    np.add.at(dense, at, 1) if binning.counts else dense.__setitem__(at, 1)
    return dense, _left_out(len(events) - int(kept.sum()), len(events), steps)


def _checked(events: NDArray[Any], offsets: NDArray[Any], sensor: Shape | None) -> Shape:
    """The sensor, after every check on events and offsets."""
    if not set("xypt") <= set(events.dtype.names or ()) or events.ndim != 1:
        raise DataError(f"events must be a list with the fields x, y, p, t; these are {events.dtype} {events.shape}")
    if len(events) == 0:
        raise DataError("the event list is empty")
    if any(events.dtype[key].kind not in "biuf" for key in "xypt"):
        raise DataError(f"the fields x, y, p, t must be numbers, they are {events.dtype}")
    _check_offsets(offsets, len(events))
    if sensor is None or len(sensor) != 3:
        raise DataError("events need the size of the sensor as polarities x height x width, for example 2x34x34")
    if not np.isfinite(events["t"].astype(np.float64)).all() or events["t"].min() < 0:
        raise DataError("event times must be finite and not negative")
    for key, size in zip("pyx", sensor, strict=True):
        if events[key].min() < 0 or events[key].max() >= size:
            raise DataError(
                f"events reach from {key} = {events[key].min()} to {events[key].max()}, "
                f"the sensor has {size} (polarities x height x width = {'x'.join(map(str, sensor))})"
            )
    return sensor


def _check_offsets(offsets: NDArray[Any], events: int) -> None:
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise DataError(f"offsets must be a list of at least two whole numbers, not {offsets.dtype} {offsets.shape}")
    bounds = offsets.astype(np.int64)
    if bounds[0] != 0 or bounds[-1] != events or (np.diff(bounds) < 0).any():
        raise DataError(f"offsets must rise from 0 to the number of events ({events}), not {bounds[0]} to {bounds[-1]}")


def _left_out(dropped: int, total: int, steps: int) -> tuple[Finding, ...]:
    if not dropped:
        return ()
    text = f"{dropped} of {total} events come after the last of {steps} steps and were left out."
    return (Finding("events-left-out", "info", "", text, "Ask for more steps to keep them."),)
