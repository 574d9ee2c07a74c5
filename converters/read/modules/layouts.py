"""Handlers of functions that only move values: other shapes, other orders, single steps, all steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from spikeport.converters.read.modules.axes import Atom, Axis, Dims, fresh, leaves
from spikeport.converters.read.modules.functions import Call, Handler, consecutive, reshape_like, unknown
from spikeport.converters.read.modules.values import Value


def _reshape(c: Call, input: Tensor, *args: Any, **kwargs: Any) -> Value:
    return reshape_like(c, input)


def _permute(c: Call, input: Tensor, *dims: Any, **kwargs: Any) -> Value:
    given = kwargs.get("dims", dims[0] if len(dims) == 1 and isinstance(dims[0], (tuple, list)) else dims)
    return _ordered(c, input, [int(d) % input.ndim for d in given])


def _transpose(c: Call, input: Tensor, dim0: int, dim1: int) -> Value:
    order = list(range(input.ndim))
    a, b = dim0 % input.ndim, dim1 % input.ndim
    order[a], order[b] = order[b], order[a]
    return _ordered(c, input, order)


def _turned(c: Call, input: Tensor, *args: Any) -> Value:
    return _ordered(c, input, list(range(input.ndim))[::-1])


def _ordered(c: Call, input: Tensor, order: Sequence[int]) -> Value:
    before = c.dims(input)
    return c.make("permute", [input], {"order": tuple(order)}, tuple(before[i] for i in order))


def _select(c: Call, input: Tensor, dim: int, index: int) -> Value:
    axis = dim % input.ndim
    return _picked(c, c.tracer.value_of(input), c.out, axis, int(index) % input.shape[axis])


def _unbind(c: Call, input: Tensor, dim: int = 0) -> list[Value]:
    value = c.tracer.value_of(input)
    return [_picked(c, value, part, dim % input.ndim, i) for i, part in enumerate(c.out)]


def _getitem(c: Call, input: Tensor, index: Any) -> Value:
    """Whole slices, new axes, and integers; anything else picks data."""
    items = list(index) if isinstance(index, tuple) else [index]
    if any(isinstance(item, (Tensor, list)) for item in items):
        return unknown(c, "an index that is a tensor or list")
    if Ellipsis in items:
        at = items.index(Ellipsis)
        missing = input.ndim - sum(item is not None and item is not Ellipsis for item in items)
        items[at : at + 1] = [slice(None)] * missing
    return _indexed(c, input, items)


def _indexed(c: Call, input: Tensor, items: Sequence[Any]) -> Value:
    current, value, axis = input, c.tracer.value_of(input), 0
    for item in items:
        if item is None:
            current = current.unsqueeze(axis)
            value = _after(c, value, current, _inserted(value.dims, axis))
            axis += 1
        elif isinstance(item, slice):
            if item.indices(current.shape[axis]) != (0, current.shape[axis], 1):
                return unknown(c, "a slice of an axis")
            axis += 1
        else:
            picked = current.select(axis, int(item))
            value = _picked(c, value, picked, axis, int(item) % current.shape[axis])
            current = picked
    return value if value is c.tracer.value_of(input) else replace(value, tensor=c.out)


def _after(c: Call, value: Value, tensor: Tensor, dims: Dims) -> Value:
    name = c.tracer.name_for("reshape")
    return Value(
        "reshape",
        tensor,
        dims,
        c.tracer.where,
        name,
        (value,),
        step=value.step,
        replay=lambda: torch.zeros_like(tensor),
    )


def _picked(c: Call, value: Value, tensor: Tensor, axis: int, index: int) -> Value:
    """One slice. Along time it is a step; what it is along shows once all slices are known."""
    size = value.tensor.shape[axis]
    step = value.step if value.step is not None or size == 1 else index
    params = MappingProxyType({"axis": axis, "index": index})
    dims = value.dims[:axis] + value.dims[axis + 1 :]
    return Value(
        "select", tensor, dims, c.tracer.where, "select", (value,), params, step, lambda: torch.zeros_like(tensor)
    )


def _stack(c: Call, tensors: Sequence[Tensor], dim: int = 0) -> Value:
    """Steps laid out along a new axis; or different signals side by side."""
    # The last one's axes: the first steps may have been made from constants.
    last = next(x for x in reversed(tensors) if c.tracer.value_of(x).kind != "const")
    axis = dim % c.out.ndim
    values = [c.tracer.value_of(x) for x in tensors]
    new = Atom(len(tensors), "time" if consecutive(values) else None)
    return c.make("stack", tensors, {"axis": axis}, _inserted(c.dims(last), axis, (new,)))


def _repeat(c: Call, input: Tensor, *sizes: Any, **kwargs: Any) -> Value:
    """A static signal laid out along new or unit axes, which have to be time."""
    new = c.out.ndim - input.ndim
    old = ((Atom(1),),) * new + c.dims(input)
    grown = [i for i, (axis, n) in enumerate(zip(old, c.out.shape, strict=True)) if _length(axis) != n]
    if any(_length(old[i]) != 1 for i in grown):
        return unknown(c, "a repetition along an axis that has content")
    dims = tuple(
        (Atom(n, unit=leaves(axis)[0]),) if i in grown else axis
        for i, (axis, n) in enumerate(zip(old, c.out.shape, strict=True))
    )
    return c.make("spread", [input], {"axes": tuple(grown)}, dims)


def _length(axis: Axis) -> int:
    return prod(atom.size for atom in axis)


def _inserted(dims: Dims, axis: int, new: Axis | None = None) -> Dims:
    return (*dims[:axis], new or (Atom(1),), *dims[axis:])


def filled(c: Call, target: Tensor, index: Any, given: Any) -> Value:
    """``out[t] = y``: a sequence that is filled step by step."""
    items = index if isinstance(index, tuple) else (index,)
    axes = [i for i, item in enumerate(items) if isinstance(item, int)]
    whole = all(item == slice(None) for i, item in enumerate(items) if i not in axes)
    value, known = c.tracer.value_of(given), c.tracer.value_of(target)
    plain = len(axes) == 1 and whole and known.kind in ("stack", "const")
    if not plain or value.tensor.shape != target.select(axes[0], 0).shape:
        params: Mapping[str, Any] = MappingProxyType({"what": "a signal is written into parts of a tensor"})
        return Value("unknown", target, fresh(target.shape), c.tracer.where, params=params)
    axis, size = axes[0], target.shape[axes[0]]
    silence = Value("const", torch.zeros_like(value.tensor), value.dims)
    parts = list(known.inputs) if known.kind == "stack" else [silence] * size
    parts[int(items[axis]) % size] = value
    dims = _inserted(value.dims, axis, (Atom(size, "time"),))
    along: Mapping[str, Any] = MappingProxyType({"axis": axis})
    return Value("stack", target, dims, c.tracer.where, "stack", tuple(parts), along, value.step)


def _reduce(how: str) -> Handler:
    def handle(c: Call, input: Tensor, dim: Any = None, keepdim: bool = False, **more: Any) -> Value:
        out = c.out if isinstance(c.out, Tensor) else c.out[0]
        if dim is None or keepdim or more.get("dtype") is not None:
            return unknown(c, f"{how} over everything, or with keepdim or dtype")
        axes = tuple(sorted(d % input.ndim for d in (dim if isinstance(dim, (tuple, list)) else (dim,))))
        dims = tuple(axis for i, axis in enumerate(c.dims(input)) if i not in axes)
        whole = c.tracer.value_of(input)
        if how == "sum" and whole.kind == "stack" and axes == (whole.params["axis"],) and _side_by_side(whole):
            parts = [part.tensor for part in whole.inputs]
            return c.make("add", parts, {"signs": (1.0,) * len(parts)}, dims, name="add")
        made = c.make("reduce", [input], {"how": how, "axes": axes}, dims)
        return replace(made, tensor=out)

    return handle


def _side_by_side(stack: Value) -> bool:
    """Whether a stack holds different signals, not the steps of one."""
    return all(atom.role is None for atom in stack.dims[stack.params["axis"]])


def _readout(how: str) -> Handler:
    """What keeps the order of the classes and is left to the decoder."""

    def handle(c: Call, input: Tensor, dim: int | None = None, *args: Any, **kwargs: Any) -> Value:
        # Without a dim torch takes the first axis of 0, 1 or 3, else the second (torch.nn.functional).
        axis = int(input.ndim not in (0, 1, 3)) if dim is None else dim % max(input.ndim, 1)
        if any(atom.role is not None for atoms in c.dims(input)[axis : axis + 1] for atom in atoms):
            return unknown(c, f"{how} over samples or steps instead of classes")
        return c.make("readout", [input], {"how": how}, c.dims(input))

    return handle


LAYOUTS: Mapping[str, Handler] = MappingProxyType(
    {
        **dict.fromkeys(
            ("flatten", "view", "reshape", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as"), _reshape
        ),
        "permute": _permute,
        "transpose": _transpose,
        "swapaxes": _transpose,
        "swapdims": _transpose,
        "t": _turned,
        "T": _turned,
        "movedim": lambda c, input, *args: unknown(c, "movedim"),
        "repeat": _repeat,
        "expand": _repeat,
        "expand_as": _repeat,
        "select": _select,
        "unbind": _unbind,
        "getitem": _getitem,
        "stack": _stack,
        "sum": _reduce("sum"),
        "mean": _reduce("mean"),
        "max": _reduce("max"),
        "amax": _reduce("max"),
        "softmax": _readout("softmax"),
        "log_softmax": _readout("log_softmax"),
    }
)
