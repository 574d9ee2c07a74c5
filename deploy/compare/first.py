"""first: the first spike that differs, and what both membranes did around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.compare.program import Cell, Floats

BEFORE, AFTER = 12, 6
"""Steps that are shown around the first difference."""


@dataclass(frozen=True)
class Place:
    """A sample, a step of the network's clock (from 0), a layer, and a neuron (flat index)."""

    sample: int
    step: int
    layer: str
    neuron: int


@dataclass(frozen=True)
class Side:
    """One neuron over the steps shown, in the trained network's units.

    Attributes:
        threshold: what the membrane was held against.
        decided: the membrane before spike and reset.
        after: the membrane after them.
        spikes: per step.
    """

    threshold: float
    decided: tuple[float, ...]
    after: tuple[float, ...]
    spikes: tuple[int, ...]


@dataclass(frozen=True)
class FirstDifference:
    """The earliest step, and in it the layer nearest to the input, at which a spike differs.

    Attributes:
        place: where.
        index: the neuron's place in the layer's shape.
        steps: the steps shown.
        trained, chip: both sides. Nothing differed in any layer before, so it arose here.
    """

    place: Place
    index: tuple[int, ...]
    steps: tuple[int, ...]
    trained: Side
    chip: Side


def earliest(differing: Mapping[str, NDArray[np.bool_]], first_sample: int) -> Place | None:
    """The first difference of a batch; ``differing`` (B, T, n) by layer, those nearer to the input first."""
    found: list[tuple[int, int, int, int, str]] = []
    for rank, (layer, wrong) in enumerate(differing.items()):
        steps = wrong.any((0, 2))
        if steps.any():
            step = int(steps.argmax())
            sample, neuron = (int(k) for k in np.argwhere(wrong[:, step])[0])
            found.append((step, rank, sample, neuron, layer))
    if not found:
        return None
    step, _, sample, neuron, layer = min(found)
    return Place(first_sample + sample, step, layer, neuron)


def side(cell: Cell, spikes: Floats, v: Floats, w: Floats, place: Place, steps: range) -> Side:
    """One side around ``place``; spikes, v, w (T, n) of its sample on the network's clock."""
    offset = _of(cell.offset, place.neuron)
    mine = [x[steps.start : steps.stop, place.neuron] for x in (w, v, spikes)]
    decided, after = (tuple(float(x) for x in part / cell.unit + offset) for part in mine[:2])
    threshold = _of(cell.threshold, place.neuron) / cell.unit + offset
    return Side(threshold, decided, after, tuple(int(n) for n in mine[2]))


def shown(place: Place, length: int) -> range:
    """The steps around a place."""
    return range(max(place.step - BEFORE, 0), min(place.step + AFTER + 1, length))


def _of(values: Floats, neuron: int) -> float:
    return float(values if values.ndim == 0 else values[neuron])
