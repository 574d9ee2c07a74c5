"""What a user decides about a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from spikeport.errors import DataError

Target: TypeAlias = Literal["spiking", "sigma-delta"]
Pools: TypeAlias = Literal["auto", "exact", "average"]
Per: TypeAlias = Literal["channel", "layer"]


@dataclass(frozen=True)
class ConvertOptions:
    """Choices of a conversion.

    Attributes:
        steps: spiking: the most time steps that are tried.
        per: one level for each channel of a map, or one for the whole layer. Dense layers always have one: each of
            their neurons is seen too rarely to know how large it gets.
        percentile: spiking: the level is this percentile (0 .. 100) of the activations above zero.
        start: spiking: membranes before the first step, in thresholds; 0.5 rounds rates to the nearest.
        warm_up: spiking: steps at the start that are not read; None for as many as reach the answer soonest.
        max_pool: "exact", "average" (`spikeport.converters.passes.convert.max_pool`), or "auto": the average if it
            costs less than ``points`` on the calibration data.
        error: sigma-delta: share of an activation's RMS that may be lost by values too small to be sent.
        points: how many points of accuracy a conversion may cost.
        low, high: the data's range; None for that of the calibration data.
        levels: sigma-delta: payload of a change from the lowest to the highest input value; 255 is exact for bytes.
        dt: seconds per time step.
        samples: calibration samples looked at, at most.
    """

    steps: int = 64
    per: Per = "channel"
    percentile: float = 99.9
    start: float = 0.5
    warm_up: int | None = None
    max_pool: Pools = "auto"
    error: float = 0.02
    points: float = 1.0
    low: float | None = None
    high: float | None = None
    levels: int = 255
    dt: float = 1e-3
    samples: int = 512

    def __post_init__(self) -> None:
        for name, allowed in (("per", get_args(Per)), ("max_pool", get_args(Pools))):
            if getattr(self, name) not in allowed:
                raise DataError(f"{name}={getattr(self, name)!r}; there are {', '.join(allowed)}")
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise DataError(f"{name}={value:g} must lie in {low:g} .. {high:g}")
        if self.warm_up is not None and self.warm_up >= self.steps:
            raise DataError(f"warm_up={self.warm_up} leaves nothing of {self.steps} steps to read")


_RANGES = (
    ("steps", 1, 1 << 16),
    ("percentile", 1e-3, 100.0),
    ("start", 0.0, 0.999),
    ("warm_up", 0, 1 << 16),
    ("error", 0.0, 0.5),
    ("points", 0.0, 100.0),
    ("levels", 1, 1 << 16),
    ("dt", 1e-9, 1e3),
    ("samples", 1, 1 << 24),
)


def check_target(to: str) -> None:
    """Raises DataError for anything but "spiking" and "sigma-delta"."""
    if to not in get_args(Target):
        raise DataError(f"to={to!r}; there are {', '.join(get_args(Target))}")
