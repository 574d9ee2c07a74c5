"""What tracing leaves behind: every tensor that carries the signal, and what made it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NoReturn, TypeAlias

import torch
from torch import Tensor

from spikeport.converters.read.modules.axes import Dims
from spikeport.errors import UnsupportedNodeError

Kind: TypeAlias = Literal[
    "input",
    "output",
    "state",
    "feedback",
    "const",
    "linear",
    "conv",
    "pool",
    "max_pool",
    "activation",
    "scale",
    "add",
    "cat",
    "pad",
    "reshape",
    "permute",
    "select",
    "stack",
    "reduce",
    "readout",
    "spread",
    "unknown",
]
"""``output`` and ``state``: of a neuron; ``feedback``: its output of the step before; ``unknown``: not understood,
which matters only where an output depends on it; the rest are operations."""


@dataclass(eq=False)
class Value:
    """One tensor of the traced run.

    Attributes:
        kind: what made it.
        tensor: itself.
        dims: what its axes are.
        where: path of the module that was running, for messages.
        name: what the node would best be called.
        inputs: the values it was made from, constants included.
        params: what else went in, by the name its kind gives it.
        step: the latest time step it depends on; None where it depends on all, or on none.
        replay: gives the same operation's result for silent inputs.
    """

    kind: Kind
    tensor: Tensor
    dims: Dims
    where: str = ""
    name: str = ""
    inputs: tuple[Value, ...] = ()
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    step: int | None = None
    replay: Callable[[], Tensor] | None = None


class ReaderFaultError(Exception):
    """A fault of the reader itself, which is not to be taken for one of the module that it reads."""


def refuse(where: str, what: str, advice: str = "") -> NoReturn:
    """Say who cannot be read, and why.

    Raises:
        UnsupportedNodeError: always.
    """
    raise UnsupportedNodeError(f"module '{where or '(root)'}': {what}" + (f" {advice}" if advice else ""))


def latest(values: tuple[Value, ...]) -> int | None:
    """The latest step among values."""
    return max((v.step for v in values if v.step is not None), default=None)


def same_operation(a: Value, b: Value) -> bool:
    """Whether two values were made by one operation with the same parameters, at two time steps."""
    if a.kind != b.kind or len(a.inputs) != len(b.inputs) or set(a.params) != set(b.params):
        return False
    return all(_equal(a.params[key], b.params[key]) for key in a.params)


def _equal(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and torch.equal(a, b)
    return type(a) is type(b) and not isinstance(a, Tensor) and bool(a == b)


def silent(value: Value) -> bool:
    """Whether it is a constant of zeros."""
    return value.kind == "const" and not bool(value.tensor.any())
