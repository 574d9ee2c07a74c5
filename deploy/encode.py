"""Encoders: from data to what the chip's input lines carry, and to the same thing as the float network sees it.

Analogue values are first brought to integers k = round(2^16 · (value - low) / (high - low)), 0 .. 2^16; everything
after that is integer arithmetic, so the same data give the same spikes on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.deploy.encode_values import LARGEST, Changes, Values, send, spelt
from spikeport.errors import DataError

ONE = 1 << 16
MAX_STEPS = 1_000_000
DARK = 0.1
"""Share of an encoder's range below which all data are taken for a mistake in the range."""
Ints: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Spikes:
    """The data are spikes already: (B, T, *shape) non-negative integers.

    Attributes:
        max_spikes: the most spikes one input sends per step; more than 1 needs a chip with graded spikes.
        clamp: cut larger numbers down to ``max_spikes`` (and say how many) instead of refusing them.
    """

    max_spikes: int = 1
    clamp: bool = False

    def __post_init__(self) -> None:
        _require(1 <= self.max_spikes < 2**31, f"max_spikes={self.max_spikes} must be 1 or more")


@dataclass(frozen=True)
class Current:
    """A constant current into an integrate-and-fire neuron with reset by subtraction: regular spike trains.

    m[t] = m[t-1] + k[t];  s[t] = m[t] >= 2^16;  m[t] = m[t] - 2^16 · s[t]

    Attributes:
        steps: T for static data (B, *shape); 0 where the data bring their own time axis.
        low, high: data values for no spike and for a spike at every step.
        start: m before the first step, as a share of the threshold; 0.5 rounds the spike count to the nearest.
        clamp: cut values outside [low, high] to it (and say how many) instead of refusing them.
    """

    steps: int = 0
    low: float = 0.0
    high: float = 1.0
    start: float = 0.0
    clamp: bool = False

    def __post_init__(self) -> None:
        _check_range(self.steps, self.low, self.high)
        _require(0.0 <= self.start < 1.0, f"start={self.start:g} must lie in [0, 1)")


@dataclass(frozen=True)
class Rate:
    """A spike at each step with probability (value - low) / (high - low), drawn per sample from (seed, its index)."""

    steps: int = 0
    low: float = 0.0
    high: float = 1.0
    seed: int = 0
    clamp: bool = False

    def __post_init__(self) -> None:
        _check_range(self.steps, self.low, self.high)
        _require(0 <= self.seed < 2**63, f"seed={self.seed} must lie in 0 .. 2^63 - 1")


@dataclass(frozen=True)
class Latency:
    """One spike, the larger the value the earlier: step round((1 - x) · (steps - 1)); values at ``low`` stay silent."""

    steps: int
    low: float = 0.0
    high: float = 1.0
    clamp: bool = False

    def __post_init__(self) -> None:
        _check_range(self.steps, self.low, self.high)
        _require(self.steps >= 1, f"steps={self.steps}: latency needs at least one step")


@dataclass(frozen=True)
class Graded:
    """Payload round(x · levels) at every step (chips with graded spikes); the float network sees payload / levels."""

    steps: int = 0
    levels: int = 255
    low: float = 0.0
    high: float = 1.0
    clamp: bool = False

    def __post_init__(self) -> None:
        _check_range(self.steps, self.low, self.high)
        _require(1 <= self.levels <= ONE, f"levels={self.levels} must lie in 1 .. {ONE}")


Encoder: TypeAlias = Spikes | Current | Rate | Latency | Graded | Values | Changes
Analogue: TypeAlias = Current | Rate | Latency | Graded


@dataclass(frozen=True)
class Clamped:
    """``count`` of ``size`` input values were cut to ``limit``."""

    count: int
    size: int
    limit: str

    def plus(self, other: Clamped) -> Clamped:
        """Those of two batches."""
        return Clamped(self.count + other.count, self.size + other.size, self.limit)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """A warning, if there are any."""
        message = f"{self.count} of {self.size} input values were cut to {self.limit}."
        return (Finding("input-clamped", "warning", "", message),) if self.count else ()


NOTHING_CLAMPED = Clamped(0, 0, "")


