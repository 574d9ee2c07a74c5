"""auto: each synapse group by the engine that is faster for it, judged by how many of its sources spike.

Events cost in proportion to the spikes, products do not. Where few sources spike, events win on every machine and
every shape; where many do, both are tried on tiles of the run itself (they give the same sums) and timed. What events
took for each spike there says what they would take at another density.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from time import thread_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Synapses
from spikeport.deploy.backends.simulator.engine import Layer, Runner, Sums, Task, Tile
from spikeport.deploy.backends.simulator.events.groups import ready
from spikeport.deploy.backends.simulator.layer import LayerRunner
from spikeport.deploy.backends.simulator.simulation import Choice
from spikeport.deploy.backends.simulator.team import calm_torch
from spikeport.deploy.backends.simulator.trains import Train

SPARSE = 0.15
"""Spikes per source and step below which products have not been seen to win (measured: 0.2 to 0.5, by shape)."""
SPARSE_GRADED = 0.08
"""The same where each spike is multiplied with its payload."""
TRIES = 3
"""Tiles on which each engine is timed; the fastest counts, since other processes only ever slow one down."""
PATIENCE = 1.0
"""Seconds of a group's work by events after which it pays to load torch, where nobody has loaded it yet."""


@dataclass
class Timing:
    """What an engine has shown: seconds per unit of work on its fastest tile, and how many tiles."""

    best: float = np.inf
    tiles: int = 0

    def add(self, seconds: float, work: float) -> None:
        """One more tile."""
        self.best, self.tiles = min(self.best, seconds / work), self.tiles + 1


@dataclass
class Either:
    """A synapse group for both engines; see `spikeport.deploy.backends.simulator.engine.Sums`.

    Attributes:
        synapses: the group.
        events: its sums by events.
        products: its sums by matrix products, once they are worth a try.
        density: spikes per source and step when last looked at.
        timings: by engine; seconds per row of products, and of events, if every source spiked.
        spent: seconds of work by events while products might have been faster.
        settled: what computes every tile until sources are looked at again; None while both are tried.
    """

    synapses: Synapses
    events: Sums
    products: Sums | None = None
    density: float = 0.0
    timings: dict[str, Timing] = field(default_factory=lambda: {"events": Timing(), "dense": Timing()})
    spent: float = 0.0
    settled: Sums | None = None

    def look(self, source: Train) -> None:
        """See how many sources spike."""
        starts = source.events().starts
        steps = max(1, source.filled) * source.batch
        self.density = float(starts[:, source.filled].sum()) / (steps * source.neurons)
        self.settled = self._engine(self.chosen) if self._tried or not self.crowded else None

    @property
    def crowded(self) -> bool:
        """Whether products may be faster."""
        return self.density > (SPARSE_GRADED if self.synapses.graded else SPARSE)

    @property
    def chosen(self) -> str:
        """The engine to go on with."""
        tried = self.products is not None and self.crowded
        return min(self.timings, key=self._expected) if tried else "events"

    @property
    def _tried(self) -> bool:
        return all(timing.tiles > TRIES for timing in self.timings.values())

    def _expected(self, name: str) -> float:
        """Seconds per row at the density last seen."""
        return self.timings[name].best * (self.density if name == "events" else 1.0)

    def add(
        self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: NDArray[np.integer[Any]]
    ) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Sums`."""
        settled = self.settled  # another thread may look again meanwhile
        if settled is not None:
            settled.add(source, tile, span, fresh, sums)
            return
        name = self._next()
        engine = self._engine(name)
        began = thread_time()
        engine.add(source, tile, span, fresh, sums)
        seconds, rows = thread_time() - began, max(1, span[1] - span[0])
        self.timings[name].add(seconds, rows * (_density(source, tile, span) if name == "events" else 1.0))
        self.spent += seconds
        if self._tried:
            self.settled = self._engine(self.chosen)

    def _engine(self, name: str) -> Sums:
        return self.products if name == "dense" and self.products is not None else self.events

    def _next(self) -> str:
        """The engine for the next tile: the less tried one while both are tried."""
        if self.products is None and (self.spent > PATIENCE or "torch" in sys.modules):
            self.products = _products(self.synapses)
        if self.products is None:
            return "events"
        return min(self.timings, key=lambda n: self.timings[n].tiles)

    def reason(self) -> str:
        """Why the chosen engine was chosen."""
        rate = f"{self.density:.1%} of its sources spike per step"
        if not self.crowded:
            return f"{rate}, products win above {SPARSE_GRADED if self.synapses.graded else SPARSE:.0%} at the earliest"
        events, dense = map(self._expected, ("events", "dense"))
        if np.isfinite(events) and np.isfinite(dense):
            return f"{rate}; measured: events {events * 1e6:.3g} µs, dense {dense * 1e6:.3g} µs a row"
        return f"{rate}; too little work to try products"


def _density(source: Train, tile: Tile, span: tuple[int, int]) -> float:
    """Spikes per source and step that the rows ``span`` of a tile are about, delays aside; never 0."""
    starts, first = source.events().starts, source.history + tile.s0
    samples = slice(tile.b0 + span[0] // tile.steps, tile.b0 + -(-span[1] // tile.steps))
    spikes = starts[samples, first + tile.steps - 1] - starts[samples, first - 1]
    return float(max(1, spikes.sum())) / (max(1, spikes.size) * tile.steps * source.neurons)


def _products(synapses: Synapses) -> Sums:
    """See `Products`; torch takes its time to load."""
    torch = calm_torch()
    from spikeport.deploy.backends.simulator.dense.products import Products

    return Products(synapses, torch.device("cpu"))


class AutoRunner:
    """A layer whose groups are summed by whichever engine suits them."""

    def __init__(self, layer: Layer) -> None:
        """Lay out the weights for events; for products only when they are worth a try."""
        self._layer = layer
        self._groups = [Either(s, ready(s)) for s in layer.groups]
        self._runner = LayerRunner(layer, self._groups, Choice("auto", ""))

    def run(self, task: Task, start: int, stop: int) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Runner`."""
        # Before a loop's first step nobody knows how many of its own neurons spike: it is looked at again, ever later.
        if start == 0 or start.bit_length() < stop.bit_length():
            for group, source in zip(self._groups, task.sources, strict=True):
                group.look(source)
        self._runner.run(task, start, stop)

    def choice(self) -> Choice:
        """The engines of its groups, and why."""
        names = dict.fromkeys(group.chosen for group in self._groups)
        several = len(self._groups) > 1
        reasons = [(f"{g.synapses.name}: " if several else "") + g.reason() for g in self._groups]
        return Choice(" and ".join(names) or "events", "; ".join(reasons) or "nothing flows in")


class AutoEngine:
    """Chooses for each synapse group; see `Either`."""

    name = "auto"
    undivided = False

    def ready(self, layer: Layer) -> Runner:
        """See `spikeport.deploy.backends.simulator.engine.Engine`."""
        return AutoRunner(layer)
