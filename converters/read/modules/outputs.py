"""What a module returns becomes the Network's outputs, one value per step; reductions over time are the decoder's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType

import networkx as nx
import torch

from spikeport.converters.findings import Finding
from spikeport.converters.network import Output, Shape
from spikeport.converters.read.modules.axes import Atom, MixedAxisError, step_shape
from spikeport.converters.read.modules.build import Builder, Series, View
from spikeport.converters.read.modules.flow import Flow
from spikeport.converters.read.modules.values import Value, refuse
from spikeport.errors import ModelError

Returned = Sequence[Sequence[Value | None]]
# Operations of which a last step can be taken back to the sum over steps that they were applied to.
_AFFINE = frozenset({"scale", "linear", "reshape", "permute", "readout"})


def attach_outputs(builder: Builder, returned: Returned) -> None:
    """Output nodes for everything returned that is no state and no part of the way to another output.

    Args:
        builder: gets the nodes.
        returned: per call of the module, per position, what was returned; None where it carries no signal.

    Raises:
        ModelError: nothing that is returned depends on the input.
    """
    signals, states = _sorted(returned)
    if not signals and not states:
        raise ModelError("nothing that the module returns depends on its input, as far as torch's functions show.")
    chosen = signals or states
    found = [(builder.flow_of(view), shape, last) for view, shape, last in map(_view, chosen)]
    builder.finish()
    kept = _last_ones(builder, found)
    for number, (flow, shape, last) in enumerate(kept, 1):
        name = builder.add("output" if len(kept) == 1 else f"output_{number}", Output(shape))
        builder.connect(builder.plain(flow, name), name)
        builder.findings += _about(name, flow, last)
    if signals and states:
        names = sorted({v.where for values in states for v in _states_of(values[-1])})
        message = f"states are returned, too ({', '.join(names)}); they are no outputs. Record them by name."
        builder.findings.append(Finding("states-not-outputs", "info", "", message))
    if len(kept) < len(found):
        message = f"{len(found) - len(kept)} returned signal(s) lead on to the output; record them by name."
        builder.findings.append(Finding("inner-signals-not-outputs", "info", "", message))


def _sorted(returned: Returned) -> tuple[list[list[Value]], list[list[Value]]]:
    """Returned signals and returned states, each with its value per call."""
    signals: list[list[Value]] = []
    states: list[list[Value]] = []
    seen: set[int] = set()
    for position in range(min(len(run) for run in returned)):
        values = [run[position] for run in returned]
        if any(v is None or v.kind == "const" for v in values) or id(values[-1]) in seen:
            continue
        seen.add(id(values[-1]))
        known = [v for v in values if v is not None]
        (states if any(True for _ in _states_of(known[-1])) else signals).append(known)
    return signals, states


def _states_of(value: Value) -> Iterator[Value]:
    """States that a value is made of; of a stack of steps the last says it all."""
    if value.kind == "state":
        yield value
    elif value.kind != "output":
        for part in value.inputs[-1:] if value.kind == "stack" else value.inputs:
            yield from _states_of(part)


def _view(values: Sequence[Value]) -> tuple[View, Shape, bool]:
    """One value per step: from several calls, from a sequence, or from what a loop added up; and whether it is the
    last step alone.
    """
    if len(values) > 1:
        return Series(tuple(values)), _shape(values[-1]), False
    whole = _whole(values[0])
    if whole is None:
        value = values[0]
        assert value.step is not None
        return Series((value,), value.step), _shape(value), True
    return whole, _shape(whole), False


def _shape(value: Value) -> Shape:
    try:
        return step_shape(value.dims)
    except MixedAxisError as error:
        return refuse(value.where, f"what it returns mixes time or batch into the data of one step ({error}).")


def _whole(value: Value) -> Value | None:
    """A value of the last step as one of all steps, where it is a sum over them or affine in one."""
    if value.step is None or value.kind in ("stack", "reduce"):
        return value
    parts = _added_up(value)
    if parts is not None:
        time = (Atom(len(parts), "time"),)
        tensor = torch.stack([part.tensor for part in parts])
        stack = Value("stack", tensor, (time, *value.dims), value.where, "stack", parts, MappingProxyType({"axis": 0}))
        how = MappingProxyType({"how": "sum", "axes": (0,)})
        return Value("reduce", value.tensor, value.dims, value.where, "sum", (stack,), how)
    if value.kind not in _AFFINE:
        return None
    (before,) = value.inputs
    source = _whole(before)
    return None if source is None else replace(value, inputs=(source,), step=None)


def _added_up(value: Value) -> tuple[Value, ...] | None:
    """y_0 .. y_last where a value is ((y_0 + y_1) + ...) + y_last, one per step."""
    parts: list[Value] = []
    current = value
    while current.kind == "add" and len(current.inputs) == 2 and set(current.params["signs"]) == {1.0}:
        a, b = current.inputs
        if _before(b, current):
            a, b = b, a
        if not _before(a, current):
            break
        parts.append(b)
        current = a
    if current.kind != "const":
        parts.append(current)
    elif bool(current.tensor.any()):
        return None
    parts.reverse()
    return tuple(parts) if len(parts) > 1 and [p.step for p in parts] == list(range(len(parts))) else None


def _before(part: Value, whole: Value) -> bool:
    return part.kind == "const" or (part.step is not None and whole.step is not None and part.step < whole.step)


def _last_ones(builder: Builder, found: list[tuple[Flow, Shape, bool]]) -> list[tuple[Flow, Shape, bool]]:
    """Without signals that only lead on to other outputs."""
    graph = nx.DiGraph(list(builder.edges))
    graph.add_nodes_from(builder.nodes)
    kept = []
    for i, (flow, shape, last) in enumerate(found):
        mine = {name for name, _ in flow.terms}
        after = set().union(*(nx.descendants(graph, name) for name in mine))
        others = [{n for n, _ in other.terms} for j, (other, _, _) in enumerate(found) if j != i]
        back = any(mine & set().union(*(nx.descendants(graph, n) for n in names)) for names in others if names & after)
        same_earlier = any(mine == {n for n, _ in other.terms} for other, _, _ in found[:i])
        if not same_earlier and (back or not any(names & after and names != mine for names in others)):
            kept.append((flow, shape, last))
    return kept or found[-1:]


def _about(name: str, flow: Flow, last: bool) -> list[Finding]:
    found = []
    if flow.reduced is not None:
        message = f"the module returns the {flow.reduced}; the network gives out every step."
        found.append(Finding("readout-left-to-decoder", "info", name, message, "Decode with --decode."))
    if last:
        message = "the module returns its last step; the network gives out every step."
        found.append(Finding("readout-left-to-decoder", "info", name, message, "Decode with --decode."))
    if not flow.terms:
        refuse(name, "what the module returns does not depend on its input.")
    return found
