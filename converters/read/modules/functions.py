"""torch's functions as operations on traced values: one handler each, with torch's own argument names, in one table.

A handler is called after the function ran, with its result, and says what the result is. Whatever is not in a table
makes an ``unknown`` value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from spikeport.converters.read.modules.axes import Dims, MixedAxisError, fresh, reshaped
from spikeport.converters.read.modules.values import Kind, Value, latest


class Naming(Protocol):
    """What handlers ask the tracer."""

    def value_of(self, given: Any) -> Value:
        """A tagged tensor's value, or a constant."""

    def name_for(self, kind: str, *parameters: Any) -> str:
        """What a node is best called: by its parameter, else by the module that runs."""

    @property
    def where(self) -> str:
        """Path of the module that runs."""


@dataclass(frozen=True)
class Call:
    """One call of a torch function, seen from outside.

    Attributes:
        tracer: who knows the values.
        out: what the function gave.
        replay: gives the same for silent signals.
    """

    tracer: Naming
    out: Any
    replay: Callable[[], Tensor]

    def make(
        self, kind: Kind, inputs: Sequence[Any], params: Mapping[str, Any], dims: Dims, *named_by: Any, name: str = ""
    ) -> Value:
        """The value of the result; ``named_by``: parameters whose name the node should take."""
        values = tuple(self.tracer.value_of(x) for x in inputs)
        return Value(
            kind,
            self.out,
            dims,
            self.tracer.where,
            self.tracer.name_for(name or kind, *named_by),
            values,
            MappingProxyType(dict(params)),
            latest(values),
            self.replay,
        )

    def dims(self, given: Tensor) -> Dims:
        """Axes of a signal."""
        return self.tracer.value_of(given).dims


Handler: TypeAlias = Callable[..., Value | Sequence[Value]]


