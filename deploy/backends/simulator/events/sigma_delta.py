"""Sigma-delta units: chip steps of rows of units; `spikeport.converters.arithmetic` is the specification."""

from __future__ import annotations

import numpy as np

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel

DELTA, SIGMA, LINEAR, RECTIFIED = 0, 1, 2, 3
"""What a unit announces: changes of what it receives; nothing (a readout); of its biased sum; of that, rectified."""


@kernel
def wrapped(x: Whole) -> Whole:
    """x in 32 bits; see `spikeport.converters.arithmetic.wrap32`."""
    return np.int64(np.int32(x))


@kernel
def value_of(model: Whole, total: Whole, received: Whole, bias: Whole) -> Whole:
    """The activation of one unit; ``received`` is at the state's scale."""
    if model == DELTA:
        return received
    if model == SIGMA:
        return total
    biased = wrapped(total + bias)
    return max(biased, 0) if model == RECTIFIED else biased


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
        sums: (R, n) int64, see `spikeport.deploy.backends.simulator.engine.Tile`.
        tile: b0, s0, steps.
        samples: first and last + 1, of the shard.
        registers: sigma, activation, residue, (B, n) int64.
        parameters: (n,) int64: bias and threshold, both at the state's scale.
        unit: code of the model, spike_exp + state_exp, state_exp.
        blocks: (E + 1,) edges of blocks of neurons, (E,) the cut that each belongs to.
        train: steps of history, starts, index, payload of the population's own train.
        counters: active, registers u and v beyond 24 bits.
        kept: sigma, activation (B, K, n) to write to, or (B, 0, n).
    """
    b0, s0, steps = tile
    bias, threshold = parameters
    model, scale, drop = unit
    edges, cut = blocks
    history, starts, index, payload = train
    active, beyond_u, beyond_v = counters
    largest = 0
    for b in range(samples[0], samples[1]):
        sigma, activation, residue = registers[0][b], registers[1][b], registers[2][b]
        for s in range(s0, s0 + steps):
            row = sums[(b - b0) * steps + s - s0]
            k = starts[b, history + s]
            for e in range(cut.shape[0]):
                for i in range(edges[e], edges[e + 1]):
                    total = np.int64(0) if model == DELTA else wrapped(sigma[i] + row[i])
                    value = value_of(model, total, wrapped(row[i] << scale), bias[i])
                    change = wrapped(value - activation[i] + residue[i])
                    sent = change if abs(change) >= threshold[i] and model != SIGMA else np.int64(0)
                    message = sent >> drop
                    active[b, s, cut[e]] += (total != sigma[i]) | (value != activation[i]) | (message != 0)
                    beyond_u[b, s] += abs(total) >= STATE_LIMIT
                    beyond_v[b, s] += abs(value) >= STATE_LIMIT
                    sigma[i], activation[i] = total, value
                    if model != SIGMA:
                        residue[i] = change - sent
                    if message != 0:
                        index[b, k], payload[b, k] = i, message
                        largest = max(largest, abs(message))
                        k += 1
            starts[b, history + s + 1] = k
            if kept[0].shape[1]:
                kept[0][b, s], kept[1][b, s] = sigma, activation
    return largest
