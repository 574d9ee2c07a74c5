"""A layer on a GPU: sums and neurons stay there, trains and counts come back after each tile."""

from __future__ import annotations

import torch

from spikeport.deploy.backends.simulator.bounds import Bound, fits_32_bits
from spikeport.deploy.backends.simulator.dense.products import Products
from spikeport.deploy.backends.simulator.dense.scan import DeviceNeurons
from spikeport.deploy.backends.simulator.engine import Layer, Task
from spikeport.deploy.backends.simulator.events.neurons import LARGEST_SUM
from spikeport.deploy.backends.simulator.layer import LayerRunner, tiles
from spikeport.deploy.backends.simulator.simulation import Choice


class DeviceRunner:
    """A layer of LIF neurons or integrators on a GPU; sums that may leave 32 bits go to ``otherwise``."""

    def __init__(self, layer: Layer, device: torch.device, choice: Choice, tile_bytes: int) -> None:
        """Send weights and parameters to the device."""
        self._layer, self._choice, self._device = layer, choice, device
        self._products = [Products(s, device, tile_bytes) for s in layer.groups]
        self._bounds = [Bound.of(s) for s in layer.groups]
        self._neurons = DeviceNeurons(layer, device)
        self._otherwise = LayerRunner(layer, self._products, choice, tile_bytes)
        self._rows = max(1, tile_bytes // (4 * layer.population.size))

    def run(self, task: Task, start: int, stop: int) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Runner`."""
        payloads = (source.largest for source in task.sources)
        if not fits_32_bits(zip(self._bounds, payloads, strict=True), LARGEST_SUM):
            self._otherwise.run(task, start, stop)
            return
        largest, n = 1, self._layer.population.size
        for tile, samples in tiles(task.target.batch, start, stop, self._rows):
            rows = samples * tile.steps
            sums = torch.zeros((rows, n), dtype=torch.int32, device=self._device)
            for products, source in zip(self._products, task.sources, strict=True):
                products.put(source, tile, (0, rows), False, sums)
            largest = max(largest, self._neurons.step(task, tile, samples, sums))
        task.target.drawn(task.target.history + stop, largest)

    def choice(self) -> Choice:
        """See `spikeport.deploy.backends.simulator.engine.Runner`."""
        return self._choice
