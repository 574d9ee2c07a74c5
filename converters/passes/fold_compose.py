"""One linear map after another as one linear map, in the cheapest form that is exact.

All composing happens in float64. Values between maps are C-order flattened, so Flatten and Reshape change nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from spikeport.converters.network import (
    Array,
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
from spikeport.converters.passes.fold_conv import compose_convs
from spikeport.converters.passes.fold_matrix import (
    Floats,
    MatrixNode,
    apply,
    as_matrix,
    check_size,
    conv_shape,
    embed_as_conv,
    pool_as_conv,
)

# A dense group stores every weight, a sparse one each synapse with its address: below this share of nonzero
# weights the sparse form is the smaller one (8 bits of weight against about 32 with the address).
LEAST_DENSE = 0.25

Form: TypeAlias = Linear | Conv | Scale | SparseMap


@dataclass(frozen=True)
class Map:
    """An affine map on flattened values.

    Attributes:
        node: the linear part, in float64, its own bias left out. Linear acts on the whole flat input, Scale holds one
            factor per element.
        source, target: shapes that the node reads and gives.
        bias: flat, (n_target,), or None.
        why: why the map is sparse although its parts were not; "" if it is not.
    """

    node: Form
    source: Shape
    target: Shape
    bias: Floats | None = None
    why: str = ""


def as_map(node: MatrixNode, source: Shape, target: Shape) -> Map:
    """A network's linear node in composable form. ``source``, ``target``: its input's and output's shapes."""
    match node:
        case Linear(weight, bias):
            return _linear(weight, bias, source, target)
        case Conv(bias=bias):
            plain = replace(node, weight=node.weight.astype(np.float64), bias=None)
            return Map(plain, source, target, None if bias is None else _spread(bias, conv_shape(node, source)))
        case Pool() if len(source) == 3:
            return Map(pool_as_conv(node, source[0]), source, target)
        case Pool(kernel=(1, _), stride=(1, _), padding=(0, _)) if len(source) == 2:
            return Map(pool_as_conv(node, source[0], axes=1), source, target)
        case Embed() if len(source) in (2, 3):
            return Map(embed_as_conv(node, source), source, target)
        case Pool():
            why = f"it pools the last two of {len(source)} axes, which is no convolution over channels"
            return Map(SparseMap(as_matrix(node, source), None, target), source, target, why=why)
        case Scale(factor, bias):
            flat_bias = None if bias is None else np.broadcast_to(bias, source).astype(np.float64).reshape(-1)
            return Map(_scale(np.broadcast_to(factor, source)), source, target, flat_bias)
        case Flatten() | Reshape():
            return Map(_scale(np.ones(prod(source))), source, target)
        case Permute() | Embed():
            return Map(SparseMap(as_matrix(node, source), None, target), source, target, why="it moves single values")
        case SparseMap(matrix, bias, _):
            plain_map = SparseMap(csr_array(matrix.astype(np.float64)), None, target)
            return Map(plain_map, source, target, None if bias is None else bias.astype(np.float64))


def compose(first: Map, then: Map) -> Map:
    """``then`` after ``first``."""
    node, why = _composed(first, then)
    bias = then.bias
    if first.bias is not None:
        carried = apply(then.node, _seen(then), first.bias)
        bias = carried if bias is None else bias + carried
    # A factor keeps the axes of the convolution it melts into: only that one's axes mean something.
    conv = isinstance(node, Conv)
    source = then.source if conv and isinstance(first.node, Scale) else first.source
    target = first.target if conv and isinstance(then.node, Scale) else then.target
    return Map(node, source, target, bias, why)


def matrix_of(linear: Map) -> csr_array:
    """The map's matrix, (n_target, n_source), without its bias."""
    return as_matrix(linear.node, _seen(linear))


def finished(composed: Map, source: Shape, dtype: np.dtype[np.floating]) -> tuple[Linear | Conv | SparseMap, str]:
    """The map as a network node with its bias, and why it is sparse ("" if it is not, or always was).

    Args:
        composed: the whole path's map.
        source: shape of the population it reads; a convolution needs the axes it was made for.
        dtype: what weights and bias are stored in.
    """
    node, bias, why = composed.node, composed.bias, composed.why
    if isinstance(node, Scale):
        node, why = _standing_scale(node, source)
        composed = replace(composed, source=source, target=source)
    if isinstance(node, Conv) and _mostly_empty(node):
        node, why = SparseMap(as_matrix(node, composed.source), None, composed.target), "few channels are joined"
    if isinstance(node, Conv):
        channel_bias = None if bias is None else _per_channel(bias, composed.target)
        if source == composed.source and (bias is None) == (channel_bias is None):
            return replace(node, weight=node.weight.astype(dtype), bias=_stored(channel_bias, dtype)), ""
        why = _why_no_conv(source, composed)
        node = SparseMap(as_matrix(node, composed.source), None, composed.target)
    if isinstance(node, Linear):
        return Linear(node.weight.astype(dtype), _stored(bias, dtype)), ""
    return SparseMap(csr_array(node.matrix.astype(dtype)), _stored(bias, dtype), composed.target), why


def _composed(first: Map, then: Map) -> tuple[Form, str]:
    """The linear part of ``then`` after ``first``, and why it is sparse."""
    match first.node, then.node:
        case Scale(a), Scale(b):
            return Scale(a * b), ""
        case Linear(weight), Scale(b):
            return Linear(weight * b[:, None]), ""
        case Scale(a), Linear(weight):
            return Linear(weight * a), ""
        case (Conv() as conv, Scale(b)) if (factor := _per_channel(b, first.target)) is not None:
            return replace(conv, weight=conv.weight * _columns(factor, conv)), ""
        case (Scale(a), Conv() as conv) if (factor := _per_channel(a, then.source)) is not None:
            return _scaled_inputs(conv, factor), ""
        case (Conv(), Scale()) | (Scale(), Conv()):
            return _sparse(first, then, "a factor that differs within a channel breaks weight sharing")
        case Conv() as inner, Conv() as outer:
            return _convs(inner, outer, first, then)
        case (Linear(), _) | (_, Linear()):
            return _dense_or_sparse(first, then)
    return _sparse(first, then, first.why or then.why)


