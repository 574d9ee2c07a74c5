"""Sigma-delta units: chip steps of rows of units, in 32 bits; `spikeport.converters.arithmetic` is the specification.

Lava keeps these registers in int32 and lets them wrap; a machine's own 32-bit arithmetic does just that. numba widens
whatever it adds, so each step says that it stays narrow.
"""

from __future__ import annotations

import numpy as np

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel
from spikeport.deploy.backends.simulator.events.marks import append
from spikeport.deploy.backends.simulator.events.neurons import BLOCK

DELTA, SIGMA, LINEAR, RECTIFIED = 0, 1, 2, 3
"""What a unit announces: changes of what it receives; nothing (a readout); of its biased sum; of that, rectified."""


@kernel
def value_of(model: Whole, total: Whole, received: Whole, scale: Whole, bias: Whole) -> Whole:
    """The activation of one unit."""
    if model == DELTA:
        return np.int32(np.int32(received) << scale)
    if model == SIGMA:
        return np.int32(total)
    biased = np.int32(total + bias)
    if model == RECTIFIED and biased < 0:
        return np.int32(0)
    return biased


@kernel
def step_units(
    sums: Array,
    sigma: Array,
    activation: Array,
    residue: Array,
    parameters: tuple[Array, Array],
    unit: tuple[Whole, Whole, Whole],
    marks: Array,
    message: Array,
) -> tuple[Whole, Whole, Whole]:
    """One step of units; rows of one length. Sets ``message`` to what they send, ``marks`` where that is not 0.

    Returns:
        how many changed or send, how many sums and how many activations are beyond 24 bits.
    """
    bias, threshold = parameters
    model, scale, drop = unit
    active, beyond_u, beyond_v = np.int32(0), np.int32(0), np.int32(0)
    for i in range(sums.shape[0]):
        total = np.int32(0) if model == DELTA else np.int32(sigma[i] + np.int32(sums[i]))
        value = value_of(model, total, sums[i], scale, bias[i])
        change = np.int32(np.int32(value - activation[i]) + residue[i])
        sends = ((change >= threshold[i]) | (change <= np.int32(-threshold[i]))) & (model != SIGMA)
        sent = np.int32(change >> drop) if sends else np.int32(0)
        active += np.int32((total != sigma[i]) | (value != activation[i]) | (sent != 0))
        beyond_u += np.int32((total >= STATE_LIMIT) | (total <= -STATE_LIMIT))
        beyond_v += np.int32((value >= STATE_LIMIT) | (value <= -STATE_LIMIT))
        sigma[i], activation[i], message[i], marks[i] = total, value, sent, sent != 0
        if model != SIGMA:
            residue[i] = np.int32(0) if sends else change
    return active, beyond_u, beyond_v


@kernel
def announce(
    sums: Array,
    tile: tuple[Whole, Whole, Whole],
    samples: tuple[Whole, Whole],
    registers: tuple[Array, Array, Array],
    parameters: tuple[Array, Array],
    unit: tuple[Whole, Whole, Whole],
    blocks: tuple[Array, Array],
    train: tuple[Whole, Array, Array, Array],
    counters: tuple[Array, Array, Array],
    kept: tuple[Array, Array],
) -> Whole:
    """Steps of some samples of a tile; the largest payload sent, as an absolute value.

    Args:
        sums: (R, n), of which the low 32 bits count; see `spikeport.deploy.backends.simulator.engine.Tile`.
        tile: b0, s0, steps.
        samples: first and last + 1, of the shard.
        registers: sigma, activation, residue, (B, n) int32.
        parameters: (n,) int32: bias and threshold, both at the state's scale.
        unit: code of the model, spike_exp + state_exp, state_exp.
        blocks: (E + 1,) edges of blocks of neurons, (E,) the cut that each belongs to.
        train: steps of history, starts, index, payload of the population's own train.
        counters: active, registers u and v beyond 24 bits.
        kept: sigma, activation (B, K, n) to write to, or (B, 0, n).
    """
    b0, s0, steps = tile
    edges, cut = blocks
    history, starts, index, payload = train
    active, beyond_u, beyond_v = counters
    marks, message = np.empty(BLOCK, np.uint8), np.empty(BLOCK, np.int32)
    largest = np.int64(0)
    for b in range(samples[0], samples[1]):
        sigma, activation, residue = registers[0][b], registers[1][b], registers[2][b]
        listed, worth = index[b], payload[b]
        for s in range(s0, s0 + steps):
            row, k = sums[(b - b0) * steps + s - s0], starts[b, history + s]
            for e in range(cut.shape[0]):
                low, high = edges[e], edges[e + 1]
                mine = (parameters[0][low:high], parameters[1][low:high])
                state = (sigma[low:high], activation[low:high], residue[low:high])
                done = step_units(row[low:high], *state, mine, unit, marks, message)
                active[b, s, cut[e]] += done[0]
                beyond_u[b, s] += done[1]
                beyond_v[b, s] += done[2]
                first = k
                k = append(marks[: high - low], low, listed, k)
                for j in range(first, k):
                    value = message[listed[j] - low]
                    worth[j] = value
                    largest = max(largest, abs(np.int64(value)))
            starts[b, history + s + 1] = k
            if kept[0].shape[1]:
                kept[0][b, s], kept[1][b, s] = sigma, activation
    return largest
