"""Synaptic sums of events: each spike adds the weights of its source to a row of sums.

Common to all kernels (`groups` makes the arguments): row r of ``sums`` (R, n) belongs to sample ``b0 + r // S`` and to
step ``s0 + r % S`` of the chunk. A delay of d brings the source's step ``base + s - d`` of its window. ``lag``
(n_source,) has each source's delay, or no entries where ``delays`` holds the one delay of all. ``factor`` is the
exponent: each delay's finished sum is shifted by it on its own (`PyDelayDenseModelBitAcc`). ``fresh`` rows are
overwritten, others added to.
"""

from __future__ import annotations

import numpy as np

from spikeport.deploy.backends.simulator.events.jit import Array, Whole, kernel


@kernel
def arriving(
    events: tuple[Array, Array, Array],
    timing: tuple[Whole, Array, Array, bool],
    at: tuple[Whole, Whole],
    delay: Whole,
    rows: Array,
    worth: Array,
) -> Whole:
    """Gather into ``rows`` (and ``worth``, if graded) the sources whose spikes arrive at (sample, step); their number.

    Args:
        events: starts, index, payload; see `spikeport.deploy.backends.simulator.trains.Events`.
        timing: base, delays, lag, graded.
        at: sample, step of the chunk.
        delay: d.
        rows, worth: (n_source,) filled from the front.
    """
    starts, index, payload = events
    base, _, lag, graded = timing
    b, w = at[0], base + at[1] - delay
    found = 0
    for k in range(starts[b, w], starts[b, w + 1]):
        if lag.shape[0] == 0 or lag[index[b, k]] == delay:
            rows[found] = index[b, k]
            if graded:
                worth[found] = payload[b, k]
            found += 1
    return found


@kernel
def settle(total: Array, factor: Whole, sums: Array) -> None:
    """sums += total · 2^factor; a negative factor floors."""
    if factor >= 0:
        for j in range(total.shape[0]):
            sums[j] += total[j] << factor
    else:
        for j in range(total.shape[0]):
            sums[j] += total[j] >> -factor


@kernel
def add_rows(weight: Array, rows: Array, found: Whole, burst: Whole, part: Array, total: Array) -> None:
    """total += weight[rows[:found]].sum(0); ``part`` holds the sum of up to ``burst`` rows without overflow."""
    n = total.shape[0]
    first = 0
    while first < found:
        stop = min(found, first + burst)
        part[:] = 0
        k = first
        while k + 4 <= stop:  # four rows for one pass over the sums
            w0, w1, w2, w3 = weight[rows[k]], weight[rows[k + 1]], weight[rows[k + 2]], weight[rows[k + 3]]
            for j in range(n):
                part[j] += w0[j] + w1[j] + w2[j] + w3[j]
            k += 4
        while k < stop:
            w0 = weight[rows[k]]
            for j in range(n):
                part[j] += w0[j]
            k += 1
        for j in range(n):
            total[j] += part[j]
        first = stop


@kernel
def add_worth(weight: Array, rows: Array, worth: Array, found: Whole, total: Array) -> None:
    """total += worth[:found] @ weight[rows[:found]]."""
    for k in range(found):
        row, value = weight[rows[k]], worth[k]
        for j in range(total.shape[0]):
            total[j] += row[j] * value


