"""Linear nodes as what they are: matrices over C-order flattened values.

`as_matrix` unrolls a node without ever making a dense array; `apply` multiplies one vector without unrolling.
"""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, coo_array, csr_array, diags_array, eye_array

from spikeport.converters.network import (
    Conv,
    Embed,
    Flatten,
    Linear,
    Permute,
    Pool,
    Reshape,
    Scale,
    Shape,
    SparseMap,
)
from spikeport.errors import DoesNotFitError

MatrixNode: TypeAlias = Linear | Conv | Pool | Scale | Flatten | Reshape | Permute | Embed | SparseMap
Floats: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Index: TypeAlias = tuple[Any, ...]

# 67 million: four Loihi chips full of 8-bit weights (128 cores of 128 KB each; Davies et al. 2018, IEEE Micro 38(1)).
# Building a sparse map takes about 45 bytes for each synapse, so this bound also keeps memory near 3 GB.
MOST_SYNAPSES = 2**26


def as_matrix(node: MatrixNode, in_shape: Shape) -> csr_array:
    """The node's matrix without its bias, (n_out, n_in) float64, both sides flattened in C order.

    Args:
        node: a linear node without memory.
        in_shape: shape of one step's input.

    Raises:
        DoesNotFitError: more than `MOST_SYNAPSES` entries.
    """
    match node:
        case Linear(weight):
            return _block_diagonal(weight, prod(in_shape[:-1]))
        case Conv():
            return _unrolled(node, in_shape)
        case Pool():
            images = (prod(in_shape[:-2]), *in_shape[-2:])
            return _unrolled(pool_as_conv(node, images[0]), images)
        case Scale(factor):
            return csr_array(diags_array(_flat(factor, in_shape)))
        case Flatten() | Reshape():
            return csr_array(eye_array(prod(in_shape)))
        case Permute(axes):
            return _selection(np.arange(prod(in_shape)).reshape(in_shape).transpose(axes).reshape(-1))
        case Embed():
            return csr_array(_selection(_embedded_at(node, in_shape), prod(node.shape)).T)
        case SparseMap(matrix):
            return csr_array(matrix.astype(np.float64))


def apply(node: MatrixNode, in_shape: Shape, values: Floats) -> Floats:
    """`as_matrix` (without bias) times the flat vector ``values`` (n_in,); (n_out,)."""
    match node:
        case Linear(weight):
            return (values.reshape(-1, weight.shape[1]) @ weight.T.astype(np.float64)).reshape(-1)
        case Conv():
            return _correlate(node, values.reshape(in_shape))
        case _:
            return np.asarray(as_matrix(node, in_shape) @ values)


def pool_as_conv(pool: Pool, channels: int, axes: int = 2) -> Conv:
    """The depthwise convolution that a pool along the last ``axes`` is: each channel a group, one constant kernel.

    Exact including the borders: sums see zeros in the padding, averages count them, and sizes round down in both.
    """
    value = 1.0 if pool.kind == "sum" else 1.0 / prod(pool.kernel)
    weight = np.full((channels, 1, *pool.kernel[-axes:]), value)
    return Conv(weight, None, pool.stride[-axes:], pool.padding[-axes:], (1,) * axes, channels)