@dataclass(frozen=True)
class Encoded:
    """What enters the chip.

    Attributes:
        spikes: (B, T, *shape) spikes or payloads; int64, or as small as the data were if `encode` was told ``narrow``.
        unit: what one unit of ``spikes`` is worth to the float network.
        clamped: values that were.
        said: what else there is to say of the data.
    """

    spikes: NDArray[np.integer[Any]]
    unit: float
    clamped: Clamped = NOTHING_CLAMPED
    said: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All that is to be said of this batch."""
        return (*self.clamped.findings, *self.said)

    @property
    def floats(self) -> NDArray[np.float32]:
        """(B, T, *shape): the same input as the float network sees it."""
        return (self.spikes * self.unit).astype(np.float32)


def largest(encoder: Encoder) -> int:
    """The largest payload the encoder ever sends; above 1 the chip must offer graded spikes."""
    match encoder:
        case Spikes(max_spikes=most):
            return most
        case Graded(levels=levels):
            return levels
        case Values() | Changes():
            return LARGEST
        case _:
            return 1


def unit(encoder: Encoder) -> float:
    """What a payload of 1 is worth to the float network."""
    match encoder:
        case Graded(levels=levels):
            return 1.0 / levels
        case Values(gain=gain):
            return 1.0 / gain
        case Changes(gain=gain, exp=exp):
            return 1.0 / (gain * (1 << exp))
        case _:
            return 1.0


def encode(encoder: Encoder, data: NDArray[Any], shape: Shape, first: int = 0, narrow: bool = False) -> Encoded:
    """Encode ``data`` for an input population of ``shape``.

    Args:
        encoder: which code.
        data: (B, *shape) static or (B, T, *shape); the axis of a single channel may be left out.
        shape: of the input population, one step of one sample.
        first: index of ``data[0]`` in the whole set, so that random codes do not depend on how it is cut into batches.
        narrow: spikes that are small integers already stay in their type, and are not copied.

    Raises:
        DataError: shape, type or range does not fit; the message has both shapes, or the values and the limits.
    """
    values = arrange(data, shape)
    if values.ndim == len(shape) + 1:
        _check_static(encoder, data.shape)
    if isinstance(encoder, Spikes):
        if narrow and are_spikes(encoder, data) and values.max() <= encoder.max_spikes:
            return Encoded(values.view(np.uint8), 1.0)
        return _pass_spikes(encoder, values)
    if isinstance(encoder, Values | Changes):
        return Encoded(send(encoder, values, static=values.ndim == len(shape) + 1), unit(encoder))
    fractions, clamped = _fractions(encoder, values)
    said = _dark(encoder, values) if first == 0 else ()  # once a run: of the batch that comes first
    spikes = _TABLE[type(encoder)](encoder, _over_time(encoder, fractions, shape), first)
    return Encoded(spikes, unit(encoder), clamped, said)


def are_spikes(encoder: Encoder, data: NDArray[Any]) -> bool:
    """Whether ``data`` go to the chip as they are, without a copy, if they keep to the encoder's limit."""
    return isinstance(encoder, Spikes) and not encoder.clamp and data.dtype in (np.bool_, np.uint8)


