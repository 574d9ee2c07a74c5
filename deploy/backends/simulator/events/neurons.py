"""Neurons: one chip step of a row of neurons, in 32 bits; `spikeport.converters.arithmetic` is the specification.

A product of a 24-bit register with a 12-bit decay has 37 bits. Split x = 4096 · h + l, and
trunc0(x · k / 4096) = h · k + (l · k >> 12) stays below 2^24: no lane wider than 32 bits. numba widens whatever it adds,
so each step says that it stays narrow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import STATE_LIMIT, STATE_SHIFT
from spikeport.deploy.backends.simulator.events.jit import kernel

Array = NDArray[Any]

LIF, SUBTRACT, INTEGRATOR = 0, 1, 2
"""Codes of the neuron models that `advance` knows."""
LARGEST_SUM = 1 << 24
"""Sums up to here stay within 32 bits when they are added to u."""
BLOCK = 1024
"""Neurons worked on at once: their registers stay in the nearest cache."""
_FOLD = 2 * STATE_LIMIT
_LOW = (1 << 12) - 1


@kernel
def decayed(x: int, keep: int) -> int:
    """trunc0(x · keep / 4096) for |x| < 2^30 and 0 <= keep <= 4096."""
    size, k = np.int32(abs(x)), np.int32(keep)
    high, low = np.int32(np.int32(size >> 12) * k), np.int32(np.int32(size & _LOW) * k)
    kept = np.int32(high + np.int32(low >> 12))
    return kept if x >= 0 else np.int32(-kept)


@kernel
def wrapped(x: int) -> int:
    """One wrap into 24 bits; see `spikeport.converters.arithmetic.wrap24`."""
    if x > STATE_LIMIT:
        return np.int32(x - _FOLD)
    if x <= -STATE_LIMIT:
        return np.int32(x + _FOLD)
    return np.int32(x)


@kernel
def clipped(x: int) -> int:
    """Saturation at ±(M - 1)."""
    return np.int32(min(max(x, 1 - STATE_LIMIT), STATE_LIMIT - 1))


@kernel
def integrate(
    sums: Array, u: Array, v: Array, hold: Array, fired: Array, parameters: tuple[Array, ...], refractory: bool
) -> tuple[int, int, int, int]:
    """u and v of neurons up to where they fire, for one step; rows of one length.

    Returns:
        how many u or v changed or fired, how many u wrapped, how many v were clipped, how many u left 24 bits.
    """
    keep_u, keep_v, bias, floor, threshold = parameters
    active, wraps, clips, escaped = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for i in range(sums.shape[0]):
        old_u, old_v = u[i], v[i]
        wide = np.int32(decayed(old_u, keep_u[i]) + np.int32(sums[i] << STATE_SHIFT))
        new_u = wrapped(wide)
        wide_v = np.int32(np.int32(decayed(old_v, keep_v[i]) + new_u) + bias[i])
        new_v = max(clipped(wide_v), floor[i])
        if refractory:
            new_v = np.int32(0) if hold[i] > 0 else new_v
        fires = new_v > threshold[i]
        u[i], v[i], fired[i] = new_u, new_v, fires
        active += np.int32((old_u != new_u) | (old_v != new_v) | fires)
        wraps += np.int32(new_u != wide)
        clips += np.int32(np.int32(abs(wide_v)) >= STATE_LIMIT)
        escaped += np.int32(np.int32(abs(new_u)) > STATE_LIMIT)
    return active, wraps, clips, escaped