def embed_as_conv(embed: Embed, in_shape: Shape) -> Conv:
    """The convolution that an Embed along channels and pixels is; ``in_shape`` (C, one or two axes).

    Each axis is padded by its offset b before and e behind the pixels; torch's padding is symmetric, so the kernel of
    one tap gets |b - e| empty taps on the side that asks for less.
    """
    pixels = zip(embed.offset[1:], embed.shape[1:], in_shape[1:], strict=True)
    ends = [(before, whole - before - held) for before, whole, held in pixels]
    kernel = [1 + abs(after - before) for before, after in ends]
    groups = in_shape[0] if embed.shape[0] == in_shape[0] else 1
    weight = np.zeros((embed.shape[0], in_shape[0] // groups, *kernel))
    channels = np.arange(in_shape[0])
    tap = tuple(max(after - before, 0) for before, after in ends)
    at_tap: Index = (embed.offset[0] + channels, channels if groups == 1 else 0, *tap)
    weight[at_tap] = 1.0
    ones = (1,) * len(ends)
    return Conv(weight, None, ones, tuple(max(pair) for pair in ends), ones, groups)


def conv_shape(conv: Conv, in_shape: Shape) -> Shape:
    """Output shape, each axis floor((n + 2·padding - dilation·(k - 1) - 1) / stride) + 1 (torch.nn.Conv2d)."""
    sizes = zip(in_shape[1:], conv.weight.shape[2:], conv.stride, conv.padding, conv.dilation, strict=True)
    return (conv.weight.shape[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes))


def check_size(synapses: int, what: str) -> None:
    """Refuse a map that no chip holds before building it.

    Raises:
        DoesNotFitError: more than `MOST_SYNAPSES`.
    """
    if synapses > MOST_SYNAPSES:
        raise DoesNotFitError(
            f"{what} unrolls to {synapses:,} synapses; spikeport stops at {MOST_SYNAPSES:,}, four chips full."
            " Make the layer smaller, or put a neuron between the linear maps so that they need not be multiplied."
        )


def _flat(values: NDArray[np.floating], shape: Shape) -> Floats:
    return np.broadcast_to(values.astype(np.float64), shape).reshape(-1)


def _selection(taken: Indices, n_in: int | None = None) -> csr_array:
    """y[i] = x[taken[i]] as a matrix of ones."""
    rows = np.arange(len(taken))
    return csr_array(coo_array((np.ones(len(taken)), (rows, taken)), shape=(len(taken), n_in or len(taken))))


def _embedded_at(embed: Embed, in_shape: Shape) -> Indices:
    """Where each flat input element stands in the flat output."""
    axes = (o + np.arange(n) for o, n in zip(embed.offset, in_shape, strict=True))
    return np.asarray(np.ravel_multi_index(np.ix_(*axes), embed.shape), dtype=np.int64).reshape(-1)


def _block_diagonal(weight: NDArray[np.floating], blocks: int) -> csr_array:
    check_size(weight.size * blocks, f"a linear map of {weight.shape[1]} inputs on {blocks} rows")
    block = csr_array(weight.astype(np.float64))
    return block if blocks == 1 else csr_array(block_diag([block] * blocks, format="csr"))


def axis_taps(n_in: int, n_out: int, kernel: int, stride: int, padding: int, dilation: int) -> Indices:
    """All (output, tap, input) index triples of one axis of a convolution that lie inside the input; (3, n)."""
    out, tap = np.indices((n_out, kernel)).reshape(2, -1)
    position = out * stride - padding + tap * dilation
    inside = (position >= 0) & (position < n_in)
    return np.stack([out[inside], tap[inside], position[inside]]).astype(np.int64)


def _unrolled(conv: Conv, in_shape: Shape) -> csr_array:
    """A convolution's matrix: channel pairs crossed with the taps of each axis."""
    out_shape = conv_shape(conv, in_shape)
    n_out, per_group = conv.weight.shape[:2]
    axes = zip(
        in_shape[1:], out_shape[1:], conv.weight.shape[2:], conv.stride, conv.padding, conv.dilation, strict=True
    )
    taps = [axis_taps(*axis) for axis in axes]
    check_size(n_out * per_group * prod(t.shape[1] for t in taps), f"a convolution on {in_shape}")
    channel_out = np.repeat(np.arange(n_out), per_group)
    channel_tap = np.tile(np.arange(per_group), n_out)
    first = channel_out // (n_out // conv.groups) * per_group
    grid = np.ix_(*(np.arange(n) for n in (len(channel_out), *(t.shape[1] for t in taps))))

    def flat(channel: Indices, which: int, shape: Shape) -> Indices:
        index = (channel[grid[0]], *(t[which][g] for t, g in zip(taps, grid[1:], strict=True)))
        return np.asarray(np.ravel_multi_index(index, shape), dtype=np.int64).reshape(-1)

    rows, columns = flat(channel_out, 0, out_shape), flat(first + channel_tap, 2, in_shape)
    weight_index = (channel_out[grid[0]], channel_tap[grid[0]], *(t[1][g] for t, g in zip(taps, grid[1:], strict=True)))
    values = conv.weight.astype(np.float64)[weight_index].reshape(-1)
    matrix = csr_array(coo_array((values, (rows, columns)), shape=(prod(out_shape), prod(in_shape))))
    matrix.eliminate_zeros()
    return matrix


def _correlate(conv: Conv, image: Floats) -> Floats:
    """One image (C, *size) through a convolution, tap by tap; flat result."""
    out_shape = conv_shape(conv, image.shape)
    padded = np.pad(image, [(0, 0), *((p, p) for p in conv.padding)])
    padded = padded.reshape(conv.groups, -1, *padded.shape[1:])
    kernels = conv.weight.astype(np.float64).reshape(conv.groups, -1, *conv.weight.shape[1:])
    total = np.zeros((conv.groups, out_shape[0] // conv.groups, *out_shape[1:]))
    for tap in product(*(range(k) for k in conv.weight.shape[2:])):
        starts = zip(tap, conv.dilation, conv.stride, out_shape[1:], strict=True)
        window: Index = (..., *(slice(t * d, t * d + s * (n - 1) + 1, s) for t, d, s, n in starts))
        at_tap: Index = (..., *tap)
        total += np.einsum("goc,gc...->go...", kernels[at_tap], padded[window])
    return total.reshape(-1)
