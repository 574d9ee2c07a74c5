"""Neurons: chip steps of rows of neurons, in 32 bits; `spikeport.converters.arithmetic` is the specification.

A product of a 24-bit register with a 12-bit decay has 37 bits. Split x = 4096 · h + l, and
trunc0(x · k / 4096) = h · k + (l · k >> 12) stays below 2^24: no lane wider than 32 bits. numba widens whatever it
adds, so each step says that it stays narrow.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from spikeport.converters.arithmetic import DECAY_BITS, DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel
from spikeport.deploy.backends.simulator.events.marks import append

LARGEST_SUM = 1 << 24
"""Sums up to here stay within 32 bits when they are added to u."""
BLOCK = 1024
"""Neurons worked on at once, so that their registers stay in the nearest cache."""
Firing: TypeAlias = tuple[Whole, Array, Array]
"""The most spikes of one step, or 0 for a reset to zero; threshold (n,); what a spike takes off v (n,)."""
_FOLD = 2 * STATE_LIMIT
_LOW = DECAY_UNITY - 1


@kernel
def decayed(x: Whole, keep: Whole) -> Whole:
    """trunc0(x · keep / 4096) for |x| < 2^30 and 0 <= keep <= 4096."""
    size, k = np.int32(abs(x)), np.int32(keep)
    high, low = np.int32(np.int32(size >> DECAY_BITS) * k), np.int32(np.int32(size & _LOW) * k)
    kept = np.int32(high + np.int32(low >> DECAY_BITS))
    return kept if x >= 0 else np.int32(-kept)


@kernel
def wrapped(x: Whole) -> Whole:
    """One wrap into 24 bits; see `spikeport.converters.arithmetic.wrap24`."""
    if x > STATE_LIMIT:
        return np.int32(x - _FOLD)
    if x <= -STATE_LIMIT:
        return np.int32(x + _FOLD)
    return np.int32(x)


@kernel
def integrate(
    row: Array,
    registers: tuple[Array, Array, Array],
    parameters: tuple[Array, ...],
    block: tuple[Whole, Whole],
    holding: bool,
    fired: Array,
) -> tuple[Whole, Whole, Whole, Whole]:
    """u and v of a block of neurons up to where they fire, for one step.

    Args:
        row: (n,) sums.
        registers: u, v, hold of one sample, (n,).
        parameters: see `advance`.
        block: first neuron and last + 1, unsigned: a slice of each array would take longer than a small block.
        holding: whether v may be held.
        fired: set from its start on, one mark for each neuron of the block.

    Returns:
        how many changed or fired, how many u wrapped, how many v were clipped, how many u are beyond 24 bits after all.
    """
    keep_u, keep_v, bias, floor, threshold = parameters
    u, v, hold = registers
    low, high = block
    active, wraps, clips, beyond = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
    for i in range(low, high):
        old_u, old_v = u[i], v[i]
        wide_u = np.int32(decayed(old_u, keep_u[i]) + np.int32(row[i] << STATE_SHIFT))
        new_u = wrapped(wide_u)
        wide_v = np.int32(np.int32(decayed(old_v, keep_v[i]) + new_u) + bias[i])
        new_v = np.int32(max(min(max(wide_v, 1 - STATE_LIMIT), STATE_LIMIT - 1), floor[i]))
        if holding:
            new_v = np.int32(0) if hold[i] > 0 else new_v
        fires = new_v > threshold[i]
        u[i], v[i], fired[i - low] = new_u, new_v, fires
        active += np.int32((old_u != new_u) | (old_v != new_v) | fires)
        wraps += np.int32(new_u != wide_u)
        clips += np.int32(np.int32(abs(wide_v)) >= STATE_LIMIT)
        beyond += np.int32(np.int32(abs(new_u)) > STATE_LIMIT)
    return active, wraps, clips, beyond


@kernel
def reset(v: Array, index: Array, payload: Array, firing: Firing, first: Whole, stop: Whole) -> None:
    """Reset the neurons of entries ``first`` .. ``stop`` - 1 and say what they send.

    Args:
        v: (n,).
        index, payload: of one sample.
        firing: see `Firing`.
        first, stop: entries.
    """
    most, threshold, amount = firing
    for k in range(first, stop):
        i = index[k]
        if most == 0:
            v[i] = 0
        else:
            worth = min((v[i] - threshold[i] - 1) // max(amount[i], 1) + 1, most)
            v[i] -= worth * amount[i]
            if payload.shape[0]:
                payload[k] = worth


@kernel
def rest(hold: Array, index: Array, first: Whole, stop: Whole, refractory: Whole) -> None:
    """Refractory steps left, (n,): one fewer, and all of them again for entries ``first`` .. ``stop`` - 1."""
    for i in range(hold.shape[0]):
        hold[i] = np.int32(max(hold[i] - 1, 0))
    for k in range(first, stop):
        hold[index[k]] = refractory


@kernel
def advance(
    sums: Array,
    tile: tuple[Whole, Whole, Whole],
    samples: tuple[Whole, Whole],
    registers: tuple[Array, Array, Array],
    parameters: tuple[Array, ...],
    firing: Firing,
    refractory: Whole,
    blocks: tuple[Array, Array],
    train: tuple[Whole, Array, Array, Array],
    counters: tuple[Array, Array, Array],
    kept: tuple[Array, Array],
) -> Whole:
    """Steps of some samples of a tile; how many u are beyond 24 bits even after their wrap (the run is void then).

    Args:
        sums: (R, n) int32, see `spikeport.deploy.backends.simulator.engine.Tile`.
        tile: b0, s0, steps.
        samples: first and last + 1, of the shard.
        registers: u, v, hold, (B, n) int32.
        parameters: (n,) int32: what u and v keep, bias, lower clip of v, threshold.
        firing: see `Firing`.
        refractory: steps after a spike in which v is held; -1 where it never is, at the start neither.
        blocks: (E + 1,) edges of blocks of neurons, (E,) the cut that each belongs to.
        train: steps of history, starts, index, payload of the population's own train.
        counters: active, u_wraps, v_clips.
        kept: u, v (B, K, n) to write to, or (B, 0, n).
    """
    b0, s0, steps = tile
    edges, cut = blocks
    history, starts, index, payload = train
    active, u_wraps, v_clips = counters
    fired = np.empty(BLOCK, np.uint8)
    escaped = 0
    for b in range(samples[0], samples[1]):
        u, v, hold = registers[0][b], registers[1][b], registers[2][b]
        listed, worth = index[b], payload[b]
        for s in range(s0, s0 + steps):
            row = sums[(b - b0) * steps + s - s0]
            first = starts[b, history + s]
            k = first
            for e in range(cut.shape[0]):
                block = (np.uint64(edges[e]), np.uint64(edges[e + 1]))
                done = integrate(row, (u, v, hold), parameters, block, refractory >= 0, fired)
                active[b, s, cut[e]] += done[0]
                u_wraps[b, s] += done[1]
                v_clips[b, s] += done[2]
                escaped += done[3]
                k = append(fired[: edges[e + 1] - edges[e]], edges[e], listed, k)
            reset(v, listed, worth, firing, first, k)
            if refractory >= 0:
                rest(hold, listed, first, k, refractory)
            starts[b, history + s + 1] = k
            if kept[0].shape[1]:
                kept[0][b, s], kept[1][b, s] = u, v
    return escaped
