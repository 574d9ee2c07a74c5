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
from spikeport.deploy.backends.simulator.events.lanes import LANES, add_lanes


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
def add_patches(
    weight: Array, place: Array, block: Array, shape: Array, rows: Array, worth: Array, found: Whole, total: Array
) -> None:
    """Add what ``found`` spikes send through a convolution to ``total``; all of them do the same number of steps.

    Args:
        weight: flat blocks of ``lines`` runs of ``vectors`` · LANES weights.
        place: (n_source,) uint32 where in ``total`` the first run of each source neuron begins.
        block: (n_source,) uint32 where in ``weight`` its block begins.
        shape: lines of a block, vectors of a run, and the distance of runs in ``total``.
        rows, worth: sources and payloads.
        found: how many of them.
        total: flat.
    """
    lines, vectors, pitch = shape
    for k in range(found):
        at, first = np.uint64(place[rows[k]]), np.uint64(block[rows[k]])
        for _ in range(lines):
            for vector in range(vectors):
                step = np.uint64(vector * LANES)
                add_lanes(total, at + step, weight, first + step, worth[k])
            at += np.uint64(pitch)
            first += np.uint64(vectors * LANES)


@kernel
def add_plain_patches(
    weight: Array, place: Array, block: Array, shape: Array, rows: Array, found: Whole, total: Array
) -> None:
    """As `add_patches`, for spikes that are worth 1."""
    lines, vectors, pitch = shape
    for k in range(found):
        at, first = np.uint64(place[rows[k]]), np.uint64(block[rows[k]])
        for _ in range(lines):
            for vector in range(vectors):
                step = np.uint64(vector * LANES)
                add_lanes(total, at + step, weight, first + step, None)
            at += np.uint64(pitch)
            first += np.uint64(vectors * LANES)


@kernel
def settle_image(total: Array, frame: Array, factor: Whole, sums: Array) -> None:
    """As `settle`, from (groups, H + margin, W + margin, channels of a group) to (channels, H, W).

    ``frame``: H, W, channels of a group, pitches of a group and a line, first entry of a group that counts.
    """
    height, width, depth, group_pitch, line_pitch, corner = frame
    for channel in range(sums.shape[0] // (height * width)):
        source = (channel // depth) * group_pitch + corner + channel % depth
        for y in range(height):
            out, at = np.uint64((channel * height + y) * width), np.uint64(source + y * line_pitch)
            for x in range(width):
                value = np.int64(total[at + np.uint64(x * depth)])
                sums[out + np.uint64(x)] += value << factor if factor >= 0 else value >> -factor


@kernel
def conv(
    layout: tuple[Array, Array, Array, Array, Array],
    total: Array,
    factor: Whole,
    events: tuple[Array, Array, Array],
    timing: tuple[Whole, Array, Array, bool],
    tile: tuple[Whole, Whole, Whole],
    span: tuple[Whole, Whole],
    fresh: bool,
    sums: Array,
) -> None:
    """Sums of a convolution; ``layout``: weight, place, block, shape and frame; ``total`` is scratch."""
    weight, place, block, shape, frame = layout
    b0, s0, length = tile
    _, delays, _, graded = timing
    rows, worth = np.empty(place.shape[0], np.int32), np.empty(place.shape[0], np.int32)
    for r in range(span[0], span[1]):
        if fresh:
            sums[r] = 0
        for delay in delays:
            found = arriving(events, timing, (b0 + r // length, s0 + r % length), delay, rows, worth)
            if found:
                total[:] = 0
                if graded:
                    add_patches(weight, place, block, shape, rows, worth, found, total)
                else:
                    add_plain_patches(weight, place, block, shape, rows, found, total)
                settle_image(total, frame, factor, sums[r])
