"""The learning engine's integers: traces and weight updates. Pure functions, bit for bit those of lava-nc 0.10.0.

The rule is one product of traces, ``dw = m * 2^e * x1 * y1``, applied at the end of a learning epoch (Lava: the
dependency u0). x1 counts a presynaptic neuron's spikes, y1 is a third factor that comes from outside: the error.
Source: `LearningConnectionModelBitApproximate`, `LearningRuleApplierBitApprox`, `ConnVarRandom` and
`magma/core/learning/constants.py`. Lava calls its model approximate: Loihi's own bits are not published.

All arrays may have leading axes: many layers that learn at once, each in its own epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.converters.chip_network import Ints, SignMode
from spikeport.errors import DataError

TRACE_BITS = 7
"""Width of x1 and y1 (W_TRACE); x1 is not negative, y1 has a sign beside them."""
TRACE_MAX: int = 2**TRACE_BITS - 1
ACCUMULATOR_BITS = 15
"""Of the sum of weight and update, the sign not counted (W_ACCUMULATOR_U)."""
WEIGHT_SHIFT = 7
"""Fractional bits of a weight in the accumulator: 16 of the accumulator less 9 of a weight, signs counted."""
PRODUCT_SHIFT = TRACE_BITS + TRACE_BITS + 4 - ACCUMULATOR_BITS
"""What a product of two traces and a 4-bit mantissa exceeds the accumulator by."""
EXPONENTS = (-7, 8)
MANTISSAS = (1, 7)
ROUNDING_SEED = 2
"""Lava's (ConnVarRandom)."""


@dataclass(frozen=True)
class Rate:
    """m · 2^e, a learning rate as the rule can write it."""

    mantissa: int
    exponent: int

    def __post_init__(self) -> None:
        for name, value, (low, high) in (
            ("mantissa", self.mantissa, MANTISSAS),
            ("exponent", self.exponent, EXPONENTS),
        ):
            if not low <= value <= high:
                raise DataError(f"learning rate: {name} {value} is outside {low}..{high}, all that the rule can write")

    @property
    def gain(self) -> float:
        """Weight units per unit of x1 · y1, before rounding: what `product` and its shifts come to."""
        return float(self.mantissa * 2.0 ** (self.exponent - PRODUCT_SHIFT))

    def __str__(self) -> str:
        return f"{self.mantissa}*2^{self.exponent}*x1*y1*u0"


def nearest_rate(gain: float) -> Rate:
    """The rate whose gain is nearest to ``gain`` in ratio.

    Raises:
        DataError: none is within a factor of two.
    """
    rates = [Rate(m, e) for m in range(MANTISSAS[0], MANTISSAS[1] + 1) for e in range(EXPONENTS[0], EXPONENTS[1] + 1)]
    best = min(rates, key=lambda rate: abs(np.log2(rate.gain / gain))) if gain > 0 else None
    if best is None or not 0.5 <= best.gain / gain <= 2:
        low, high = min(r.gain for r in rates), max(r.gain for r in rates)
        raise DataError(
            f"the learning rate comes to {gain:.3g} weight units per unit of trace and error; the rule can write "
            f"{low:.3g} to {high:.3g}. Change the rate, or the number of steps."
        )
    return best


def count_trace(spikes: Ints, impulse: int) -> Ints:
    """x1 (..., n) after an epoch of spikes (..., T, n) that started from zero: impulse · count, at most 127.

    Lava's trace with x1_impulse = ``impulse`` and an infinite x1_tau, set to zero before the epoch.
    """
    counts: Ints = (np.asarray(spikes) != 0).sum(-2, dtype=np.int64)
    return np.minimum(impulse * counts, TRACE_MAX)


def impulse_for(steps: int) -> int:
    """The largest impulse with which a neuron that spikes in each of ``steps`` does not saturate its trace."""
    return max(TRACE_MAX // max(steps, 1), 1)


def product(x1: Ints, y1: Ints, rate: Rate) -> Ints:
    """Update (..., n_post, n_pre) in accumulator units (1/128 of a weight unit) for x1 (..., n_pre), y1 (..., n_post).

    ((x1 · y1 · m) >> 3) << (e + 7), saturated; the right shift rounds toward minus infinity.
    """
    raw = y1[..., :, None] * x1[..., None, :] * rate.mantissa
    limit = 1 << ACCUMULATOR_BITS
    # The lower limit is Lava's own, one below what 16 bits hold; a weight's clip comes first anyway.
    return np.clip((raw >> PRODUCT_SHIFT) << (rate.exponent - EXPONENTS[0]), -limit - 1, limit - 1)


def update(weights: Ints, change: Ints, random: float, unit: int = 1, sign_mode: SignMode = "mixed") -> Ints:
    """New weights, shaped like ``weights``, from ``change`` in accumulator units.

    The sum is rounded up to the next multiple of ``unit`` where ``random`` (0 <= random < 1) is below its fraction of
    one, else down. ``unit`` 1 is Lava's. It holds one number for all synapses of an epoch.
    """
    limit = 1 << ACCUMULATOR_BITS
    total = np.clip((weights << WEIGHT_SHIFT) + change, -limit - 1, limit - 1)
    if sign_mode != "mixed":
        total = np.maximum(total, 0) if sign_mode == "excitatory" else np.minimum(total, 0)
    grain = unit << WEIGHT_SHIFT
    whole, part = np.divmod(total, grain)
    rounded = (whole + (random < part / grain)) * unit
    low, high = weight_range(unit, sign_mode)
    return np.asarray(np.clip(rounded, low, high))


def weight_range(unit: int, sign_mode: SignMode) -> tuple[int, int]:
    """The smallest and largest weight, a multiple of ``unit`` each: 8 bits, and a sign where it is mixed."""
    high = (2**8 - 1) // unit * unit
    return {"mixed": (-(2**8), high), "excitatory": (0, high), "inhibitory": (-high, 0)}[sign_mode]


def weight_unit(bits: int, sign_mode: SignMode) -> int:
    """The difference of neighbouring weights of a format: a mixed sign costs one of the ``bits``.

    Raises:
        DataError: not 1 to 8 bits.
    """
    if not 1 <= bits <= 8:
        raise DataError(f"weights of {bits} bits; a synapse holds 1 to 8")
    return 1 << (8 - bits + int(sign_mode == "mixed"))


class Rounding:
    """The numbers that weights are rounded by: one for each epoch, the same for all synapses, as Lava draws them."""

    def __init__(self, seed: int = ROUNDING_SEED) -> None:
        self._draws = np.random.default_rng(seed)
        self.next()  # Lava's generator draws one when it is made, and another before it is first used.

    def next(self) -> float:
        """The number of the next epoch, 0 <= number < 1."""
        return float(self._draws.random())
