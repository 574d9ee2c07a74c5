"""Distances on a chip's mesh: a packet goes x first, then y."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spikeport.converters.chip_network import Ints
from spikeport.hw_profiles.profile import Mesh

Seat = tuple[int, int, int, int]


def serpentine(mesh: Mesh, cores_per_chip: int, count: int) -> tuple[Seat, ...]:
    """The first ``count`` seats (chip, tile x, tile y, core in tile), row by row, each row the other way round.

    Neighbours in this order are neighbours on the mesh; a chip is filled before the next one begins.
    """
    width, per_tile = mesh.tiles_x.value, mesh.cores_per_tile.value
    seats = []
    for index in range(count):
        chip, core = divmod(index, cores_per_chip)
        tile, within = divmod(core, per_tile)
        y, x = divmod(tile, width)
        seats.append((chip, x if y % 2 == 0 else width - 1 - x, y, within))
    return tuple(seats)


def hops(seats: Sequence[Seat]) -> tuple[Ints, Ints, Ints]:
    """Per ordered pair of seats: hops east-west, hops north-south, chip crossings; each (n, n).

    Where two seats are on different chips, the way to and from the chips' edges is not known: the tile hops counted
    are those between the same positions on one chip, and the crossing counts once per pair.
    """
    chip, x, y, _ = (np.array([s[k] for s in seats], dtype=np.int64) for k in range(4))
    return (
        np.abs(x[:, None] - x[None, :]),
        np.abs(y[:, None] - y[None, :]),
        (chip[:, None] != chip[None, :]).astype(np.int64),
    )
