"""The dense engine: sums as exact matrix products over many steps, whatever the number of spikes."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.deploy.backends.simulator.dense.products import Products
from spikeport.deploy.backends.simulator.engine import Layer, Runner
from spikeport.deploy.backends.simulator.layer import LayerRunner
from spikeport.deploy.backends.simulator.simulation import Choice
from spikeport.errors import BackendError

TILE_BYTES = 1 << 20
"""Products want more rows at once than events do."""
DEVICE_TILE_BYTES = 1 << 28
"""The more, the better they fill a GPU."""


class DenseEngine:
    """Multiplies all rows of a tile, spikes or not, with the weights; see `products`."""

    def __init__(self, device: str = "cpu") -> None:
        """Prepare for a device as torch names it: "cpu", "cuda", "cuda:1".

        Raises:
            BackendError: it is not there.
        """
        self._device = torch.device(device)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise BackendError(
                "the backend 'cuda' needs a GPU that torch can use; there is none. Use 'auto' or 'dense'."
            )
        self.name = "dense" if self._device.type == "cpu" else self._device.type
        self.undivided = self._device.type != "cpu"

    def ready(self, layer: Layer) -> Runner:
        """See `spikeport.deploy.backends.simulator.engine.Engine`."""
        if self._device.type != "cpu":
            return on_device(layer, self._device, Choice(self.name, f"as asked for, on {self._device}"))
        sums = [Products(s, self._device) for s in layer.groups]
        types = dict.fromkeys(t for s in sums for t in s.types)
        reason = f"as asked for; {', '.join(types) or 'no'} products"
        return LayerRunner(layer, sums, Choice(self.name, reason), TILE_BYTES)


def on_device(layer: Layer, device: torch.device, choice: Choice) -> Runner:
    """Neurons, too, on the device where Triton knows how; else they come back to the processor for them."""
    if layer.wide or layer.population.model in SIGMA_DELTA or find_spec("triton") is None:
        products = [Products(s, device, DEVICE_TILE_BYTES) for s in layer.groups]
        return LayerRunner(layer, products, choice, DEVICE_TILE_BYTES)
    from spikeport.deploy.backends.simulator.dense.device import DeviceRunner

    return DeviceRunner(layer, device, choice, DEVICE_TILE_BYTES)