def _linear(c: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Value:
    dims = (*c.dims(input)[:-1], *fresh(c.out.shape[-1:]))
    return c.make("linear", [input], {"weight": weight, "bias": bias}, dims, weight)


def _matmul(c: Call, input: Tensor, other: Tensor) -> Value:
    if c.tracer.value_of(other).kind != "const" or other.ndim != 2 or c.tracer.value_of(input).kind == "const":
        return unknown(c, "matmul")
    dims = (*c.dims(input)[:-1], *fresh(c.out.shape[-1:]))
    return c.make("linear", [input], {"weight": other.T, "bias": None}, dims, other)


def _conv(rank: int) -> Handler:
    def handle(
        c: Call,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Value:
        if input.ndim != rank + 2:
            return unknown(c, f"conv{rank}d without a batch axis")
        form = {"stride": sizes(stride, rank), "dilation": sizes(dilation, rank), "groups": groups}
        pads = padding if isinstance(padding, str) else sizes(padding, rank)
        dims = (c.dims(input)[0], *fresh(c.out.shape[1:]))
        return c.make("conv", [input], {"weight": weight, "bias": bias, "padding": pads, **form}, dims, weight)

    return handle


def _conv3d(
    c: Call,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Value:
    """Only with a kernel of 1 along the last axis: a 2-d convolution of each of its slices (Norse's LConv2d)."""
    if weight.shape[-1] != 1 or sizes(stride, 3)[2] != 1 or sizes(padding, 3)[2] != 0:
        return unknown(c, "conv3d")
    form = {"stride": sizes(stride, 3)[:2], "dilation": sizes(dilation, 3)[:2], "groups": groups}
    params = {"weight": weight[..., 0], "bias": bias, "padding": sizes(padding, 3)[:2], **form}
    dims = (c.dims(input)[0], *fresh(c.out.shape[1:4]), c.dims(input)[4])
    return c.make("conv", [input], params, dims, weight)


def _batch_norm(
    c: Call,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    """(x - mean) / sqrt(var + eps) · weight + bias, per channel."""
    if training or running_mean is None or running_var is None:
        return unknown(c, "batch_norm by the statistics of the batch")
    factor = torch.rsqrt(running_var + eps) * (1.0 if weight is None else weight)
    shift = (0.0 if bias is None else bias) - running_mean * factor
    shape = (-1, *(1,) * (input.ndim - 2))
    params = {"factor": factor.reshape(shape), "bias": shift.reshape(shape)}
    return c.make("scale", [input], params, c.dims(input), weight if weight is not None else running_mean, name="norm")


def _relu(c: Call, input: Tensor, inplace: bool = False) -> Value:
    return c.make("activation", [input], {"ceiling": None}, c.dims(input), name="relu")


def _relu6(c: Call, input: Tensor, inplace: bool = False) -> Value:
    return c.make("activation", [input], {"ceiling": 6.0}, c.dims(input), name="relu")


def _hardtanh(c: Call, input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Value:
    return _clamp(c, input, min_val, max_val)


def _clamp(c: Call, input: Tensor, min: Any = None, max: Any = None) -> Value:
    if min is None or isinstance(min, Tensor) or float(min) != 0.0 or isinstance(max, Tensor):
        return unknown(c, "clamp that is no rectifier")
    ceiling = None if max is None or float(max) == float("inf") else float(max)
    return c.make("activation", [input], {"ceiling": ceiling}, c.dims(input), name="relu")


def _add(c: Call, input: Any, other: Any, alpha: float = 1) -> Value:
    return _sum(c, input, other, (1.0, float(alpha)))


def _sub(c: Call, input: Any, other: Any, alpha: float = 1) -> Value:
    return _sum(c, input, other, (1.0, -float(alpha)))


def _rsub(c: Call, input: Any, other: Any) -> Value:
    return _sum(c, input, other, (-1.0, 1.0))


def _sum(c: Call, input: Any, other: Any, signs: tuple[float, float]) -> Value:
    longest = max((x for x in (input, other) if _is_signal(c, x)), key=lambda x: (x.ndim, x.numel()))
    if longest.shape != c.out.shape:
        return unknown(c, "a sum that makes the signal larger")
    return c.make("add", [input, other], {"signs": signs}, c.dims(longest), name="add")


def _is_signal(c: Call, x: Any) -> bool:
    return isinstance(x, Tensor) and c.tracer.value_of(x).kind != "const"


def _mul(c: Call, input: Any, other: Any) -> Value:
    signals = [x for x in (input, other) if _is_signal(c, x)]
    if len(signals) == 2:
        return unknown(c, "a product of two signals")
    factor = other if signals[0] is input else input
    return _scaled(c, signals[0], c.tracer.value_of(factor).tensor)


def _div(c: Call, input: Any, other: Any, rounding_mode: str | None = None) -> Value:
    if _is_signal(c, other) or rounding_mode is not None:
        return unknown(c, "a division by a signal, or with rounding")
    return _scaled(c, input, 1.0 / c.tracer.value_of(other).tensor)


def _neg(c: Call, input: Tensor) -> Value:
    return _scaled(c, input, torch.tensor(-1.0))


def _scaled(c: Call, signal: Tensor, factor: Tensor) -> Value:
    if signal.shape != c.out.shape:
        return unknown(c, "a product that makes the signal larger")
    return c.make("scale", [signal], {"factor": factor, "bias": None}, c.dims(signal), factor, name="scale")


def _cat(c: Call, tensors: Sequence[Tensor], dim: int = 0) -> Value:
    first = next(x for x in tensors if _is_signal(c, x))
    axis = dim % first.ndim
    joined = [c.tracer.value_of(x) for x in tensors]
    if all(x.shape[axis] == 1 for x in tensors) and consecutive(joined):
        return c.make("stack", tensors, {"axis": axis}, _steps_along(c, first, axis, len(tensors)))
    dims = c.dims(first)
    new = (*dims[:axis], *fresh((c.out.shape[axis],)), *dims[axis + 1 :])
    return c.make("cat", tensors, {"axis": axis, "sizes": tuple(x.shape[axis] for x in tensors)}, new)


def _steps_along(c: Call, part: Tensor, axis: int, steps: int) -> Dims:
    """Axes of steps laid out along a unit axis of each."""
    (time,) = fresh((steps,))
    time[0].role = "time"
    dims = c.dims(part)
    return (*dims[:axis], time, *dims[axis + 1 :])


def _pad(c: Call, input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    if mode != "constant" or value not in (None, 0, 0.0) or min(pad) < 0:
        return unknown(c, f"pad in mode '{mode}', with {value}, or cropping")
    pairs = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)]
    fronts = [(0, 0)] * (input.ndim - len(pairs)) + pairs[::-1]
    dims = tuple(
        axis if sum(both) == 0 else fresh((n,))[0]
        for axis, both, n in zip(c.dims(input), fronts, c.out.shape, strict=True)
    )
    return c.make("pad", [input], {"front": tuple(before for before, _ in fronts)}, dims)


def _identity(c: Call, input: Tensor, *args: Any, **kwargs: Any) -> Value:
    """The same values: no operation at all."""
    same: Value = c.tracer.value_of(input)
    return same if c.out.is_floating_point() else unknown(c, "a conversion to other numbers than floats")


def _dropout(c: Call, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    return unknown(c, "dropout, which is random,") if training and p > 0 else _identity(c, input)


def consecutive(values: Sequence[Value]) -> bool:
    """Whether a list holds one value per time step: steps that rise by one, constants only before them."""
    signals = [(i, v.step) for i, v in enumerate(values) if v.kind != "const"]
    starts = {None if step is None else i - step for i, step in signals}
    return len(starts) == 1 and None not in starts


def unknown(c: Call, what: str) -> Value:
    """A value that cannot be said; refused only if an output needs it."""
    out = c.out if isinstance(c.out, Tensor) else torch.zeros(())
    return Value("unknown", out, fresh(out.shape), c.tracer.where, params=MappingProxyType({"what": what}))


def sizes(value: Any, rank: int) -> tuple[int, ...]:
    """One number per axis, as torch reads a single one."""
    found = tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(value),)
    return found * rank if len(found) == 1 else found


def reshape_like(c: Call, input: Tensor) -> Value:
    """Any regrouping of axes: what it did shows in the result's shape."""
    try:
        dims = reshaped(c.dims(input), c.out.shape)
    except MixedAxisError as error:
        return unknown(c, f"a reshape of {error}")
    return c.make("reshape", [input], {}, dims)


OPERATIONS: Mapping[str, Handler] = MappingProxyType(
    {
        "linear": _linear,
        "matmul": _matmul,
        "rmatmul": lambda c, input, other: unknown(c, "matmul"),
        "conv1d": _conv(1),
        "conv2d": _conv(2),
        "conv3d": _conv3d,
        "batch_norm": _batch_norm,
        "relu": _relu,
        "relu6": _relu6,
        "hardtanh": _hardtanh,
        "clamp": _clamp,
        "clip": _clamp,
        "clamp_min": lambda c, input, min: _clamp(c, input, min),
        "add": _add,
        "radd": _add,
        "iadd": _add,
        "sub": _sub,
        "subtract": _sub,
        "isub": _sub,
        "rsub": _rsub,
        "mul": _mul,
        "multiply": _mul,
        "rmul": _mul,
        "imul": _mul,
        "div": _div,
        "divide": _div,
        "truediv": _div,
        "true_divide": _div,
        "itruediv": _div,
        "idiv": _div,
        "neg": _neg,
        "negative": _neg,
        "cat": _cat,
        "concat": _cat,
        "concatenate": _cat,
        "pad": _pad,
        "dropout": _dropout,
        "dropout1d": _dropout,
        "dropout2d": _dropout,
        "alpha_dropout": _dropout,
        "feature_dropout": _dropout,
        **dict.fromkeys(
            (
                "contiguous",
                "clone",
                "detach",
                "data",
                "to",
                "float",
                "cpu",
                "cuda",
                "requires_grad",
                "alias",
                "type_as",
            ),
            _identity,
        ),
    }
)
