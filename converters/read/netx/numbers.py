"""Integers of a layer, checked: what is missing, no integer, out of range or of the wrong shape is refused by name."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.converters.network import Shape
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.errors import ModelError

MAX_WEIGHTS = 1 << 26
"""Of one layer: more than the synaptic memory of any board with 8 bits each."""
MAX_NEURONS = 1 << 22
"""Of one layer; a Loihi 2 board of eight chips has 2^23."""
_INT32 = 1 << 31


def refuse(layer: RawLayer, what: str) -> ModelError:
    """The error for ``what``, naming the layer."""
    return ModelError(f"layer '{layer.name}': {what}")


def has(layer: RawLayer, key: str) -> bool:
    """Whether the layer has the field, or the group."""
    return key in layer.fields or any(field.startswith(f"{key}/") for field in layer.fields)


def integers(layer: RawLayer, key: str) -> Ints:
    """A field as int64, whatever its shape; SLAYER writes most integers as float32."""
    if key not in layer.fields:
        raise refuse(layer, f"has no {key}; it has {', '.join(layer.fields) or 'nothing'}")
    values = layer.fields[key]
    if isinstance(values, str):
        raise refuse(layer, f"{key} is the text {values[:40]!r} instead of numbers")
    if values.size > MAX_WEIGHTS or values.size == 0:
        raise refuse(layer, f"{key} has {values.size} values; spikeport reads 1 to {MAX_WEIGHTS}")
    return _whole(layer, key, values)


def _whole(layer: RawLayer, key: str, values: NDArray[Any]) -> Ints:
    if values.dtype.kind == "f":
        wrong = ~np.isfinite(values) | (values != np.trunc(values))
        if count := int(np.count_nonzero(wrong)):
            first = values[wrong].flat[0]
            message = f"{key}: {count} of {values.size} values are no integers (the first is {first:g})"
            raise refuse(layer, f"{message}; export from SLAYER with its 8-bit quantisation (pre_hook_fx)")
    if np.abs(values.astype(np.float64)).max() >= _INT32:
        raise refuse(layer, f"{key} has values beyond 32 bits")
    return values.astype(np.int64)


def integer(layer: RawLayer, key: str, default: int | None = None) -> int:
    """A field of one integer."""
    if key not in layer.fields and default is not None:
        return default
    values = integers(layer, key)
    if values.size != 1:
        raise refuse(layer, f"{key} has {values.size} values instead of one")
    return int(values.flat[0])


def flag(layer: RawLayer, key: str) -> bool:
    """A field that is true; False where it is missing."""
    return key in layer.fields and integer(layer, key) != 0


def text(layer: RawLayer, key: str) -> str:
    """A field of text."""
    value = layer.fields.get(key)
    if not isinstance(value, str):
        raise refuse(layer, f"{key} should be a text")
    return value


def pair(layer: RawLayer, key: str, least: int, default: int | None = None) -> tuple[int, int]:
    """Two integers (vertical, horizontal), or one for both."""
    if key not in layer.fields and default is not None:
        return default, default
    values = integers(layer, key).reshape(-1)
    if values.size not in (1, 2) or values.min() < least or values.max() > MAX_NEURONS:
        raise refuse(layer, f"{key} = {values[:4].tolist()} should be one or two numbers, {least} or more")
    return int(values[0]), int(values[-1])


def layer_shape(layer: RawLayer) -> Shape:
    """The field ``shape``: (C, H, W), or (n,); (n, 1, 1) and (1, 1, n) of flat layers stay as they are."""
    dims = tuple(integers(layer, "shape").reshape(-1).tolist())
    if not 1 <= len(dims) <= 3 or min(dims) < 1:
        raise refuse(layer, f"shape {dims} should have one to three positive dimensions")
    if prod(dims) > MAX_NEURONS:
        raise refuse(layer, f"shape {dims} has {prod(dims)} neurons; spikeport reads at most {MAX_NEURONS} in a layer")
    return dims


def spread(layer: RawLayer, what: str, values: Ints, shape: Shape) -> Ints:
    """Values per layer, per channel or per neuron, as a register: 0-d or flat (n,)."""
    size, flat = prod(shape), values.reshape(-1)
    if flat.size == 1:
        return np.asarray(flat[0])
    if flat.size == size:
        return flat
    if flat.size == shape[0]:
        return np.repeat(flat, size // shape[0])
    raise refuse(layer, f"{what} has {flat.size} values for {size} neurons of shape {shape}")
