"""One function per kind of operation, found in one table: its value and what arrives become nodes of the Network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from spikeport.converters.network import (
    Activation,
    Array,
    Conv,
    Embed,
    Flatten,
    Linear,
    MaxPool,
    Node,
    Permute,
    Pool,
    Reshape,
    Scale,
    Shape,
)
from spikeport.converters.read.modules.axes import Dims, data_order, is_data, step_axes, step_shape
from spikeport.converters.read.modules.cells import array
from spikeport.converters.read.modules.flow import Flow, joined
from spikeport.converters.read.modules.values import Value, refuse

MEAN = "mean over time"
"""The reduction with which affine maps commute."""


class Nodes(Protocol):
    """Where nodes go."""

    def through(self, name: str, node: Node, flow: Flow) -> Flow:
        """A flow that passes a node."""

    def plain(self, flow: Flow, name: str) -> Flow:
        """The same flow without a constant."""


@dataclass(frozen=True)
class Place:
    """An operation in its surroundings.

    Attributes:
        nodes: where nodes go.
        value: the operation.
        name: reserved for its node.
        flows: what arrives, one per input.
    """

    nodes: Nodes
    value: Value
    name: str
    flows: tuple[Flow, ...]

    def through(self, node: Node, affine: bool = True, bias: bool = False) -> Flow:
        """The one thing that arrives, through a node; what was reduced over time passes affine maps alone."""
        flow = self.flows[0]
        if flow.constant is not None:
            return self.constant()
        if flow.reduced is not None and (not affine or (bias and flow.reduced != MEAN)):
            refuse(
                self.value.where,
                f"'{self.value.kind}' follows on a {flow.reduced}, which a Network, step by step, cannot say.",
                "Reduce over time at the very end.",
            )
        return self.nodes.through(self.name, node, flow)

    def constant(self) -> Flow:
        """What the operation makes of a constant."""
        if self.value.replay is None:
            refuse(self.value.where, f"'{self.value.kind}' of a constant is not understood.")
        return Flow(constant=self.value.replay())

    @property
    def dims(self) -> Dims:
        """Axes of its first input."""
        return self.value.inputs[0].dims

    def data(self, axes: Sequence[int], doing: str) -> None:
        """Insist on axes being data of one step."""
        if not all(is_data(self.dims[i]) for i in axes):
            refuse(self.value.where, f"it {doing} over time or batch, and a Network works step by step.")


def _linear(p: Place) -> Flow:
    p.data([-1], "mixes")
    bias = _numbers(p.value.params["bias"])
    return p.through(Linear(_matrix(p.value.params["weight"]), bias), bias=bias is not None)


def _conv(p: Place) -> Flow:
    params = p.value.params
    weight, bias = _matrix(params["weight"]), _numbers(params["bias"])
    rank = len(params["stride"])
    p.data(range(1, 2 + rank), "convolves")
    before, padding = _padding(params["padding"], weight.shape[2:], params["dilation"])
    node = Conv(weight, bias, params["stride"], padding, params["dilation"], params["groups"])
    if not any(before):
        return p.through(node, bias=bias is not None)
    shape = step_shape(p.dims)
    grown = (shape[0], *(n + b for n, b in zip(shape[1:], before, strict=True)))
    padded = replace(p, name=f"{p.name}.pad").through(Embed(grown, (0,) * len(shape)))
    return replace(p, flows=(padded,)).through(node, bias=bias is not None)


def _padding(padding: str | Shape, kernel: Shape, dilation: Shape) -> tuple[Shape, Shape]:
    """Pixels to add at the end first, and the symmetric rest. 'same' puts the odd pixel at the end, as torch does."""
    if not isinstance(padding, str):
        return (0,) * len(kernel), padding
    if padding == "valid":
        return (0,) * len(kernel), (0,) * len(kernel)
    total = tuple(d * (k - 1) for k, d in zip(kernel, dilation, strict=True))
    return tuple(n % 2 for n in total), tuple(n // 2 for n in total)


def _pool(p: Place) -> Flow:
    sizes = _windows(p)
    return p.through(Pool("sum" if p.value.params["sum"] else "average", *sizes))


def _max_pool(p: Place) -> Flow:
    return p.through(MaxPool(*_windows(p)), affine=False)


def _windows(p: Place) -> tuple[Shape, Shape, Shape]:
    """Kernel, stride and padding over two axes; one-dimensional windows leave the first of them alone."""
    params = p.value.params
    rank = len(params["kernel"])
    p.data(range(-rank, 0), "pools")
    if len(step_shape(p.dims)) < 2:
        refuse(p.value.where, f"it pools a signal of shape {step_shape(p.dims)}, which has no channels.")
    lead = (1,) * (2 - rank)
    return (*lead, *params["kernel"]), (*lead, *params["stride"]), (*(0,) * (2 - rank), *params["padding"])


def _activation(p: Place) -> Flow:
    ceiling = p.value.params["ceiling"]
    return p.through(Activation(None if ceiling is None else np.asarray(ceiling, np.float32)), affine=False)


def _scale(p: Place) -> Flow:
    params = p.value.params
    factor = step_array(params["factor"], p.value.dims, p.value.where)
    bias = None if params["bias"] is None else step_array(params["bias"], p.value.dims, p.value.where)
    reduced = p.flows[0].reduced
    if reduced is not None and bias is None and factor.ndim == 0 and factor > 0:
        return replace(p.flows[0], reduced=f"{reduced}, times {float(factor):g}")
    return p.through(Scale(factor, bias), bias=bias is not None)


def _add(p: Place) -> Flow:
    """A sum needs no node: edges that meet are summed. Constants are collected, signs become scales."""
    flows: list[Flow] = []
    bias: Array = np.zeros((), np.float32)
    for i, (flow, sign) in enumerate(zip(p.flows, p.value.params["signs"], strict=True)):
        if flow.constant is not None:
            bias = bias + np.float32(sign) * step_array(flow.constant, p.value.dims, p.value.where)
            continue
        if sign != 1.0 and flow.terms:
            name = f"{p.name}.{'minus' if sign == -1.0 else 'scale'}" + (f"_{i}" if i > 1 else "")
            flow = p.nodes.through(name, Scale(np.asarray(sign, np.float32)), flow)
        bias = bias if flow.bias is None else bias + flow.bias
        flows.append(flow)
    if not flows:
        return p.constant()
    kinds = {flow.reduced for flow in flows if flow.terms}
    if len(kinds) > 1 or (bias.any() and kinds - {None, MEAN}):
        refuse(p.value.where, "it adds to something that was reduced over time.", "Reduce over time at the very end.")
    return Flow(joined(flows), bias if bias.any() else None, reduced=next(iter(kinds), None))


def _cat(p: Place) -> Flow:
    """Each part is embedded in zeros; the sum of the parts is the concatenation."""
    axis = p.value.params["axis"]
    if not is_data(p.value.dims[axis]):
        refuse(p.value.where, "it concatenates over time or batch.", "Feed the whole sequence at once.")
    place = step_axes(p.value.dims).index(axis)
    shape = step_shape(p.value.dims)
    starts = np.cumsum([0, *p.value.params["sizes"]])
    flows = [
        _embedded(p, i, shape, place, int(start), flow)
        for i, (flow, start) in enumerate(zip(p.flows, starts, strict=False))
    ]
    return Flow(joined(flows))


def _embedded(p: Place, part: int, shape: Shape, axis: int, start: int, flow: Flow) -> Flow:
    if flow.constant is not None:
        if bool(flow.constant.any()):
            refuse(p.value.where, "it concatenates a constant that is not zero.", "Leave the constant out.")
        return Flow()
    if flow.reduced is not None:
        refuse(p.value.where, "it concatenates something that was reduced over time.")
    offset = tuple(start if i == axis else 0 for i in range(len(shape)))
    return p.nodes.through(f"{p.name}.part{part + 1}", Embed(shape, offset), flow)


def _stack(p: Place) -> Flow:
    """Different signals side by side along a new axis of data."""
    axis = p.value.params["axis"]
    if not is_data(p.value.dims[axis]):
        refuse(p.value.where, "it stacks signals along time or batch.", "Feed the whole sequence at once.")
    place = step_axes(p.value.dims).index(axis)
    shape = step_shape(p.value.dims)
    one = (*shape[:place], 1, *shape[place + 1 :])
    flows = []
    for i, flow in enumerate(p.flows):
        if flow.constant is None:
            flow = p.nodes.through(f"{p.name}.axis{i + 1}", Reshape(one), flow)
        flows.append(_embedded(p, i, shape, place, i, flow))
    return Flow(joined(flows))


def _pad(p: Place) -> Flow:
    kept = step_axes(p.value.dims)
    front = p.value.params["front"]
    if any(front[i] for i in range(len(front)) if i not in kept) or len(kept) != len(step_axes(p.dims)):
        refuse(p.value.where, "it pads time or batch.")
    return p.through(Embed(step_shape(p.value.dims), tuple(front[i] for i in kept)))


def _reshape(p: Place) -> Flow:
    before, after = step_shape(p.dims), step_shape(p.value.dims)
    if before == after:
        return _same(p)
    return p.through(_flatten(before, after) or Reshape(after))


def _same(p: Place) -> Flow:
    return p.flows[0] if p.flows[0].constant is None else p.constant()


def _flatten(before: Shape, after: Shape) -> Flatten | None:
    """The one run of axes that becomes one, if that is all there is to it."""
    length = len(before) - len(after)
    for start in range(len(after)):
        if length > 0 and before[:start] == after[:start] and before[start + length + 1 :] == after[start + 1 :]:
            return Flatten(start, start + length)
    return None


def _permute(p: Place) -> Flow:
    if data_order(p.dims) == data_order(p.value.dims):
        return _reshape(p)
    kept = step_axes(p.dims)
    order = [i for i in p.value.params["order"] if i in kept]
    return p.through(Permute(tuple(kept.index(i) for i in order)))


def _reduce(p: Place) -> Flow:
    how, axes = p.value.params["how"], p.value.params["axes"]
    flow = _same(p)
    if not any(is_data(p.dims[i]) for i in axes):
        if {atom.role for i in axes for a in p.dims[i] for atom in a.leaves()} != {"time"}:
            refuse(p.value.where, f"it takes the {how} over the batch.")
        if flow.reduced is not None:
            refuse(p.value.where, f"it takes the {how} of something already reduced over time.")
        return replace(p.nodes.plain(flow, p.name), reduced=f"{how} over time")
    spatial = tuple(range(len(p.dims) - 2, len(p.dims)))
    shape = step_shape(p.dims)
    if tuple(axes) != spatial or how not in ("sum", "mean") or len(shape) != 3:
        refuse(p.value.where, f"it takes the {how} over axes {axes}; only the two image axes can be pooled.")
    pooled = p.through(Pool("sum" if how == "sum" else "average", shape[1:], shape[1:], (0, 0)))
    return p.nodes.through(f"{p.name}.flatten", Flatten(0, 2), pooled)


def _readout(p: Place) -> Flow:
    flow = _same(p)
    return replace(flow, reduced=" of the ".join(filter(None, (p.value.params["how"], flow.reduced))))


def _spread(p: Place) -> Flow:
    if any(is_data(p.value.dims[i]) and p.value.tensor.shape[i] > 1 for i in p.value.params["axes"]):
        refuse(p.value.where, "it repeats a signal along an axis of data.", "Repeat it along time alone.")
    return _same(p)


def _unknown(p: Place) -> Flow:
    return refuse(p.value.where, f"{p.value.params['what']}.")


def step_array(tensor: Tensor, dims: Dims, where: str) -> Array:
    """A constant of a tensor with these axes, for one step of one sample.

    Raises:
        UnsupportedNodeError: it changes with time or from sample to sample.
    """
    full = tensor.detach().to(torch.float32).reshape((1,) * (len(dims) - tensor.ndim) + tuple(tensor.shape))
    for axis in reversed(range(len(dims))):
        if is_data(dims[axis]):
            continue
        first = full.select(axis, 0)
        if not torch.equal(full, first.unsqueeze(axis).expand_as(full)):
            refuse(where, "a constant in it changes with time or from sample to sample.", "Make it one of the inputs.")
        full = first
    return array(full)


def _matrix(tensor: Tensor) -> Array:
    found: Array = tensor.detach().cpu().numpy().astype(np.float32)
    return found


def _numbers(tensor: Tensor | None) -> Array | None:
    return None if tensor is None else _matrix(tensor)


MAKERS: Mapping[str, Callable[[Place], Flow]] = MappingProxyType(
    {
        "linear": _linear,
        "conv": _conv,
        "pool": _pool,
        "max_pool": _max_pool,
        "activation": _activation,
        "scale": _scale,
        "add": _add,
        "cat": _cat,
        "stack": _stack,
        "pad": _pad,
        "reshape": _reshape,
        "select": _reshape,
        "permute": _permute,
        "reduce": _reduce,
        "readout": _readout,
        "spread": _spread,
        "unknown": _unknown,
    }
)
