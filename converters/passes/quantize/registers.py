"""A population's registers for a given scale: decays, threshold, bias, reset, initial state. LAVA.md 3.1, Davies 2018.

``scale`` is chip threshold units (vth mantissa) per unit of the trained membrane potential, so v and u carry
64 · scale per unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_LIMIT, STATE_SHIFT
from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.circuit import FloatPopulation

Floats = NDArray[np.float64]
VTH_MAX = (1 << 17) - 1
BIAS_MANT_MAX = (1 << 12) - 1
BIAS_EXP_MAX = 7
STATE_UNIT = 1 << STATE_SHIFT
BIAS_MAX = BIAS_MANT_MAX << BIAS_EXP_MAX


@dataclass(frozen=True)
class Tweak:
    """Small integer offsets to the rounded decays, tried because truncation toward zero leaks."""

    du: int = 0
    dv: int = 0


def population_at(
    name: str, p: FloatPopulation, scale: float, tweak: Tweak = Tweak(), extra_bias: Floats | None = None
) -> Population:
    """The integer population at ``scale``; ``extra_bias`` (n,) in trained units corrects for weight rounding."""
    du, dv = current_decay(p, tweak), membrane_decay(p, tweak)
    wanted = flat(p.bias, p) + (0.0 if extra_bias is None else extra_bias)
    mant, exp = bias_registers(wanted * scale * STATE_UNIT)
    vth = threshold(p, scale, on_lattice(du, dv, mant << exp))
    return Population(
        name=name,
        shape=p.shape,
        model=p.model,
        du=du,
        dv=dv,
        vth=vth,
        reset=integers(p.reset_amount, p, scale),
        bias_mant=mant,
        bias_exp=exp,
        u_init=state(p.u_init, p, scale),
        v_init=state(p.v_init, p, scale),
        max_spikes=p.max_spikes,
        refractory=p.refractory,
        v_min=None if p.v_min is None else state(p.v_min, p, scale),
        shift=p.shift,
        scale=scale * STATE_UNIT,
        offset=packed(p.offset, p),
    )


def packed(x: NDArray[np.floating], p: FloatPopulation) -> Floats:
    """0-d where all neurons share the value, else flat (n,)."""
    values = np.asarray(x, dtype=np.float64)
    return flat(values, p) if np.ptp(values) else values.reshape(-1)[:1].reshape(())


def flat(x: NDArray[np.floating], p: FloatPopulation) -> Floats:
    """One value per neuron, (n,)."""
    return np.broadcast_to(np.asarray(x, dtype=np.float64), p.shape).reshape(-1)


def integers(x: NDArray[np.floating], p: FloatPopulation, scale: float) -> Ints:
    """x · scale to the nearest integer that a 17-bit register holds, packed."""
    return np.asarray(np.clip(np.rint(packed(x, p) * scale), 0, VTH_MAX), dtype=np.int64)


def state(x: NDArray[np.floating], p: FloatPopulation, scale: float) -> Ints:
    """An initial or limiting value in v's own units, within 24 bits, packed."""
    limit = STATE_LIMIT - 1
    return np.asarray(np.clip(np.rint(packed(x, p) * scale * STATE_UNIT), -limit, limit), dtype=np.int64)


def current_decay(p: FloatPopulation, tweak: Tweak = Tweak()) -> Ints:
    """du: the chip keeps (4096 - du - 1) / 4096 of u; 0 .. 4095."""
    loss = np.rint(DECAY_UNITY * (1 - packed(p.current_decay, p))).astype(np.int64) - DS_OFFSET
    return np.where(loss == DECAY_UNITY - DS_OFFSET, loss, np.clip(loss + tweak.du, 0, DECAY_UNITY - 1))


def membrane_decay(p: FloatPopulation, tweak: Tweak = Tweak()) -> Ints:
    """dv: the chip keeps (4096 - dv) / 4096 of v; 0 keeps all, 4096 (as in lava-dl's files) nothing."""
    loss = np.rint(DECAY_UNITY * (1 - packed(p.membrane_decay, p))).astype(np.int64)
    exact = (loss == 0) | (loss == DECAY_UNITY)
    return np.where(exact, loss, np.clip(loss + tweak.dv, 0, DECAY_UNITY))


def bias_registers(wanted: Floats) -> tuple[Ints, Ints]:
    """Mantissa and exponent per neuron, the smallest exponent at which the mantissa fits; saturates beyond."""
    size = np.abs(wanted)
    exp = np.zeros(wanted.shape, dtype=np.int64)
    for e in range(BIAS_EXP_MAX):
        exp += np.rint(size / 2.0**e) > BIAS_MANT_MAX
    mant = np.clip(np.rint(wanted / 2.0**exp), -BIAS_MANT_MAX, BIAS_MANT_MAX).astype(np.int64)
    return _packed_ints(mant, exp)


def _packed_ints(mant: Ints, exp: Ints) -> tuple[Ints, Ints]:
    if mant.size and not np.ptp(mant) and not np.ptp(exp):
        return mant[:1].reshape(()), exp[:1].reshape(())
    return mant, exp


def on_lattice(du: Ints, dv: Ints, bias: Ints) -> bool:
    """Whether v only ever takes multiples of 2^6: no decay leaves low bits behind, no bias brings any."""
    whole = np.all(du == DECAY_UNITY - DS_OFFSET) and np.all((dv == 0) | (dv == DECAY_UNITY))
    return bool(whole and np.all(bias % STATE_UNIT == 0))


def threshold(p: FloatPopulation, scale: float, lattice: bool) -> Ints:
    """vth, such that the chip's strict v > vth · 2^6 is the trained comparison.

    Where v moves in steps of 2^6, v > θ is v > floor(θ) and v >= θ is v > ceil(θ) - 1; elsewhere the nearest
    integer is the best there is.
    """
    wanted = packed(p.threshold, p) * scale
    near = np.rint(wanted)
    exact = np.where(np.abs(wanted - near) < 1e-6 * np.maximum(np.abs(wanted), 1), near, wanted)
    if not lattice:
        rounded = near
    elif p.comparison == ">":
        rounded = np.floor(exact)
    else:
        rounded = np.ceil(exact) - 1
    return np.asarray(np.clip(rounded, 0, VTH_MAX), dtype=np.int64)
