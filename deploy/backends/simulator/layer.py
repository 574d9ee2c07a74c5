"""LayerRunner: a layer on a CPU, tile by tile: sums of each group, then neurons, while the sums are in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.simulator.bounds import Bound, fits_32_bits
from spikeport.deploy.backends.simulator.engine import Layer, Sums, Task, Tile
from spikeport.deploy.backends.simulator.neurons import neurons
from spikeport.deploy.backends.simulator.simulation import Choice

TILE_BYTES = 1 << 18
"""Sums of a tile: they, their neurons and some weights fit the second cache."""
ROWS_PER_THREAD = 16


class LayerRunner:
    """A layer whose groups are summed by ``sums`` (one for each, in the layer's order)."""

    def __init__(self, layer: Layer, sums: Sequence[Sums], choice: Choice, tile_bytes: int = TILE_BYTES) -> None:
        """Prepare the neurons; ``choice`` is what `choice` says."""
        self._sums, self._choice = tuple(sums), choice
        self._bounds = [Bound.of(s) for s in layer.groups]
        self._size = layer.population.size
        self._neurons = neurons(layer)
        self._rows = max(1, tile_bytes // (4 * self._size))

    def run(self, task: Task, start: int, stop: int) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Runner`."""
        batch, rows, largest = task.target.batch, self._rows * task.team.size, 1
        buffer = np.zeros((min(rows, batch * (stop - start)), self._size), self._number(task))
        for tile, samples in tiles(batch, start, stop, rows):
            sums = buffer[: samples * tile.steps]
            self._add(task, tile, sums)
            largest = max(largest, self._neurons.step(task, tile, samples, sums))
        task.target.listed(task.target.history + stop, largest)

    def choice(self) -> Choice:
        """See `spikeport.deploy.backends.simulator.engine.Runner`."""
        return self._choice

    def _number(self, task: Task) -> type[np.int32] | type[np.int64]:
        """The type that holds every sum that can arrive."""
        payloads = (train.largest for train in task.sources)
        narrow = fits_32_bits(zip(self._bounds, payloads, strict=True), self._neurons.limit)
        return np.int32 if narrow else np.int64

    def _add(self, task: Task, tile: Tile, sums: NDArray[np.integer[Any]]) -> None:
        def part(first: int, stop: int) -> None:
            for number, (group, train) in enumerate(zip(self._sums, task.sources, strict=True)):
                group.add(train, tile, (first, stop), number == 0, sums)

        if self._sums:
            task.team.each(part, len(sums), ROWS_PER_THREAD)


def tiles(batch: int, start: int, stop: int, rows: int) -> Iterator[tuple[Tile, int]]:
    """Tiles of up to ``rows`` rows, each with its number of samples; a sample's steps come in order."""
    steps = min(stop - start, rows)
    samples = max(1, rows // steps)
    for b0 in range(0, batch, samples):
        for s0 in range(start, stop, steps):
            yield Tile(b0, s0, min(steps, stop - s0)), min(samples, batch - b0)
