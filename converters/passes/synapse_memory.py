"""What synapses take of a core's memory, in the chip's own format and without unrolling a convolution.

Source: nengo-loihi, `SynapseConfig.bits_per_axon` and `Synapse` (block.py). The synapses of one source neuron lie in
blocks of up to 64; a block holds a header (4 bits name the format, 6 bits count the synapses) and, per synapse,
weight, delay and target index, and is rounded up to 64-bit words. A dense group lists its targets in order and
stores no index (compression 3); sparse and convolutional groups store one (compression 0), wide enough for the slice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Conv2d, Dense, Ints, Synapses
from spikeport.converters.connectivity import fan_out
from spikeport.converters.passes.tiles import Tile, fan_out_onto_tile
from spikeport.hw_profiles.profile import Profile, SynapseFormat


def synapse_bytes(synapses: Synapses, start: int, stop: int, profile: Profile) -> int:
    """Bytes that ``synapses`` take on a core that holds targets ``start`` .. ``stop - 1`` (flat index)."""
    connectivity = synapses.connectivity
    bits = synapse_bits(synapses, stop - start, profile.synapse_format)
    if isinstance(connectivity, Conv2d) and profile.features.weight_sharing_conv.value:
        counts, copies = shared_kernels(connectivity, start, stop)
    else:
        reached = fan_out(connectivity, start, stop)
        counts, copies = reached[reached > 0], np.ones(1, dtype=np.int64)
    return int(np.sum(copies * block_bits(counts, bits, profile.synapse_format))) // 8


def tile_bytes(synapses: Synapses, tile: Tile, profile: Profile) -> int:
    """`synapse_bytes` on a core that holds a tile of the targets."""
    connectivity = synapses.connectivity
    bits = synapse_bits(synapses, tile.size, profile.synapse_format)
    if isinstance(connectivity, Conv2d) and profile.features.weight_sharing_conv.value:
        counts, copies = shared_kernels_of_tile(connectivity, tile)
    else:
        reached = fan_out_onto_tile(connectivity, tile)
        counts, copies = reached[reached > 0], np.ones(1, dtype=np.int64)
    return int(np.sum(copies * block_bits(counts, bits, profile.synapse_format))) // 8


def synapse_bits(synapses: Synapses, targets: int, layout: SynapseFormat) -> int:
    """Bits of one synapse, header aside: weight, delay (enough for the longest), index among ``targets``."""
    weight = layout.weight_bits.at_least(synapses.num_weight_bits)
    indexed = not isinstance(synapses.connectivity, Dense)
    index = layout.index_bits.at_least((targets - 1).bit_length()) if indexed else 0
    return weight + synapses.max_delay.bit_length() + index


def block_bits(counts: Ints, bits: int, layout: SynapseFormat) -> Ints:
    """Bits that source neurons with ``counts`` synapses of ``bits`` each take; same shape."""
    full, rest = np.divmod(counts, layout.synapses_per_block.value)
    whole = _words(np.array(layout.synapses_per_block.value * bits), layout)
    part = np.where(rest > 0, _words(rest * bits, layout), 0)
    blocks: Ints = full * whole + part
    return blocks


def _words(payload: Ints, layout: SynapseFormat) -> Ints:
    word = layout.word_bits.value
    rounded: Ints = -(-(payload + layout.header_bits.value) // word) * word
    return rounded


def shared_kernels(conv: Conv2d, start: int, stop: int) -> tuple[Ints, Ints]:
    """Distinct kernels a core must store for targets ``start`` .. ``stop - 1``: (synapses each, copies).

    Source pixels that reach the slice through the same kernel taps see the same relative targets and share one copy
    per source channel (nengo-loihi: `Synapse.set_population_weights`, an axon-to-weight map and a base compartment).
    A slice, in C order, is a part of its first channel, whole channels, and a part of its last; a pixel's pattern is
    which taps land in each of the three.
    """
    plane = conv.target_shape[1] * conv.target_shape[2]
    landing = _landing(conv)
    counts, copies = [], []
    for whole, pieces in _by_group(conv, start, stop, plane):
        hits = [landing >= 0] * (whole > 0) + [(landing >= a) & (landing < b) for a, b in pieces]
        patterns = _distinct_rows(np.concatenate(hits, axis=1))
        per_part = patterns.reshape(len(patterns), len(hits), -1).sum(2)
        weights = np.array([whole] * (whole > 0) + [1] * len(pieces))
        counts.append(per_part @ weights)
        copies.append(np.full(len(patterns), conv.source_shape[0] // conv.groups))
    return np.concatenate(counts), np.concatenate(copies)


def shared_kernels_of_tile(conv: Conv2d, tile: Tile) -> tuple[Ints, Ints]:
    """`shared_kernels` for a tile: all channels at the same places, so that one pattern serves each.

    Which taps of a pixel land in a rectangle is decided row by row and column by column.
    """
    down, across = (
        _distinct_rows((landing >= first) & (landing < stop)).sum(1)
        for landing, (first, stop) in ((_axis_landing(conv, 0), tile.rows), (_axis_landing(conv, 1), tile.columns))
    )
    counts = np.outer(down, across).reshape(-1) * (conv.target_shape[0] // conv.groups)
    return counts, np.full(len(counts), conv.source_shape[0])


def _distinct_rows(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Each different row once, in any order."""
    packed = np.packbits(rows, axis=1)
    return rows[list({row.tobytes(): index for index, row in enumerate(packed)}.values())]


def _by_group(conv: Conv2d, start: int, stop: int, plane: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Per channel group inside the slice: its whole channels, and the ranges within its cut ones."""
    channels = conv.target_shape[0] // conv.groups
    for group in range(start // plane // channels, (stop - 1) // plane // channels + 1):
        first, last = group * channels * plane, (group + 1) * channels * plane
        a, b = max(start, first), min(stop, last)
        if a // plane == (b - 1) // plane and b - a < plane:
            yield 0, [(a % plane, a % plane + b - a)]
            continue
        head = [(a % plane, plane)] if a % plane else []
        tail = [(0, b % plane)] if b % plane else []
        yield b // plane - -(-a // plane), head + tail


def _landing(conv: Conv2d) -> NDArray[np.int64]:
    """(source pixels, taps): flat position within a target channel that a tap of a pixel feeds; -1 for none."""
    rows, columns = _axis_landing(conv, 0), _axis_landing(conv, 1)
    both = (rows[:, None, :, None] >= 0) & (columns[None, :, None, :] >= 0)
    flat = rows[:, None, :, None] * conv.target_shape[2] + columns[None, :, None, :]
    return np.where(both, flat, -1).reshape(rows.shape[0] * columns.shape[0], -1)


def _axis_landing(conv: Conv2d, axis: int) -> NDArray[np.int64]:
    """(positions, taps) of one spatial axis: the output position that a tap of an input position feeds, or -1."""
    inputs = np.arange(conv.source_shape[1 + axis])[:, None]
    taps = np.arange(conv.weight.shape[2 + axis])[None, :]
    scaled = inputs + conv.padding[axis] - taps * conv.dilation[axis]
    position, off_stride = np.divmod(scaled, conv.stride[axis])
    inside = (off_stride == 0) & (position >= 0) & (position < conv.target_shape[1 + axis])
    return np.where(inside, position, -1)
