"""What shape a node asks for: settles leading batch axes, Flatten's counting and missing Input shapes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from spikeport.converters.network import Shape
from spikeport.converters.read.fields import Fields
from spikeport.converters.read.nir_file import RawNode

_PER_NEURON = ("v_threshold", "tau", "tau_mem", "tau_syn", "r", "threshold")
# Nodes that pass their input's shape on, so that the wish of whoever comes after is their own.
_TRANSPARENT = frozenset({"LIF", "CubaLIF", "LI", "CubaLI", "IF", "I", "Threshold", "Scale", "Delay"})


def wanted_after(name: str, nodes: Mapping[str, RawNode], follow: Mapping[str, tuple[str, ...]]) -> Shape | None:
    """The shape that the nodes after ``name`` ask for; None where none of them does.

    Zero stands for an axis whose length the wish leaves open.
    """
    seen = {name}
    queue = list(follow.get(name, ()))
    while queue:
        other = queue.pop(0)
        if other in seen:
            continue
        seen.add(other)
        shape = _wish(Fields(other, nodes[other]))
        if shape is not None:
            return shape
        if nodes[other].type in _TRANSPARENT:
            queue += follow.get(other, ())
    return None


def _wish(fields: Fields) -> Shape | None:
    kind = fields.node.type
    if kind in ("Linear", "Affine"):
        return (fields.weight(2).shape[1],)
    if kind in ("Conv1d", "Conv2d"):
        return _conv_wish(fields, 1 if kind == "Conv1d" else 2)
    if kind == "Flatten":
        field = next((f for f in ("input_type", "input_type.input") if fields.has(f)), None)
        shape: Shape = fields.shape(field) if field else ()
        return shape if shape and _size(shape) else None
    if kind in ("SumPool2d", "AvgPool2d"):
        return (0, 0, 0)
    return _population_wish(fields) if kind in _TRANSPARENT else None


def _conv_wish(fields: Fields, rank: int) -> Shape | None:
    """(C_in, *input_shape); zeros where the file leaves the sizes out, which still tells the rank."""
    weight = fields.weight(rank + 2)
    (groups,) = fields.integers("groups", 1, 1, default=1)
    known = fields.has("input_shape") and fields.text("input_shape") is None
    size = fields.integers("input_shape", rank, 0) if known else (0,) * rank
    return (weight.shape[1] * groups, *size)


def _population_wish(fields: Fields) -> Shape | None:
    """The largest per-neuron parameter's shape, without leading axes of one."""
    shapes = [fields.numbers(f).shape for f in (*_PER_NEURON, "scale", "delay") if fields.has(f)]
    shape: Shape = max(shapes, key=_size, default=())
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape if _size(shape) > 1 else None


def _size(shape: Shape) -> int:
    return prod(shape)
