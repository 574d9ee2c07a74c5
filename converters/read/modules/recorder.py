"""A neuron module was called: its cell is read once, every call is recorded, its states are tagged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor

from spikeport.converters.read.modules.axes import fresh
from spikeport.converters.read.modules.cells import Map
from spikeport.converters.read.modules.frameworks import Found
from spikeport.converters.read.modules.leaf import (
    Leaf,
    LeafCall,
    attributes,
    generic_step,
    lay_out,
    tensors_in,
    with_start,
)
from spikeport.converters.read.modules.tags import Tags
from spikeport.converters.read.modules.values import Value, refuse


class Observer(Protocol):
    """The tracer, as far as neurons need it. Maps around a neuron are called in its sight."""

    tags: Tags
    leaves: dict[str, Leaf]

    def aside(self) -> AbstractContextManager[None]:
        """What happens inside is not looked at."""

    def value_of(self, given: Any) -> Value:
        """A tagged tensor's value, or a constant."""


def finish(observer: Observer, call: LeafCall, found: Found, out: Any) -> None:
    """Record a call of a neuron module that has ended.

    Raises:
        UnsupportedNodeError: settings or states that no Network can say.
    """
    with observer.aside():
        source = observer.tags.value(call.signal, call.path)
        given = [t for _, t in tensors_in(out)]
        outputs = given if isinstance(out, list) else given[:1]
    # A neuron that takes single steps may receive constants at first: what is fed to it may come later.
    if found.entry.read is None or (source is None and found.entry.leading(call.module) > 1):
        why = found.entry.note if source is not None else "it receives nothing that depends on the input"
        params = MappingProxyType({"what": f"it is {found.framework}'s {found.name}: {why}"})
        for tensor in given:
            observer.tags.tag(tensor, Value("unknown", tensor, fresh(tensor.shape), call.path, params=params))
        return
    leaf = observer.leaves.get(call.path) or _read(observer, call, found, outputs[0])
    _check_states(observer, leaf, call)
    _record(observer, leaf, call, outputs)
    with observer.aside():
        _tag_states(observer.tags, leaf, call, out)


def _read(observer: Observer, call: LeafCall, found: Found, output: Tensor) -> Leaf:
    """The cell of a module, from its first call."""
    assert found.entry.read is not None
    with observer.aside():
        shape = tuple(output.shape[found.entry.leading(call.module) :])
        cell = found.entry.read(call.path, call.module, shape)
        for name, given in call.arguments.items():
            if name in cell.states and isinstance(given, Tensor) and observer.tags.value(given, call.path):
                refuse(call.path, f"its initial '{name}' depends on the input.", "Start from constants.")
        cell = with_start(cell, {**call.held, **call.arguments}, shape, call.path)
    leaf = Leaf(call.path, cell, shape)
    observer.leaves[call.path] = leaf
    if cell.recurrent is not None:
        silence, dims = generic_step(shape, output.device)
        params = MappingProxyType({"leaf": leaf})
        observer.tags.tag(silence, Value("feedback", silence, dims, call.path, params=params))
        sent = silence if cell.after is None else cell.after(silence)
        leaf.fed_back = observer.value_of(cell.recurrent(sent))
    return leaf


def _record(observer: Observer, leaf: Leaf, call: LeafCall, outputs: list[Tensor]) -> None:
    """One call: what arrived, and what left."""
    cell, step = leaf.cell, None if leaf.whole else len(leaf.inputs)
    received = observer.value_of(call.signal if cell.before is None else cell.before(call.signal))
    dims = lay_out(cell, received.dims, leaf.path)
    if leaf.whole and leaf.inputs:
        refuse(leaf.path, "it takes whole sequences and is called twice.", "Use one module for each place.")
    leaf.inputs.append(received)
    left = received.dims if cell.synapses is None else (*received.dims[:-1], *fresh(leaf.shape))
    params = MappingProxyType({"leaf": leaf})
    made = Value("output", outputs[0], left, leaf.path, leaf.path, params=params, step=step)
    leaf.outputs.append(made)
    if len(outputs) > 1:
        for i, tensor in enumerate(outputs):
            observer.tags.tag(tensor, replace(made, tensor=tensor, dims=dims[1:], step=i))
    elif cell.readout is not None:
        over = MappingProxyType({"how": cell.readout, "axes": (0,)})
        observer.tags.tag(outputs[0], Value("reduce", outputs[0], dims[1:], leaf.path, leaf.path, (made,), over))
    else:
        _send(observer, made, outputs[0], cell.after)


def _send(observer: Observer, made: Value, output: Tensor, after: Map | None) -> None:
    if after is None:
        observer.tags.tag(output, made)
        return
    with observer.aside():
        raw = torch.empty_like(output)
        observer.tags.tag(raw, replace(made, tensor=raw))
    sent = observer.value_of(after(raw))
    observer.tags.tag(output, replace(sent, tensor=output))


def _check_states(observer: Observer, leaf: Leaf, call: LeafCall) -> None:
    """From its second call on, a neuron has to be given the state that it returned."""
    calls = len(leaf.inputs)
    if leaf.whole or not calls:
        return
    given = {k: v for k, v in call.arguments.items() if k in leaf.cell.states and isinstance(v, Tensor)}
    if not given and not leaf.cell.carries_state:
        refuse(leaf.path, f"its call {calls} is without the state of the one before: it starts afresh.", "Pass it on.")
    for name, tensor in given.items():
        with observer.aside():
            value = observer.tags.value(tensor, leaf.path)
        if value is None or value.step != calls - 1 or value.params.get("leaf", leaf) is not leaf:
            refuse(leaf.path, f"its call {calls} is not given its own last '{name}'.", "Pass on what it returned.")


def _tag_states(tags: Tags, leaf: Leaf, call: LeafCall, out: Any) -> None:
    """Everything else that came out, or that the module now holds, is its state."""
    made = leaf.outputs[-1]
    for name, tensor in _states(call, out):
        if tags.has(tensor) or tags.parameter(tensor) or tensor.numel() == 0:
            continue
        held = (leaf.cell.states[k] for k, v in attributes(call.module) if v is tensor and k in leaf.cell.states)
        field = leaf.cell.states.get(name) or next(held, None)
        params = MappingProxyType({"leaf": leaf, "field": field, "name": name})
        dims = made.dims if tensor.shape == made.tensor.shape else fresh(tensor.shape)
        tags.tag(tensor, Value("state", tensor, dims, leaf.path, leaf.path, params=params, step=made.step))


def _states(call: LeafCall, out: Any) -> Iterator[tuple[str, Tensor]]:
    yield from tensors_in(out)
    for name, held in attributes(call.module):
        if id(held) not in call.known:
            yield from tensors_in(held, name)
