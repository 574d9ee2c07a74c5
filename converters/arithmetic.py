"""The chip's integer operations, one small pure function each. DESIGN section 2; checked against slow oracles in tests.

Sources: lava-nc 0.10.0 `PyLifModelBitAcc` (decay, wrap, clip, threshold), `PyDenseModelBitAcc` (weights, shift),
`PyDeltaModelFixed`, `PySigmaDeltaModelFixed`, `PySigmaModelFixed` (sigma-delta units).
Everything is int64, wide enough that no intermediate overflows before the chip's own rule is applied.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.circuit import SIGMA_DELTA

STATE_LIMIT = 1 << 23
"""M: u wraps beyond ±M, v clips at ±(M - 1): 24 bits with sign."""
DECAY_BITS = 12
DECAY_UNITY = 1 << DECAY_BITS
STATE_SHIFT = 6
"""u, v and the threshold carry 6 fractional bits against the synaptic accumulation."""
DS_OFFSET = 1
"""The chip always adds 1 to the current's decay."""


def decay(state: Ints, loss: Ints | int) -> Ints:
    """trunc0(state · (4096 - loss) / 4096): exponential decay that rounds toward zero."""
    product = state * (DECAY_UNITY - loss)
    rounded: Ints = np.sign(product) * (np.abs(product) >> DECAY_BITS)
    return rounded


def wrap24(x: Ints) -> Ints:
    """One wrap of the 24-bit current: x > M becomes x - 2M, x <= -M becomes x + 2M; x = M stays."""
    return np.where(x > STATE_LIMIT, x - 2 * STATE_LIMIT, np.where(x <= -STATE_LIMIT, x + 2 * STATE_LIMIT, x))


def wrap32(x: Ints) -> Ints:
    """x modulo 2^32, in [-2^31, 2^31): the int32 in which Lava keeps sigma-delta states."""
    return x.astype(np.int32).astype(np.int64)


def clip24(x: Ints) -> Ints:
    """Saturation of the 24-bit membrane potential at ±(M - 1)."""
    return np.clip(x, -(STATE_LIMIT - 1), STATE_LIMIT - 1)


def shift(accumulated: Ints, exponent: int) -> Ints:
    """accumulated · 2^exponent; a negative exponent floors the finished sum."""
    return accumulated << exponent if exponent > 0 else accumulated >> -exponent


def bias(mantissa: Ints, exponent: Ints) -> Ints:
    """mantissa · 2^exponent, exponent 0 .. 7."""
    return mantissa << exponent


@dataclass(frozen=True)
class State:
    """Registers of a population, each (B, n).

    Attributes:
        u: synaptic current; of sigma-delta units sigma, the sum of all changes received.
        v: membrane potential; of sigma-delta units their activation.
        hold: refractory steps left; of sigma-delta units the residue, the change held back so far.
    """

    u: Ints
    v: Ints
    hold: Ints


@dataclass(frozen=True)
class Step:
    """What one step gave: the new state, spikes (B, n), and how many registers overflowed.

    Sigma-delta units have 32 bits, as in Lava: of them it is counted how many u and v are beyond a chip's 24.
    """

    state: State
    spikes: Ints
    u_wraps: int
    v_clips: int


def initial_state(population: Population, batch: int) -> State:
    """State before chip step 1, (batch, n) each."""
    shape = (batch, population.size)
    u, v = (np.broadcast_to(x, shape).astype(np.int64) for x in (population.u_init, population.v_init))
    return State(u, v, np.full(shape, population.hold_init, dtype=np.int64))


def update(population: Population, state: State, accumulated: Ints) -> Step:
    """One chip step of a population, in the chip's order, one line per register.

    Args:
        population: parameters; anything but an "input".
        state: before the step.
        accumulated: a, the sum over the synapse groups after their exponent, (B, n).
    """
    return (_sigma_delta if population.model in SIGMA_DELTA else _lif)(population, state, accumulated)


def _lif(p: Population, state: State, accumulated: Ints) -> Step:
    u_wide = decay(state.u, p.du + DS_OFFSET) + (accumulated << STATE_SHIFT)
    u = wrap24(u_wide)
    v_wide = decay(state.v, p.dv) + u + bias(p.bias_mant, p.bias_exp)
    v = clip24(v_wide)
    if p.v_min is not None:
        v = np.maximum(v, p.v_min)
    v = np.where(state.hold > 0, 0, v)
    spikes, v = fire(p, v)
    hold = np.where(spikes > 0, p.refractory, np.maximum(state.hold - 1, 0))
    wraps, clips = int(np.count_nonzero(u != u_wide)), int(np.count_nonzero(np.abs(v_wide) >= STATE_LIMIT))
    return Step(State(u, v, hold), spikes, wraps, clips)


def fire(population: Population, v: Ints) -> tuple[Ints, Ints]:
    """Spikes of v and v after its reset, (B, n) each.

    "lif": v > vth · 2^6 fires once and v becomes 0. "lif_subtract": fires as often as v stays above the threshold,
    at most ``max_spikes`` times, each taking reset · 2^6. "integrator": never.
    """
    threshold, amount = population.vth << STATE_SHIFT, population.reset << STATE_SHIFT
    match population.model:
        case "lif":
            spikes = (v > threshold).astype(np.int64)
            return spikes, np.where(spikes > 0, 0, v)
        case "lif_subtract":
            worth = (v - threshold - 1) // np.maximum(amount, 1) + 1
            spikes = np.clip(worth, 0, population.max_spikes)
            return spikes, v - spikes * amount
        case _:
            return np.zeros_like(v), v


def _sigma_delta(p: Population, state: State, accumulated: Ints) -> Step:
    unit = p.spike_exp + p.state_exp
    sigma = np.zeros_like(accumulated) if p.model == "delta" else wrap32(state.u + accumulated)
    activation = _activation(p, sigma, accumulated, unit)
    change = wrap32(activation - state.v + state.hold)
    sent = np.where(np.abs(change) >= p.vth << unit, change, 0)
    residue = change - sent
    if p.model == "sigma":
        sent, residue = np.zeros_like(sent), state.hold
    wide_u, wide_v = (int(np.count_nonzero(np.abs(x) >= STATE_LIMIT)) for x in (sigma, activation))
    return Step(State(sigma, activation, residue), sent >> p.state_exp, wide_u, wide_v)


def _activation(p: Population, sigma: Ints, accumulated: Ints, unit: int) -> Ints:
    """What a unit announces changes of, (B, n): the received value, the rectified sum, or the sum itself."""
    match p.model:
        case "delta":
            return wrap32(accumulated << unit)
        case "sigma":
            return sigma
        case _:
            biased = wrap32(sigma + (bias(p.bias_mant, p.bias_exp) << unit))
            return np.maximum(biased, 0) if p.rectified else biased
