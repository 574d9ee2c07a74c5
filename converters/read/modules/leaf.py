"""One neuron module of the traced net: its calls, its states, and what its cell adds around it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikeport.converters.network import Array, Shape
from spikeport.converters.read.modules.axes import Atom, Dims, learn, reshaped
from spikeport.converters.read.modules.cells import Cell, array, per_step
from spikeport.converters.read.modules.values import Value, refuse


@dataclass(eq=False)
class Leaf:
    """A neuron module that was called.

    Attributes:
        path: its place in the user's net.
        cell: what it means, initial state included.
        shape: of one step of one sample.
        inputs: what each of its calls received, after ``cell.before``; one entry where it takes whole sequences.
        outputs: what each call gave, before ``cell.after``.
        fed_back: what its recurrent map makes of its last spikes; None without one.
    """

    path: str
    cell: Cell
    shape: Shape
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    fed_back: Value | None = None

    @property
    def whole(self) -> bool:
        """Whether one call covers all time steps."""
        return self.cell.layout != "step"


@dataclass(frozen=True)
class LeafCall:
    """A call that has begun.

    Attributes:
        path: of the module.
        module: itself.
        arguments: by name, without the input.
        signal: the input tensor.
        held: states it held when the call began, by attribute.
        known: all tensors it held, by id: kept, so that no new one takes the id of an old one.
    """

    path: str
    module: nn.Module
    arguments: Mapping[str, Any]
    signal: Tensor
    held: Mapping[str, Any]
    known: Mapping[int, Any]


def begin(path: str, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> LeafCall:
    """Look at a call before it runs.

    Raises:
        UnsupportedNodeError: it is called without a tensor.
    """
    bound = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    (_, first), *rest = bound.items()
    signal = first[0] if isinstance(first, tuple) and first else first  # of forward(*args)
    if not isinstance(signal, Tensor):
        refuse(path, f"it is called with a {type(signal).__name__} instead of a tensor.")
    held = {name: value for name, value in attributes(module) if isinstance(value, (Tensor, float))}
    kept = {name: value.detach().clone() if isinstance(value, Tensor) else value for name, value in held.items()}
    return LeafCall(path, module, dict(_fields(rest)), signal, kept, {id(v): v for v in held.values()})


def attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """What a module holds besides parameters and other modules."""
    yield from module._buffers.items()
    yield from getattr(module, "_memories", {}).items()
    yield from ((k, v) for k, v in vars(module).items() if not k.startswith("_"))


def tensors_in(found: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a structure, under the name of its innermost field."""
    if isinstance(found, Tensor):
        yield name, found
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from tensors_in(value, str(key))
    elif isinstance(found, tuple) and hasattr(found, "_fields"):
        for key, value in zip(found._fields, found, strict=True):
            yield from tensors_in(value, key)
    elif isinstance(found, (list, tuple)):
        for value in found:
            yield from tensors_in(value, name)


def _fields(arguments: Any) -> Iterator[tuple[str, Any]]:
    """Arguments by name, structures of states taken apart."""
    for name, value in arguments:
        inner = list(tensors_in(value, name))
        yield from inner if inner else [(name, value)]


def lay_out(cell: Cell, dims: Dims, path: str) -> Dims:
    """Learn from a neuron's layout which axes are time and batch; the axes, unfolded where it unfolds them itself."""
    if cell.merged is not None:
        size = int(np.prod([atom.size for atom in dims[0]]))
        batch, steps = _unfolded(size, cell.merged, path)
        pair = reshaped(dims[:1], (batch, steps))
        dims = (*pair, *dims[1:])
    if cell.layout == "step":
        return dims
    roles = ("time", "batch") if cell.layout == "time-batch" else ("batch", "time")
    if len(dims) < 3:
        refuse(path, f"it takes whole sequences but was given {len(dims)} axes.", "Give the sample a batch axis.")
    learn(dims[0], roles[0])  # type: ignore[arg-type]
    learn(dims[1], roles[1])  # type: ignore[arg-type]
    return dims


def _unfolded(size: int, merged: tuple[int, int], path: str) -> tuple[int, int]:
    batch, steps = merged
    batch = size // steps if batch == -1 else batch
    steps = size // batch if steps == -1 else steps
    if batch * steps != size:
        refuse(path, f"it unfolds {size} frames into {batch} samples of {steps} steps.", "Give it whole samples.")
    return batch, steps


def generic_step(shape: Shape, device: torch.device) -> tuple[Tensor, Dims]:
    """A silent step of one sample, for looking at what a recurrent map does."""
    return torch.zeros((1, *shape), device=device), ((Atom(1, "batch"),), *((Atom(n),) for n in shape))


def with_start(cell: Cell, given: Mapping[str, Any], shape: Shape, path: str) -> Cell:
    """The cell with the initial state that its first call found or was given.

    Raises:
        UnsupportedNodeError: one that differs between samples, or earlier spikes.
    """
    start: dict[str, Array] = {}
    for name, value in given.items():
        what = cell.states.get(name)
        if what is None or value is None or (isinstance(value, Tensor) and value.numel() == 0):
            continue
        found = _same_for_all(value, shape, name, path)
        if what in ("u", "s") and not found.any():
            continue
        if what == "s" or (what == "u" and (cell.neuron.current_decay is None or not cell.carries_state)):
            refuse(path, f"its first call starts from a '{name}' that is not silent.", "Start from zeros.")
        start[f"{what}_init"] = found
    neuron = replace(cell.neuron, **start)  # type: ignore[arg-type]
    if "v_init" in start and neuron.spiking and neuron.reset_delay == 0 and (neuron.v_init > neuron.threshold).any():
        refuse(path, "it starts above its threshold, and frameworks differ in what a reset makes of that.")
    return replace(cell, neuron=neuron)


def _same_for_all(value: Any, shape: Shape, name: str, path: str) -> Array:
    if not isinstance(value, Tensor) or value.ndim <= len(shape):
        found = value
    elif value.numel() == int(np.prod(shape)):
        found = value.reshape(shape)
    else:
        found = value[0].reshape(shape) if value[0].numel() == int(np.prod(shape)) else value
        if not torch.equal(value, value[:1].expand_as(value)):
            refuse(path, f"its initial '{name}' differs from sample to sample.", "Start all samples alike.")
    return per_step(array(found), path, f"initial '{name}'", shape)
