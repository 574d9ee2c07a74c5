"""Distances between spike trains, many trains at a time; a step's k spikes are k spikes at that step's time.

* van Rossum (Neural Computation 13:751, 2001): each spike becomes exp(-t / tau); D² = 1/tau · ∫ (f - g)² dt. One spike
  too many is worth D² = 1/2.
* Victor and Purpura (J. Neurophysiol. 76:1310, 1996): the cheapest way to turn one train into the other, where taking
  out or adding a spike costs 1 and moving one by a step costs ``cost``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.simulator.events.jit import kernel

MOST_SPIKES = 1 << 13
"""Trains with more spikes than this are not given a Victor-Purpura distance: its work grows with their product."""


@dataclass(frozen=True)
class Edits:
    """Sums over trains: Victor-Purpura ``distance``, and ``matches``: pairs of spikes at most ``window`` apart."""

    distance: float
    matches: int


def van_rossum(first: NDArray[Any], second: NDArray[Any], tau: float) -> NDArray[np.float64]:
    """Distance D of each pair of trains; (B, T, n) in, (B, n) out; ``tau`` in steps.

    The difference of the filtered trains decays by exp(-1 / tau) per step between spikes, so that the integral over
    a step is x² · (1 - exp(-2 / tau)) / 2, and over all time after the last step x² / 2.
    """
    kept = np.exp(-1.0 / tau)
    x = np.zeros((first.shape[0], first.shape[2]))
    squared = np.zeros_like(x)
    for t in range(first.shape[1]):
        squared += x**2 * (1 - kept**2) / 2
        x = kept * x + (first[:, t].astype(np.float64) - second[:, t])
    return np.sqrt(squared + x**2 / 2)


def edits(first: NDArray[Any], second: NDArray[Any], cost: float, window: int) -> Edits | None:
    """Sums over all trains of (B, T, n); None where a train has more than `MOST_SPIKES`, or payloads with a sign."""
    ours, theirs = _rows(first), _rows(second)
    busiest = max(int(rows.sum(1).max(initial=0)) for rows in (ours, theirs))
    if busiest > MOST_SPIKES or min(ours.min(initial=0), theirs.min(initial=0)) < 0:
        return None
    distance, matches = _edits(ours, theirs, float(cost), window, busiest)
    return Edits(float(distance), int(matches))


def _rows(trains: NDArray[Any]) -> NDArray[np.int64]:
    """One train per row, (B · n, T)."""
    return np.ascontiguousarray(np.moveaxis(trains, 1, 2).reshape(-1, trains.shape[1]).astype(np.int64))


@kernel
def _edits(first: Any, second: Any, cost: float, window: int, busiest: int) -> tuple[float, int]:
    """Over trains (N, T): sums of distances and of coincident pairs."""
    total, matches = 0.0, 0
    times_a, times_b = np.zeros(busiest, np.int64), np.zeros(busiest, np.int64)
    row = np.zeros(busiest + 1)
    for i in range(first.shape[0]):
        a = b = 0
        equal = True
        for t in range(first.shape[1]):
            equal = equal and first[i, t] == second[i, t]
            for _ in range(first[i, t]):
                times_a[a] = t
                a += 1
            for _ in range(second[i, t]):
                times_b[b] = t
                b += 1
        if equal:
            matches += a
            continue
        # Coincidences: both lists in order, the earlier spike dropped where the two heads are too far apart.
        j = k = 0
        while j < a and k < b:
            apart = times_a[j] - times_b[k]
            if apart < -window:
                j += 1
            elif apart > window:
                k += 1
            else:
                matches += 1
                j += 1
                k += 1
        # Edit distance, one row of the table at a time.
        for k in range(b + 1):
            row[k] = k
        for j in range(a):
            diagonal = row[0]
            row[0] = j + 1
            for k in range(b):
                moved = diagonal + cost * abs(times_a[j] - times_b[k])
                diagonal = row[k + 1]
                row[k + 1] = min(min(row[k], row[k + 1]) + 1.0, moved)
        total += row[b]
    return total, matches
