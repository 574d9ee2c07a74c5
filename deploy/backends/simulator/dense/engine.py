"""The dense engine: sums as exact matrix products over many steps, whatever the number of spikes."""

from __future__ import annotations

import torch

from spikeport.deploy.backends.simulator.dense.products import Products
from spikeport.deploy.backends.simulator.engine import Layer, Runner
from spikeport.deploy.backends.simulator.layer import LayerRunner
from spikeport.deploy.backends.simulator.simulation import Choice

TILE_BYTES = 1 << 20
"""Products want more rows at once than events do."""


class DenseEngine:
    """Multiplies all rows of a tile, spikes or not, with the weights; see `products`."""

    name = "dense"

    def ready(self, layer: Layer) -> Runner:
        """See `spikeport.deploy.backends.simulator.engine.Engine`."""
        sums = [Products(s, torch.device("cpu")) for s in layer.groups]
        types = dict.fromkeys(t for s in sums for t in s.types)
        return LayerRunner(layer, sums, Choice(self.name, f"as asked for; {', '.join(types)} products"), TILE_BYTES)
