"""Encoders for networks that compute with whole numbers: values at every step, or the changes of values.

Both first make integers of the data as lava-dl's `netx` does for an input layer: trunc(gain · value + offset).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError

Ints: TypeAlias = NDArray[np.int64]
LARGEST = (1 << 31) - 1
"""Payloads have 32 bits with sign."""
_EXP_MAX = 7


@dataclass(frozen=True)
class Values:
    """The integer itself as payload, at every step (chips with graded spikes).

    Attributes:
        steps: T for static data (B, *shape); 0 where the data bring their own time axis.
        gain, offset: from data to integers.
    """

    steps: int = 0
    gain: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True)
class Changes:
    """What a sigma-delta input unit sends: changes, times 2^exp, of at least ``threshold`` since the last one sent.

    d[t] = k[t] - k[t-1] + residue[t-1];  s[t] = d[t] · 2^exp where |d[t]| >= threshold, else 0
    (lava-nc 0.10.0 `PyDeltaModelFixed`, on the host instead of on the chip: pixels that stay send nothing).

    Attributes:
        steps: T for static data (B, *shape), which change once; 0 where the data bring their own time axis.
        gain, offset: from data to integers k.
        threshold: smallest change that is sent; 0 sends every change.
        exp: fractional bits of the payload.
    """

    steps: int = 0
    gain: float = 1.0
    offset: float = 0.0
    threshold: int = 0
    exp: int = 0

    def __post_init__(self) -> None:
        _check(self)
        if not (0 <= self.threshold <= LARGEST and 0 <= self.exp <= _EXP_MAX):
            raise DataError(f"encoder: threshold={self.threshold}, exp={self.exp}: 0 or more, exp at most {_EXP_MAX}")


def spelt(encoder: Values | Changes, steps: int) -> str:
    """The encoder as it is written on the command line, with ``steps`` steps."""
    options = {**asdict(encoder), "steps": steps}
    return f"{type(encoder).__name__.lower()}:" + ",".join(f"{key}={value:g}" for key, value in options.items())


def _check(encoder: Values | Changes) -> None:
    if not 0 <= encoder.steps <= 1_000_000:
        raise DataError(f"encoder: steps={encoder.steps} must lie in 0 .. 1000000")
    if not (isfinite(encoder.gain) and isfinite(encoder.offset) and encoder.gain != 0):
        raise DataError(f"encoder: gain={encoder.gain}, offset={encoder.offset} must be finite, gain not 0")


def send(encoder: Values | Changes, values: NDArray[Any], static: bool) -> Ints:
    """Payloads (B, T, *shape) of ``values`` (B, T, *shape), or (B, *shape) where they are ``static``.

    Raises:
        DataError: an integer leaves 32 bits.
    """
    whole = np.trunc(values.astype(np.float64) * encoder.gain + encoder.offset)
    limit = LARGEST >> (1 + encoder.exp if isinstance(encoder, Changes) else 0)
    if float(np.abs(whole).max()) > limit:
        raise DataError(
            f"the data reach {float(np.abs(whole).max()):.4g} after gain={encoder.gain:g} and "
            f"offset={encoder.offset:g}, more than {limit}; a payload has 32 bits"
        )
    integers = whole.astype(np.int64)
    if static:
        integers = np.repeat(integers[:, None], encoder.steps, axis=1)
    elif encoder.steps not in (0, integers.shape[1]):
        raise DataError(f"the data have {integers.shape[1]} time steps, the encoder says steps={encoder.steps}")
    return integers if isinstance(encoder, Values) else _changes(encoder, integers)


def _changes(encoder: Changes, integers: Ints) -> Ints:
    sent = np.zeros_like(integers)
    last, residue = np.zeros_like(integers[:, 0]), np.zeros_like(integers[:, 0])
    for t in range(integers.shape[1]):
        change = integers[:, t] - last + residue
        sent[:, t] = np.where(np.abs(change) >= encoder.threshold, change, 0)
        last, residue = integers[:, t], change - sent[:, t]
    return sent << encoder.exp
