"""Integer weights in the chip's format, without changing what they compute: another exponent, never another value.

The format holds even weights in [-256, 254] of mixed sign, or [0, 255], or [-255, 0], times 2^weight_exp
(lava-nc 0.10.0 `PyDenseModelBitAcc`). SLAYER writes even weights in [-256, 254].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from spikeport.converters.chip_network import Ints, SignMode
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.converters.read.netx.numbers import refuse

_RANGES: dict[SignMode, tuple[int, int]] = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-255, 0)}
_EXPONENTS = range(-8, 8)
_BITS = 8


@dataclass(frozen=True)
class Format:
    """How weights are stored: moved up by ``shift`` bits, and their sum back by ``weight_exp``."""

    shift: int
    weight_exp: int
    num_weight_bits: int
    sign_mode: SignMode

    def of(self, weights: Ints) -> Ints:
        """The stored integers; down is exact, too, since only bits that are zero leave."""
        return weights << self.shift if self.shift >= 0 else weights >> -self.shift


def fit(layer: RawLayer, key: str, weights: Ints, exponent: int = 0) -> Format:
    """The format with the fewest bits that holds ``weights`` · 2^``exponent`` exactly.

    Weights are shifted up as far as the format allows and the exponent is lowered as much: the finished sum is
    divisible by what is then shifted away, so nothing is lost, and low bits that are all zero need not be stored.
    lava-dl's own `netx.utils.optimize_weight_bits` does the same.

    Raises:
        ModelError: no exponent makes them fit.
    """
    low, high = int(weights.min()), int(weights.max())
    found = max(_formats(low, high, _zeros(weights), exponent), key=_preference, default=None)
    if found is None:
        raise refuse(
            layer,
            f"{key} {low} .. {high} times 2^{exponent} fits no format of the chip: 8 bits (even in -256 .. 254, or of "
            "one sign up to 255) times a power of two; export with 8-bit weights",
        )
    return found


def _preference(form: Format) -> tuple[int, int]:
    return -form.num_weight_bits, -abs(form.weight_exp)


def _zeros(weights: Ints) -> int:
    """How many low bits are zero in all weights."""
    union = int(np.bitwise_or.reduce(weights.reshape(-1)))
    return (union & -union).bit_length() - 1 if union else _BITS + 1


def _formats(low: int, high: int, zeros: int, exponent: int) -> Iterator[Format]:
    for weight_exp in _EXPONENTS:
        shift = exponent - weight_exp
        if zeros + shift < 0:
            continue
        for mode, (least, most) in _RANGES.items():
            inside = least << max(-shift, 0) <= low << max(shift, 0) and high << max(shift, 0) <= most << max(-shift, 0)
            bits = max(_BITS + (mode == "mixed") - zeros - shift, 1)
            if inside and bits <= _BITS:
                yield Format(shift, weight_exp, bits, mode)