@kernel
def dense(
    weight: Array,
    part: Array,
    burst: Whole,
    factor: Whole,
    events: tuple[Array, Array, Array],
    timing: tuple[Whole, Array, Array, bool],
    tile: tuple[Whole, Whole, Whole],
    span: tuple[Whole, Whole],
    fresh: bool,
    sums: Array,
) -> None:
    """Sums of a dense group; ``weight`` (n_source, n_target). ``tile``: b0, s0, S; ``span``: first and last row + 1."""
    b0, s0, length = tile
    _, delays, _, graded = timing
    rows, worth = np.empty(weight.shape[0], np.int32), np.empty(weight.shape[0], np.int32)
    total = np.empty(weight.shape[1], sums.dtype)
    for r in range(span[0], span[1]):
        if fresh:
            sums[r] = 0
        for delay in delays:
            found = arriving(events, timing, (b0 + r // length, s0 + r % length), delay, rows, worth)
            if found:
                total[:] = 0
                if graded:
                    add_worth(weight, rows, worth, found, total)
                else:
                    add_rows(weight, rows, found, burst, part, total)
                settle(total, factor, sums[r])


@kernel
def sparse(
    layout: tuple[Array, Array, Array],
    factor: Whole,
    events: tuple[Array, Array, Array],
    timing: tuple[Whole, Array, Array, bool],
    tile: tuple[Whole, Whole, Whole],
    span: tuple[Whole, Whole],
    fresh: bool,
    sums: Array,
) -> None:
    """Sums of a sparse group; ``layout``: first synapse (n_source + 1,), target and weight of each synapse."""
    first, target, weight = layout
    b0, s0, length = tile
    delays = timing[1]
    rows, worth = np.empty(first.shape[0] - 1, np.int32), np.ones(first.shape[0] - 1, np.int32)
    total = np.empty(sums.shape[1], sums.dtype)
    for r in range(span[0], span[1]):
        if fresh:
            sums[r] = 0
        for delay in delays:
            found = arriving(events, timing, (b0 + r // length, s0 + r % length), delay, rows, worth)
            if found:
                total[:] = 0
                for k in range(found):
                    for i in range(first[rows[k]], first[rows[k] + 1]):
                        total[target[i]] += weight[i] * worth[k]
                settle(total, factor, sums[r])


@kernel
def add_patch(
    weight: Array, geometry: Array, starts: Array, neuron: Whole, value: Whole, graded: bool, total: Array
) -> None:
    """Add what one spike of ``neuron`` sends through a convolution to ``total`` (groups, H, W, channels of a group).

    An input at x reaches outputs X - m, X = (x + padding) // stride, through taps (x + padding) % stride + m · stride:
    neighbours in memory, if the taps of each remainder stand together in descending order, channels innermost.

    Args:
        weight: (C_in, kernel height, kernel width · channels of a group), taps in that order.
        geometry: C_in per group, H_in, W_in, H, W, channels of a group, strides (2), paddings (2).
        starts: (stride + 1,) where the taps of each horizontal remainder begin.
        neuron: flat index (C, H, W) of the source.
        value: payload.
        graded: whether the payload counts.
        total: flat.
    """
    per_group, h_in, w_in, h_out, w_out, depth = geometry[:6]
    stride_y, stride_x, pad_y, pad_x = geometry[6:]
    channel, place = neuron // (h_in * w_in), neuron % (h_in * w_in)
    y, x = place // w_in + pad_y, place % w_in + pad_x
    group, right, phase = channel // per_group, x // stride_x, x % stride_x
    left = right + 1 - (starts[phase + 1] - starts[phase])
    low, high = max(left, 0), min(right, w_out - 1)
    if high < low:
        return
    first, width = (starts[phase] + low - left) * depth, (high + 1 - low) * depth
    for tap in range(y % stride_y, weight.shape[1], stride_y):
        row = (y - tap) // stride_y
        if 0 <= row < h_out:
            offset = ((group * h_out + row) * w_out + low) * depth
            w, out = weight[channel, tap, first : first + width], total[offset : offset + width]
            if graded:
                for j in range(width):
                    out[j] += w[j] * value
            else:
                for j in range(width):
                    out[j] += w[j]


@kernel
def settle_image(total: Array, geometry: Array, factor: Whole, sums: Array) -> None:
    """As `settle`, from (groups, H, W, channels of a group) to (channels, H, W)."""
    depth, pixels = geometry[5], geometry[3] * geometry[4]
    for channel in range(sums.shape[0] // pixels):
        first = (channel // depth) * pixels * depth + channel % depth
        out = sums[channel * pixels : (channel + 1) * pixels]
        for p in range(pixels):
            value = total[first + p * depth]
            out[p] += value << factor if factor >= 0 else value >> -factor


@kernel
def conv(
    layout: tuple[Array, Array, Array],
    total: Array,
    factor: Whole,
    events: tuple[Array, Array, Array],
    timing: tuple[Whole, Array, Array, bool],
    tile: tuple[Whole, Whole, Whole],
    span: tuple[Whole, Whole],
    fresh: bool,
    sums: Array,
) -> None:
    """Sums of a convolution; ``layout``: weight, geometry, starts of `add_patch`; ``total`` (n_target,) is scratch."""
    weight, geometry, starts = layout
    b0, s0, length = tile
    _, delays, _, graded = timing
    size = weight.shape[0] * geometry[1] * geometry[2]
    rows, worth = np.empty(size, np.int32), np.ones(size, np.int32)
    for r in range(span[0], span[1]):
        if fresh:
            sums[r] = 0
        for delay in delays:
            found = arriving(events, timing, (b0 + r // length, s0 + r % length), delay, rows, worth)
            if found:
                total[:] = 0
                for k in range(found):
                    add_patch(weight, geometry, starts, rows[k], worth[k], graded, total)
                settle_image(total, geometry, factor, sums[r])