def _scale(factor: NDArray[np.floating]) -> Scale:
    return Scale(factor.astype(np.float64).reshape(-1))


def _linear(weight: Array, bias: Array | None, source: Shape, target: Shape) -> Map:
    """A Linear acts on the last axis: with other axes of more than 1 element it is block diagonal."""
    rows = prod(source[:-1])
    flat_bias = None if bias is None else np.tile(bias.astype(np.float64), rows)
    if rows == 1:
        return Map(Linear(weight.astype(np.float64)), source, target, flat_bias)
    why = f"a linear map on the last axis of {source} is the same block {rows} times"
    return Map(SparseMap(as_matrix(Linear(weight), source), None, target), source, target, flat_bias, why)


def _spread(bias: Array, shape: Shape) -> Floats:
    """A bias per channel, flat over ``shape``."""
    return np.broadcast_to(bias.reshape(-1, *[1] * (len(shape) - 1)), shape).astype(np.float64).reshape(-1)


def _columns(per_channel: Array, conv: Conv) -> Array:
    return per_channel.reshape(-1, *[1] * (conv.weight.ndim - 1))


def _scaled_inputs(conv: Conv, factor: Array) -> Conv:
    """The convolution of ``factor`` (C_in,) times the input; zeros in the padding stay zeros."""
    per_group = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:])
    scaled = per_group * factor.reshape(conv.groups, 1, -1, *[1] * (conv.weight.ndim - 2))
    return replace(conv, weight=scaled.reshape(conv.weight.shape))


def _convs(inner: Conv, outer: Conv, first: Map, then: Map) -> tuple[Form, str]:
    if first.target != then.source:
        return _sparse(first, then, f"what one convolution gives as {first.target} the next reads as {then.source}")
    folded = compose_convs(inner, outer, (first.source, first.target, then.target))
    return (folded, "") if isinstance(folded, Conv) else _sparse(first, then, folded)


def _seen(mapped: Map) -> Shape:
    """The shape a map's node acts on: only convolutions look at axes."""
    return mapped.source if isinstance(mapped.node, Conv) else (prod(mapped.source),)


def _dense_or_sparse(first: Map, then: Map) -> tuple[Form, str]:
    """A product with a dense factor; sparse where few weights are left."""
    check_size(prod(then.target) * prod(first.source), "a product of linear maps")
    if isinstance(first.node, Linear):
        weight = _times(then, first.node.weight)
    else:
        inner = matrix_of(first)
        weight = np.asarray((inner.T @ matrix_of(then).T).T.toarray())
    used = np.count_nonzero(weight) / weight.size
    if used > LEAST_DENSE:
        return Linear(weight), ""
    return SparseMap(csr_array(weight), None, then.target), f"only {used:.0%} of the product's weights are not zero"


def _times(then: Map, weight: Array) -> Floats:
    if isinstance(then.node, Linear):
        return np.asarray(then.node.weight @ weight)
    return np.asarray(matrix_of(then) @ weight)


def _sparse(first: Map, then: Map, why: str) -> tuple[SparseMap, str]:
    """The product of two sparse matrices; its size is bounded by the paths through each middle element."""
    inner, outer = matrix_of(first), matrix_of(then)
    through = np.bincount(outer.indices, minlength=outer.shape[1]) @ np.diff(inner.indptr)
    check_size(min(int(through), prod(then.target) * prod(first.source)), "a product of linear maps")
    matrix = csr_array(outer @ inner)
    matrix.eliminate_zeros()
    return SparseMap(matrix, None, then.target), why


def _per_channel(values: Array, shape: Shape) -> Array | None:
    """One value per channel, (C,), of flat ``values`` over ``shape`` (C, ...); None where a channel's differ."""
    channels = values.reshape(shape[0], -1)
    return channels[:, 0] if np.array_equal(channels, np.broadcast_to(channels[:, :1], channels.shape)) else None


def _standing_scale(scale: Scale, source: Shape) -> tuple[Conv | SparseMap, str]:
    """A scale with no neighbour to melt into: a 1x1 depthwise convolution, or one synapse per neuron."""
    factor = _per_channel(scale.factor.astype(np.float64), source) if len(source) in (2, 3) else None
    if factor is None:
        diagonal = csr_array(diags_array(scale.factor))
        return SparseMap(diagonal, None, source), "a factor for each neuron is one synapse for each neuron"
    ones = (1,) * (len(source) - 1)
    weight = factor.reshape(-1, 1, *ones)
    return Conv(weight, None, ones, (0,) * len(ones), ones, groups=source[0]), ""


def _mostly_empty(conv: Conv) -> bool:
    """Whether few pairs of channels are joined at all, as where a concatenation puts channels beside others."""
    joined = np.any(conv.weight, axis=tuple(range(2, conv.weight.ndim)))
    return float(np.mean(joined)) < LEAST_DENSE


def _why_no_conv(source: Shape, composed: Map) -> str:
    if source != composed.source:
        return f"the convolution reads a population of shape {source} as {composed.source}"
    return "a bias that differs between the neurons of a channel has no place in a convolution"


def _stored(bias: Array | None, dtype: np.dtype[np.floating]) -> Array | None:
    return None if bias is None else bias.astype(dtype)
