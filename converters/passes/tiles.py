"""Tiles: pieces of an image with all its channels, for neurons at one place hear the same sources.

A slice along the channels hears a large part of the image for each of its neurons' kernels; a tile of the same size
hears a few rows and columns, once for all channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from spikeport.converters.chip_network import Connectivity, Conv2d, Ints
from spikeport.converters.connectivity import axis_reach, fan_out_onto

Range = tuple[int, int]
Image = tuple[int, int, int]


@dataclass(frozen=True)
class Tile:
    """Rows and columns of an image.

    Attributes:
        image: (C, H, W) of the whole population.
        rows, columns: first and last + 1.
    """

    image: Image
    rows: Range
    columns: Range

    @property
    def size(self) -> int:
        """Neurons, all channels."""
        return self.image[0] * (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])

    @cached_property
    def ranges(self) -> tuple[Range, ...]:
        """Its neurons as ranges of flat indices (C order), as few as there are, ascending."""
        index = self.index
        ends = np.flatnonzero(np.diff(index) != 1)
        starts = index[np.concatenate([[0], ends + 1])]
        stops = index[np.concatenate([ends, [len(index) - 1]])] + 1
        return tuple(zip(starts.tolist(), stops.tolist(), strict=True))

    @cached_property
    def index(self) -> Ints:
        """(size,) flat indices, ascending."""
        whole = np.arange(int(np.prod(self.image))).reshape(self.image)
        part: Ints = whole[:, slice(*self.rows), slice(*self.columns)].reshape(-1)
        return part


def fan_out_onto_tile(connectivity: Connectivity, tile: Tile) -> Ints:
    """Synapses from each source neuron onto the tile; shape (n_source,)."""
    if not isinstance(connectivity, Conv2d):
        return fan_out_onto(connectivity, tile.ranges)
    down = axis_reach(connectivity, 0)[:, slice(*tile.rows)].sum(1)
    across = axis_reach(connectivity, 1)[:, slice(*tile.columns)].sum(1)
    each = np.outer(down, across) * (tile.image[0] // connectivity.groups)
    return np.broadcast_to(each, connectivity.source_shape).reshape(-1)


def grid(image: Image, down: int, across: int) -> tuple[Tile, ...]:
    """``image`` in ``down`` × ``across`` tiles of even size."""
    rows, columns = (
        [size * k // parts for k in range(parts + 1)] for size, parts in ((image[1], down), (image[2], across))
    )
    return tuple(Tile(image, r, c) for r in pairwise(rows) for c in pairwise(columns))
