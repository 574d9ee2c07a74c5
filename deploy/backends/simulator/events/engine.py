"""The event-driven engine: work in proportion to the spikes."""

from __future__ import annotations

from spikeport.deploy.backends.simulator.engine import Layer, Runner
from spikeport.deploy.backends.simulator.events.groups import ready
from spikeport.deploy.backends.simulator.layer import LayerRunner
from spikeport.deploy.backends.simulator.simulation import Choice


class EventsEngine:
    """Adds the weights of each spike's source to its targets; see `sums`."""

    name = "events"
    undivided = False

    def ready(self, layer: Layer) -> Runner:
        """See `spikeport.deploy.backends.simulator.engine.Engine`."""
        return LayerRunner(layer, [ready(s) for s in layer.groups], Choice(self.name, "as asked for"))
