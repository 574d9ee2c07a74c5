"""How large each channel of an activation becomes on calibration data, and the levels that follow from it.

A histogram per channel instead of all values: its size does not grow with the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Array, Shape

BINS = 1024
LEAST_SHARE = 0.02
"""A channel's level is at least this share of its layer's: what was hardly seen may be larger on other data."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Levels:
    """Histograms of an activation's values above zero.

    Attributes:
        shape: of the activation, one sample; its first axis counts channels.
        top: (C,) largest value of each channel.
        counts: (C, BINS) values in each of BINS equal parts of 0 .. top.
        samples: how many were seen.
        active: (n,) how many samples each neuron was above zero in.
        total: (n,) sum of each neuron's values.
    """

    shape: Shape
    top: Floats
    counts: NDArray[np.int64]
    samples: int
    active: NDArray[np.int64]
    total: Floats

    @property
    def centres(self) -> Floats:
        """(C, BINS) values in the middle of each bin."""
        return self.top[:, None] * (np.arange(BINS) + 0.5) / BINS


def empty(shape: Shape, top: Floats) -> Levels:
    """No values yet; ``top`` (C,) as found in a first pass over the data (`tops`)."""
    size = int(np.prod(shape))
    return Levels(shape, top, np.zeros((len(top), BINS), np.int64), 0, np.zeros(size, np.int64), np.zeros(size))


def tops(values: Array) -> Floats:
    """Largest value per channel, at least 0; ``values`` (B, C, ...)."""
    return np.asarray(_by_channel(values).max(1, initial=0.0), np.float64)


def counted(levels: Levels, values: Array) -> Levels:
    """``levels`` and the ``values`` (B, C, ...) of one more batch."""
    rows = _by_channel(values)
    scale = np.divide(BINS, levels.top, out=np.zeros_like(levels.top), where=levels.top > 0)
    place = np.clip(rows * scale[:, None], 0, BINS - 1).astype(np.int64)
    flat = (place + np.arange(len(rows))[:, None] * BINS)[rows > 0]
    found = np.bincount(flat, minlength=levels.counts.size).reshape(levels.counts.shape)
    flat_values = np.maximum(values.reshape(len(values), -1), 0)
    return replace(
        levels,
        counts=levels.counts + found,
        samples=levels.samples + len(values),
        active=levels.active + np.count_nonzero(flat_values, axis=0),
        total=levels.total + flat_values.sum(0, dtype=np.float64),
    )


def percentile(levels: Levels, share: float, per_channel: bool) -> Floats:
    """The level (C,) below which ``share`` (0 .. 1) of the values above zero lie, to one bin; 1 where all are zero.

    Source: Rueckauer et al. 2017, Front. Neurosci. 11:682, section 2.2.2 (they count zeros, too).
    """
    found, whole = _percentile(levels.counts, levels.top, share), float(_percentile(*_merged(levels), share)[0])
    if whole == 0.0:
        return np.ones_like(found)
    return np.maximum(found, LEAST_SHARE * whole) if per_channel else np.full_like(found, whole)


def spread(per_channel: Floats, shape: Shape) -> Array:
    """One value per channel so that it broadcasts to ``shape``; 0-d where all are equal."""
    values: Array = per_channel.astype(np.float32)
    return values[:1].reshape(()) if np.ptp(values) == 0 else values.reshape(-1, *[1] * (len(shape) - 1))


def _by_channel(values: Array) -> Array:
    """(C, everything else)."""
    rows: Array = np.moveaxis(values, 1, 0).reshape(values.shape[1], -1)
    return rows


def _merged(levels: Levels) -> tuple[NDArray[np.int64], Floats]:
    """All channels as one: counts (1, BINS) and top (1,)."""
    highest = float(levels.top.max(initial=0.0))
    if highest == 0.0:
        return np.zeros((1, BINS), np.int64), np.zeros(1)
    place = np.minimum((levels.centres / highest * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place.reshape(-1), weights=levels.counts.reshape(-1).astype(np.float64), minlength=BINS)
    return counts[None].astype(np.int64), np.array([highest])


def _percentile(counts: NDArray[np.int64], top: Floats, share: float) -> Floats:
    cumulative = counts.cumsum(1)
    bins = (cumulative < share * cumulative[:, -1:]).sum(1) + 1
    return np.where(cumulative[:, -1] > 0, top * np.minimum(bins, BINS) / BINS, 0.0)
