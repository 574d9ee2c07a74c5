"""Node types that NIR does not have and spikeport's files may hold: what converted networks need beyond it.

Written by `spikeport.converters.write.extensions`. Programs that know only NIR refuse a file with such a type, which is
better than to compute something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from spikeport.converters.network import Embed, Node, Permute, Reshape, Scale, Shape, SigmaDelta
from spikeport.converters.read.fields import Fields

FLAGS = ("sums", "rectified", "sends_changes")


def _sigma_delta(fields: Fields, shape: Shape) -> SigmaDelta:
    values = fields.fit({name: fields.numbers(name) for name in ("threshold", "bias")}, shape)
    if values["threshold"].min() < 0:
        raise fields.refuse(f"'threshold' must not be negative, but goes down to {values['threshold'].min():.6g}.")
    threshold, bias = (np.asarray(fields.float32(name, array)) for name, array in values.items())
    return SigmaDelta(threshold, bias, *(bool(fields.integers(name, 1, 0)[0]) for name in FLAGS))


def _reshape(fields: Fields, shape: Shape) -> Reshape:
    return Reshape(fields.shape("shape"))


def _permute(fields: Fields, shape: Shape) -> Permute:
    return Permute(fields.shape("axes"))


def _embed(fields: Fields, shape: Shape) -> Embed:
    return Embed(fields.shape("shape"), fields.shape("offset"))


def _scale_shift(fields: Fields, shape: Shape) -> Scale:
    """A scale with a bias, such as batch norm; NIR's Scale has none."""
    factor, bias = (fields.float32(name, fields.numbers(name)) for name in ("scale", "bias"))
    return Scale(factor, bias)


EXTENSIONS: Mapping[str, Callable[[Fields, Shape], Node]] = {
    "SigmaDelta": _sigma_delta,
    "Reshape": _reshape,
    "Permute": _permute,
    "Embed": _embed,
    "ScaleShift": _scale_shift,
}
EXTENSION_FIELDS: Mapping[str, frozenset[str]] = {
    "SigmaDelta": frozenset({"threshold", "bias", *FLAGS}),
    "Reshape": frozenset({"shape"}),
    "Permute": frozenset({"axes"}),
    "Embed": frozenset({"shape", "offset"}),
    "ScaleShift": frozenset({"scale", "bias"}),
}
