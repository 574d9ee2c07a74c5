"""A factor and constant y = f · x + c beside a linear map, as one map; computed in float64, stored in the map's own."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Array, Conv, Flatten, Linear, Node, Pool, Reshape, Scale, Shape

Floats = NDArray[np.float64]


def absorbed_after(node: Node, scale: Scale, shape: Shape) -> Node | None:
    """``scale`` after ``node``, which gives ``shape``; None where that is no such map."""
    match node:
        case Linear(weight, bias):
            along = _on_last_axis(scale, shape)
            if along is None:
                return None
            factor, constant = along
            return Linear(_as(weight, weight * factor[:, None]), _summed(weight, bias, factor, constant))
        case Conv(weight, bias):
            along = _per_channel(scale, shape)
            if along is None:
                return None
            factor, constant = along
            columns = factor.reshape(-1, *[1] * (weight.ndim - 1))
            return replace(node, weight=_as(weight, weight * columns), bias=_summed(weight, bias, factor, constant))
        case Scale(factor, bias):
            return _scales(factor, bias, scale)
    return None


def absorbed_before(node: Node, scale: Scale, shape: Shape) -> Node | None:
    """``scale``, which gives ``shape``, before ``node``; None where that is no such map."""
    match node:
        case Linear(weight, bias):
            along = _on_last_axis(scale, shape)
            if along is None:
                return None
            factor, constant = along
            added = None if constant is None else weight.astype(np.float64) @ constant
            return Linear(_as(weight, weight * factor), _plus(weight, bias, added))
        case Conv():
            return _before_conv(node, scale, shape)
        case Scale():
            return _scales(scale.factor, scale.bias, node)
    return None


def moved_behind(node: Pool | Flatten | Reshape, scale: Scale, shape: Shape, target: Shape) -> Scale | None:
    """The Scale that does behind ``node`` (from ``shape`` to ``target``) what ``scale`` does before it, or None."""
    if not isinstance(node, Pool):
        if scale.factor.ndim == 0 and scale.bias is None:
            return scale
        factor = np.broadcast_to(scale.factor, shape).reshape(target)
        bias = None if scale.bias is None else np.broadcast_to(scale.bias, shape).reshape(target)
        return Scale(factor, bias)
    along = _per_channel(scale, shape) if len(shape) == 3 else None
    if along is None or (along[1] is not None and (node.kind == "sum" or any(node.padding))):
        return None
    return scale


def _before_conv(conv: Conv, scale: Scale, shape: Shape) -> Conv | None:
    """A constant cannot pass padding: zeros beyond the border stay zeros."""
    along = _per_channel(scale, shape)
    if along is None or (along[1] is not None and any(conv.padding)):
        return None
    factor, constant = along
    ones = [1] * (conv.weight.ndim - 2)
    per_group = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:]).astype(np.float64)
    scaled = per_group * factor.reshape(conv.groups, 1, -1, *ones)
    added = None
    if constant is not None:
        added = (per_group * constant.reshape(conv.groups, 1, -1, *ones)).reshape(conv.weight.shape[0], -1).sum(1)
    weight = _as(conv.weight, scaled.reshape(conv.weight.shape))
    return replace(conv, weight=weight, bias=_plus(conv.weight, conv.bias, added))


def _scales(factor: Array, bias: Array | None, then: Scale) -> Scale:
    """``then`` after factor · x + bias."""
    both = factor.astype(np.float64) * then.factor
    carried = None if bias is None else then.factor.astype(np.float64) * bias
    constant = then.bias if carried is None else carried + (0.0 if then.bias is None else then.bias)
    return Scale(_as(factor, both), None if constant is None else _as(factor, constant))


def _per_channel(scale: Scale, shape: Shape) -> tuple[Floats, Floats | None] | None:
    """Factor and constant (C,) where all pixels of a channel share them."""
    factor = _first_axis(scale.factor, shape)
    constant = None if scale.bias is None else _first_axis(scale.bias, shape)
    if factor is None or (constant is None) != (scale.bias is None):
        return None
    return factor, constant


def _on_last_axis(scale: Scale, shape: Shape) -> tuple[Floats, Floats | None] | None:
    """Factor and constant (n,) along the last axis where they are the same on all others."""
    found = []
    for values in (scale.factor, scale.bias):
        rows = None if values is None else np.broadcast_to(values, shape).reshape(-1, shape[-1]).astype(np.float64)
        if rows is not None and not np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape)):
            return None
        found.append(None if rows is None else rows[0])
    factor, constant = found
    return None if factor is None else (factor, constant)


def _first_axis(values: Array, shape: Shape) -> Floats | None:
    rows = np.broadcast_to(values, shape).reshape(shape[0], prod(shape[1:])).astype(np.float64)
    return rows[:, 0] if np.array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape)) else None


def _summed(weight: Array, bias: Array | None, factor: Floats, constant: Floats | None) -> Array | None:
    """factor · bias + constant."""
    return _plus(weight, None if bias is None else _as(weight, factor * bias), constant)


def _plus(weight: Array, bias: Array | None, added: Floats | None) -> Array | None:
    if added is None:
        return bias
    return _as(weight, added if bias is None else bias.astype(np.float64) + added)


def _as(like: Array, values: Floats | Array) -> Array:
    narrow: Array = np.asarray(values).astype(like.dtype)
    return narrow