def arrange(data: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """``data`` as (B, *shape) or (B, T, *shape), finite and not empty.

    Raises:
        DataError: no arrangement fits, or values are not numbers, not finite or missing.
    """
    if data.dtype.kind not in "biuf":
        raise DataError(f"the data are of type {data.dtype}; spikeport takes numbers")
    if data.size == 0:
        raise DataError(f"the data are empty: shape {data.shape}")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise DataError(f"the data hold {int((~np.isfinite(data)).sum())} values that are NaN or infinite")
    lead = leading_axes(data.shape, shape, data.shape)
    return data.reshape(*data.shape[:lead], *shape)


def check_shape(encoder: Encoder, given: Shape, shape: Shape, in_file: Shape) -> None:
    """Whether data of shape ``given`` can be encoded; messages show ``in_file``, the shape their file has.

    Raises:
        DataError: no arrangement fits, or a time axis is missing.
    """
    if leading_axes(given, shape, in_file) == 1:
        _check_static(encoder, in_file)


def leading_axes(given: Shape, shape: Shape, in_file: Shape) -> int:
    """1 for (B, *shape), 2 for (B, T, *shape); the axis of a single channel may be left out.

    Raises:
        DataError: neither.
    """
    for known in (shape, shape[1:] if shape[:1] == (1,) else shape):
        for lead in (1, 2):
            if len(given) == len(known) + lead and given[lead:] == known:
                return lead
    expected = ", ".join(map(str, shape))
    single = given in (shape, shape[1:] if shape[:1] == (1,) else shape)
    raise DataError(
        f"the data have shape {in_file}, the network's input takes (B, T, {expected}), or (B, {expected}) "
        "for values that do not change in time; "
        + ("this is one sample without its batch axis: save array[None]" if single else "reshape the array in the file")
    )


def _check_static(encoder: Encoder, in_file: Shape) -> None:
    """Data without a time axis need an encoder that makes one."""
    lost = (
        f"If these are {in_file[0]} steps of one sample, its batch axis is missing: save array[None], "
        f"shape {(1, *in_file)}."
    )
    if isinstance(encoder, Spikes):
        raise DataError(
            f"the data have shape {in_file}: no time axis; static values need an encoder, "
            f"for example --encode current:steps=16,low=0,high=1. {lost}"
        )
    if encoder.steps < 1:
        example = f"--encode {spelt(encoder, 16)}" if isinstance(encoder, Values | Changes) else "steps=16"
        raise DataError(
            f"the data have shape {in_file}: no time axis, and steps=0 leaves it to the data; "
            f"say for how many steps each sample is shown, for example {example}. {lost}"
        )


def _pass_spikes(encoder: Spikes, values: NDArray[Any]) -> Encoded:
    spikes = values.astype(np.int64)
    if values.dtype.kind == "f" and not np.array_equal(spikes, values):
        raise DataError(
            "the data hold fractions, the encoder 'spikes' takes whole numbers; use graded, current or rate"
        )
    if (lowest := int(spikes.min())) < 0:
        raise DataError(f"the data hold negative spike counts (lowest {lowest}); split the signs into two input lines")
    over = int((spikes > encoder.max_spikes).sum())
    if over and not encoder.clamp:
        raise DataError(
            f"{over} inputs send up to {int(spikes.max())} spikes in one step, the encoder allows "
            f"{encoder.max_spikes}; use spikes:max_spikes={int(spikes.max())} (needs graded spikes), "
            "or spikes:clamp=true to cut them"
        )
    clamped = Clamped(over, values.size, f"{encoder.max_spikes} spikes per step")
    return Encoded(np.minimum(spikes, encoder.max_spikes), 1.0, clamped)


def _fractions(encoder: Analogue, values: NDArray[Any]) -> tuple[Ints, Clamped]:
    """Values as integers 0 .. 2^16; outside of [low, high] only if the encoder clamps."""
    normal = (values.astype(np.float64) - encoder.low) / (encoder.high - encoder.low)
    outside = int(((normal < 0.0) | (normal > 1.0)).sum())
    if outside and not encoder.clamp:
        raise DataError(
            f"{outside} of {values.size} values lie outside the encoder's range {encoder.low:g} .. {encoder.high:g} "
            f"(data: {values.min():g} .. {values.max():g}); set low= and high=, or clamp=true"
        )
    clamped = Clamped(outside, values.size, f"{encoder.low:g} .. {encoder.high:g}")
    return np.floor(normal.clip(0.0, 1.0) * ONE + 0.5).astype(np.int64), clamped


def _dark(encoder: Analogue, values: NDArray[Any]) -> tuple[Finding, ...]:
    """A warning where all values lie near the encoder's low end: most often a range that is not the data's."""
    most = float(values.max())
    share = (most - encoder.low) / (encoder.high - encoder.low)
    if share >= DARK:
        return ()
    message = (
        f"the first {len(values)} sample(s) reach from {values.min():g} to {most:g}: the lowest {max(share, 0):.2%} of "
        f"the encoder's range {encoder.low:g} .. {encoder.high:g}, so hardly anything goes in."
    )
    return (Finding("input-range", "warning", "", message, "Set low= and high= to the data's own range."),)


def _over_time(encoder: Analogue, fractions: Ints, shape: Shape) -> Ints:
    """(B, T, *shape); static values are held for ``encoder.steps`` steps (a view, nothing is copied)."""
    if fractions.ndim == len(shape) + 1:
        return np.broadcast_to(fractions[:, None], (len(fractions), encoder.steps, *shape))
    if isinstance(encoder, Latency):
        raise DataError("latency codes one value per input in time: it takes data without a time axis")
    if encoder.steps not in (0, fractions.shape[1]):
        raise DataError(f"the data have {fractions.shape[1]} time steps, the encoder says steps={encoder.steps}")
    return fractions


def _current(encoder: Current, fractions: Ints, first: int) -> Ints:
    del first
    charge = np.cumsum(fractions, axis=1) + int(encoder.start * ONE)
    return np.diff(charge >> 16, axis=1, prepend=0).astype(np.int64)


def _rate(encoder: Rate, fractions: Ints, first: int) -> Ints:
    spikes = np.empty(fractions.shape, dtype=np.int64)
    for index, sample in enumerate(fractions):
        draws = np.random.Philox(key=np.array([encoder.seed, first + index], dtype=np.uint64)).random_raw(sample.size)
        spikes[index] = (draws >> np.uint64(48)).astype(np.int64).reshape(sample.shape) < sample
    return spikes


def _latency(encoder: Latency, fractions: Ints, first: int) -> Ints:
    del first
    value = fractions[:, :1]
    when = ((ONE - value) * (encoder.steps - 1) + ONE // 2) >> 16
    clock: Ints = np.arange(encoder.steps).reshape(1, -1, *[1] * (fractions.ndim - 2))
    return np.asarray((clock == when) & (value > 0), dtype=np.int64)


def _graded(encoder: Graded, fractions: Ints, first: int) -> Ints:
    del first
    return (fractions * encoder.levels + ONE // 2) >> 16


_TABLE: dict[type, Callable[[Any, Ints, int], Ints]] = {
    Current: _current,
    Rate: _rate,
    Latency: _latency,
    Graded: _graded,
}


def _check_range(steps: int, low: float, high: float) -> None:
    _require(0 <= steps <= MAX_STEPS, f"steps={steps} must lie in 0 .. {MAX_STEPS}")
    _require(isfinite(low) and isfinite(high), f"low={low}, high={high} must be finite")
    _require(low < high, f"low={low:g} must be less than high={high:g}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise DataError(f"encoder: {message}")
