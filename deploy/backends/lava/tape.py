"""Tape: memory that the run's processes share, in which Lava's models write what they did.

Reading a Lava Var costs some 30 µs per element and needs a living runtime. The tape is an unlinked temporary file
mapped by every process: nothing is left of it however the run ends.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.circuit import SIGMA_DELTA

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Track:
    """What one population writes, each (B, steps, n) in Lava's order of neurons.

    Attributes:
        spikes: spikes sent: counts or payloads. Of an input population: what it is to send.
        active: 1 where u or v changed or a spike was sent.
        overflow: (B, steps, 2): currents that wrapped, potentials that were clipped.
        u, v: after the step's reset; None where they were not asked for.
    """

    spikes: Array
    active: Array
    overflow: Array
    u: Array | None
    v: Array | None

    @property
    def steps(self) -> int:
        """Chip steps per sample."""
        return int(self.spikes.shape[1])


@dataclass(frozen=True)
class Layout:
    """Where everything lies: (offset, shape, dtype) by (population, field).

    Attributes:
        fields: see above; offsets in bytes, 64-byte aligned.
        size: bytes in all.
    """

    fields: Mapping[tuple[str, str], tuple[int, tuple[int, ...], str]]
    size: int


def layout(network: ChipNetwork, batch: int, steps: int, states: Collection[str]) -> Layout:
    """The tape of ``batch`` samples of ``steps`` chip steps; u and v of the populations in ``states``."""
    fields: dict[tuple[str, str], tuple[int, tuple[int, ...], str]] = {("", "progress"): (0, (1,), "int64")}
    end = 64
    for name, p in network.populations.items():
        narrow = p.model != "input" and p.model not in SIGMA_DELTA and p.max_spikes < 256
        wanted = {"spikes": "uint8" if narrow else "int32"}
        if p.model != "input":
            wanted |= {"active": "uint8", "overflow": "int64"}
            wanted |= {"u": "int32", "v": "int32"} if name in states else {}
        for field, dtype in wanted.items():
            shape = (batch, steps, 2 if field == "overflow" else p.size)
            fields[name, field] = (end, shape, dtype)
            end += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 64) * 64
    return Layout(fields, end)


class Tape:
    """A layout over a mapped file."""

    def __init__(self, layout: Layout, file: int) -> None:
        """Map the open file descriptor ``file``, which is lengthened if it is too short."""
        if os.fstat(file).st_size < layout.size:
            os.ftruncate(file, layout.size)
        self._layout, self._memory = layout, mmap.mmap(file, layout.size)

    def _array(self, population: str, field: str) -> Array | None:
        if (population, field) not in self._layout.fields:
            return None
        offset, shape, dtype = self._layout.fields[population, field]
        return np.ndarray(shape, dtype, self._memory, offset)

    @cached_property
    def progress(self) -> NDArray[np.int64]:
        """(1,) Lava time steps begun."""
        array = self._array("", "progress")
        return np.zeros(1, np.int64) if array is None else array

    def track(self, population: str) -> Track:
        """The arrays of one population, views of the mapped memory."""
        none = np.zeros((0, 0, 0), np.int64)
        spikes, active, overflow = (self._array(population, f) for f in ("spikes", "active", "overflow"))
        return Track(
            none if spikes is None else spikes,
            none if active is None else active,
            none if overflow is None else overflow,
            self._array(population, "u"),
            self._array(population, "v"),
        )
