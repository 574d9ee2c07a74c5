"""Initial states that undo the head start a bias has: DESIGN section 3.

Bias currents and decays act from chip step 1 on every population, but a population of time shift k starts its own
step 0 only k steps later. Going k steps backwards through the chip's arithmetic gives the state from which those k
steps of waiting end exactly where the trained network starts. Where no state does (it would fire on the way, or lie
beyond 24 bits) and the start is rest, v is held at 0 for the k steps instead, as after a spike, by chips that can.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spikeport.converters.arithmetic import (
    DECAY_UNITY,
    DS_OFFSET,
    STATE_LIMIT,
    STATE_SHIFT,
    bias,
    initial_state,
    update,
)
from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.circuit import SIGMA_DELTA


@dataclass(frozen=True)
class WarmUp:
    """A population with its waiting undone.

    Attributes:
        population: with u_init and v_init moved back in time, or held.
        miss: how far from the wanted state the waiting still ends, in units of v.
        early: spikes sent while waiting, all neurons together.
    """

    population: Population
    miss: int
    early: int = 0


def undo_waiting(population: Population, *, may_hold: bool = False) -> WarmUp:
    """``population`` with u_init and v_init moved ``shift`` steps back in time.

    Args:
        population: with the state it should have before its own step 0.
        may_hold: whether the chip has what `Population.hold_init` needs; used only where it comes closer.
    """
    p, size = population, population.size
    if p.model in SIGMA_DELTA:
        # They start from zero; what their biases make them send early is a change that is not sent again later.
        return WarmUp(p, 0)
    wanted_u, wanted_v = (np.broadcast_to(x, (size,)) for x in (p.u_init, p.v_init))
    offset = np.broadcast_to(bias(p.bias_mant, p.bias_exp), (size,))
    if p.shift == 0 or not (wanted_u.any() or wanted_v.any() or offset.any()):
        return WarmUp(p, 0)
    u, v = wanted_u, wanted_v
    for step in range(p.shift):
        v = _bounded(p, before_decay(v - u - offset, p.dv), compared=step < p.shift - 1)
        u = np.clip(before_decay(u, p.du + DS_OFFSET), 1 - STATE_LIMIT, STATE_LIMIT - 1)
    moved = _waited(replace(p, u_init=u, v_init=v), wanted_u, wanted_v)
    if not may_hold or wanted_v.any() or (moved.miss, moved.early) == (0, 0):
        return moved
    held = _waited(replace(p, u_init=u, v_init=wanted_v, hold_init=p.shift), wanted_u, wanted_v)
    return min(held, moved, key=lambda warm: (warm.miss, warm.early))


def before_decay(after: Ints, loss: Ints) -> Ints:
    """The smallest x (by size) whose decay is ``after``: ceil(|after| · 4096 / (4096 - loss)); 0 if nothing is kept."""
    kept = np.broadcast_to(DECAY_UNITY - loss, after.shape)
    magnitude = -(-np.abs(after) * DECAY_UNITY // np.maximum(kept, 1))
    return np.where(kept > 0, np.sign(after) * np.minimum(magnitude, 4 * STATE_LIMIT), 0)


def _bounded(p: Population, v: Ints, *, compared: bool) -> Ints:
    """Keep v inside its register, and below the threshold in steps where it would fire."""
    limit = STATE_LIMIT - 1
    low = -limit if p.v_min is None or not compared else p.v_min
    high = p.vth << STATE_SHIFT if compared and p.model in ("lif", "lif_subtract") else limit
    return np.clip(v, low, high)


def _waited(p: Population, wanted_u: Ints, wanted_v: Ints) -> WarmUp:
    """What the chip itself makes of ``p`` while it waits without input."""
    state, early = initial_state(p, 1), 0
    for _ in range(p.shift):
        step = update(p, state, np.zeros((1, p.size), dtype=np.int64))
        state, early = step.state, early + int(step.spikes.sum())
    off_u = np.abs(state.u[0] - wanted_u) * (p.du + DS_OFFSET < DECAY_UNITY)
    off_v = np.abs(state.v[0] - wanted_v) * (p.dv < DECAY_UNITY)
    return WarmUp(p, int(max(off_u.max(initial=0), off_v.max(initial=0))), early)
