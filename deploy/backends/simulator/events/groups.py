"""Synapse groups of the event-driven engine: weights made ready, and the call of the kernel that adds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Conv2d, Dense, Ints, Sparse, Synapses
from spikeport.deploy.backends.simulator.bounds import heaviest
from spikeport.deploy.backends.simulator.engine import Sums, Tile
from spikeport.deploy.backends.simulator.events import sums as kernels
from spikeport.deploy.backends.simulator.events.weights import Narrow, by_source, factored, patches
from spikeport.deploy.backends.simulator.trains import Train

BURST = 252
"""Rows of int8 that int16 holds the sum of: 252 · 128 < 2^15, and a multiple of the 4 that are added at once."""
ALL_ROWS = 1 << 62
SHORT = 1 << 15

Rows: TypeAlias = NDArray[np.integer[Any]]
Timing: TypeAlias = tuple[int, Ints, Ints, bool]


@dataclass(frozen=True)
class Clock:
    """When a group's spikes arrive.

    Attributes:
        delays: distinct delays.
        lag: (n_source,) each source's delay, or no entries where there is but one.
        graded: whether payloads multiply the weights.
    """

    delays: Ints
    lag: Ints
    graded: bool

    @staticmethod
    def of(synapses: Synapses) -> Clock:
        """The clock of a group."""
        delays = np.unique(synapses.delay).astype(np.int64)
        lag = np.asarray(synapses.delay, np.int64) if len(delays) > 1 else np.zeros(0, np.int64)
        return Clock(delays, lag, synapses.graded)

    def timing(self, source: Train) -> Timing:
        """What the kernels need to know of it."""
        return source.history - 1, self.delays, self.lag, self.graded and source.graded


def ready(synapses: Synapses) -> Sums:
    """The kernel and weights of a group."""
    match synapses.connectivity:
        case Dense(weight):
            small, exponent = factored(np.ascontiguousarray(weight.T))
            return DenseSums(small, synapses.weight_exp + exponent, Clock.of(synapses))
        case Sparse() as matrix:
            first, target, weight = by_source(matrix)
            small, exponent = factored(weight)
            return SparseSums((first, target, small), synapses.weight_exp + exponent, Clock.of(synapses))
        case Conv2d() as conv:
            image = patches(conv)
            small, exponent = factored(image.weight)
            layout = (small, image.place, image.block, image.shape, image.frame)
            most = heaviest(conv) >> exponent
            return ConvSums(layout, image.size, most, synapses.weight_exp + exponent, Clock.of(synapses))


@dataclass(frozen=True)
class DenseSums:
    """``weight`` (n_source, n_target)."""

    weight: Narrow
    factor: int
    clock: Clock

    def add(self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: Rows) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Sums`."""
        narrow = self.weight.dtype == np.int8
        part = np.empty(sums.shape[1], np.int16 if narrow else sums.dtype)
        lists, timing = _lists(source), self.clock.timing(source)
        burst = BURST if narrow else ALL_ROWS
        kernels.dense(self.weight, part, burst, self.factor, lists, timing, _corner(tile), span, fresh, sums)


@dataclass(frozen=True)
class SparseSums:
    """``layout``: first synapse of each source, targets, weights."""

    layout: tuple[Ints, NDArray[np.uint32], Narrow]
    factor: int
    clock: Clock

    def add(self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: Rows) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Sums`."""
        lists, timing = _lists(source), self.clock.timing(source)
        kernels.sparse(self.layout, self.factor, lists, timing, _corner(tile), span, fresh, sums)


@dataclass(frozen=True)
class ConvSums:
    """A convolution.

    Attributes:
        layout: weight, place, block, shape, frame of `weights.Patches`.
        size: entries of a sum with its margins.
        most: what spikes of 1 can add up to.
    """

    layout: tuple[Narrow, NDArray[np.uint32], NDArray[np.uint32], Ints, Ints]
    size: int
    most: int
    factor: int
    clock: Clock

    def add(self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: Rows) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Sums`."""
        lists, timing = _lists(source), self.clock.timing(source)
        short = self.most * (source.largest if timing[3] else 1) < SHORT and self.layout[0].dtype.itemsize < 4
        total = np.empty(self.size, np.int16 if short else sums.dtype)
        kernels.conv(self.layout, total, self.factor, lists, timing, _corner(tile), span, fresh, sums)


def _lists(source: Train) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    lists = source.events()
    return lists.starts, lists.index, lists.payload


def _corner(tile: Tile) -> tuple[int, int, int]:
    return tile.b0, tile.s0, tile.steps
