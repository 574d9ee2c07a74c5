"""Placement: which neurons live on which core, and where that core sits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Slice:
    """Neurons ``start`` .. ``stop - 1`` of a population (flat, C order)."""

    population: str
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.stop - self.start


@dataclass(frozen=True)
class Usage:
    """How much of one resource a core uses; ``unit`` as printed ("neurons", "bytes", "axons")."""

    used: int
    limit: int
    unit: str

    @property
    def share(self) -> float:
        """Used part of the limit, 0 .. 1."""
        return self.used / self.limit if self.limit else 0.0


@dataclass(frozen=True)
class Core:
    """One neuro core's load: its slices and its usage of every resource of the profile."""

    slices: tuple[Slice, ...]
    usage: Mapping[str, Usage]


@dataclass(frozen=True)
class Placement:
    """Cores with their seats.

    Attributes:
        cores: in the order in which `partition` made them.
        seats: for each core (chip, tile x, tile y, core within the tile).
        binding: per population, the resource that made it need as many cores as it does.
    """

    cores: tuple[Core, ...]
    seats: tuple[tuple[int, int, int, int], ...]
    binding: Mapping[str, str]

    @property
    def chips(self) -> int:
        """Number of chips in use."""
        return 1 + max((seat[0] for seat in self.seats), default=-1)

    def cores_of(self, population: str) -> tuple[int, ...]:
        """Indices of the cores that hold a part of ``population``."""
        return tuple(i for i, core in enumerate(self.cores) if any(s.population == population for s in core.slices))
