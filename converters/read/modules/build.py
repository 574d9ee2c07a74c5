"""Traced values become nodes and edges; what happened at every time step becomes one node with delays.

A *view* of a signal is one value that covers all steps, or a series with one value per step. Two steps' values belong
to one node if the same operation with the same parameters made them; a series that starts with silence is the same
signal later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from spikeport.converters.findings import Finding
from spikeport.converters.network import Array, Edge, Input, Linear, Neuron, Node, Scale
from spikeport.converters.read.modules.axes import MixedAxisError, step_shape
from spikeport.converters.read.modules.emit import MAKERS, Place
from spikeport.converters.read.modules.flow import Flow
from spikeport.converters.read.modules.leaf import Leaf
from spikeport.converters.read.modules.values import Value, refuse, same_operation, silent


@dataclass(frozen=True)
class Series:
    """One value per step from step ``start`` on."""

    values: tuple[Value, ...]
    start: int = 0


View = Value | Series


@dataclass
class Builder:
    """The network while it is being put together; discarded afterwards.

    Attributes:
        nodes, edges: what there is so far; an edge's value is its delay.
        findings: what is worth knowing.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[tuple[str, str], int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _inputs: dict[str, str] = field(default_factory=dict)
    _neurons: dict[Leaf, str] = field(default_factory=dict)
    _twins: dict[Leaf, str] = field(default_factory=dict)
    _waiting: list[tuple[str, View, Leaf]] = field(default_factory=list)
    _known: dict[Value, tuple[Flow, int | None]] = field(default_factory=dict)
    _open: dict[Value, str] = field(default_factory=dict)
    _summands: dict[Value, Value] = field(default_factory=dict)
    _made_of: dict[str, tuple[Flow, ...]] = field(default_factory=dict)

    # Nodes and edges -------------------------------------------------------------------------------------------------

    def add(self, name: str, node: Node) -> str:
        """Put a node in under its name, numbered where the name is taken."""
        free, number = name, 1
        while free in self.nodes or free in self._open.values():
            number += 1
            free = f"{name}_{number}"
        self.nodes[free] = node
        return free

    def connect(self, flow: Flow, target: str, later: int = 0) -> None:
        """Lead a flow without a constant into a node; a second edge from the same node goes through a copy."""
        for source, delay in flow.terms:
            if (source, target) in self.edges:
                copy = self.add(f"{source}.again", Scale(_one()))
                self.edges[source, copy] = delay
                source, delay = copy, 0
            self.edges[source, target] = delay + later

    def through(self, name: str, node: Node, flow: Flow) -> Flow:
        """A flow that passes a node."""
        free = self.add(name, node)
        self.connect(self.plain(flow, name), free)
        return Flow(((free, 0),), reduced=flow.reduced)

    def plain(self, flow: Flow, name: str) -> Flow:
        """The same flow without a constant: it goes through a Scale that adds it."""
        if flow.bias is None or not flow.bias.any():
            return replace(flow, bias=None)
        if not flow.terms:
            refuse(name, "it receives nothing but a constant.", "Leave it out, or make the constant a bias.")
        return self.through(f"{name}.constant", Scale(_one(), flow.bias), replace(flow, bias=None))

    # Values ----------------------------------------------------------------------------------------------------------

    def flow_of(self, view: View) -> Flow:
        """The nodes behind a view.

        Raises:
            UnsupportedNodeError: naming the module and what it does.
        """
        try:
            return self._whole(view) if isinstance(view, Value) else self._series(view)
        except MixedAxisError as error:
            head = view if isinstance(view, Value) else view.values[-1]
            return refuse(head.where, f"'{head.kind}' mixes time or batch into the data of one step ({error}).")

    def _whole(self, value: Value) -> Flow:
        if value in self._known:
            return self._known[value][0]
        pinned = self._pinned(value)
        if pinned is not None:
            if pinned[1] is not None:
                refuse(value.where, f"what step {pinned[1]} gave is used at every step.")
            return pinned[0]
        if value.kind == "const":
            return Flow(constant=value.tensor)
        if value.kind == "stack" and _along_time(value):
            return self._series(Series(value.inputs))
        return self._operation((value,), value, tuple(value.inputs), None)

    def _series(self, view: Series) -> Flow:
        """The nodes behind one value per step."""
        view = self._evened(view)
        values = view.values
        lasting = len(values) == 1 and values[0].step is None
        if lasting or (len(values) > 1 and all(v is values[0] for v in values)):
            return self._static(values[0])
        first = next((i for i, v in enumerate(values) if v.kind != "const"), None)
        if first is None:
            return self._constants(values)
        head = values[first]
        at = view.start + first
        pinned = self._pinned(head)
        if pinned is not None and pinned[1] is not None:
            return self._late(view, first, [self._pinned(v) for v in values[first:]])
        if head in self._known and (self._known[head][1] or 0) <= at:
            return self._late(view, first, [self._again(head, v, i) for i, v in enumerate(values[first:])])
        return self._new(view, first)

    def _evened(self, view: Series) -> Series:
        """First steps that add nothing yet where later ones add something: as if they added zero."""
        last = view.values[-1]
        if last.kind != "add" or all(v.kind == "add" for v in view.values):
            return view
        for value in view.values:
            if value.kind not in ("add", "const") and value not in self._summands:
                self._summands[value] = _padded(value, last)
        return replace(view, values=tuple(self._summands.get(v, v) for v in view.values))

    def _static(self, value: Value) -> Flow:
        if value.step is not None and value.kind != "const":
            refuse(value.where, f"what step {value.step} gave is used again at every step.")
        return self._whole(value)

    def _constants(self, values: Sequence[Value]) -> Flow:
        if any(not torch.equal(v.tensor, values[0].tensor) for v in values):
            refuse(values[0].where, "a constant changes from step to step.", "Make it one of the inputs.")
        return Flow(constant=values[0].tensor)

    def _late(self, view: Series, first: int, found: Sequence[tuple[Flow, int | None] | None]) -> Flow:
        """A series of values that have nodes already: each must be the same nodes, equally late, after silence."""
        head = view.values[first]
        assert found[0] is not None
        flow, own = found[0]
        late = view.start + first - (own or 0)
        for i, item in enumerate(found):
            if item is None or not item[0].same_as(flow) or view.start + first + i - (item[1] or 0) != late:
                refuse(head.where, "what it receives comes from different places, or delays, at different steps.")
        if late < 0 or not all(silent(v) for v in view.values[:first][: max(late - view.start, 0)]):
            refuse(head.where, f"'{head.where}' is preceded by a constant that is not zero.", "Start from silence.")
        return flow.later(late)

    def _again(self, head: Value, value: Value, later: int) -> tuple[Flow, int | None] | None:
        """A later value of a node that exists: known, or made by the same operation from the same nodes."""
        if value in self._known:
            return self._known[value]
        flow, own = self._known[head]
        made_of = self._made_of.get(flow.terms[0][0]) if len(flow.terms) == 1 else None
        if made_of is None or not same_operation(head, value):
            return None
        step = (own or 0) + later
        parts = [self._series(Series((v,), step)) for v in value.inputs]
        if len(parts) != len(made_of) or not all(a.same_as(b) for a, b in zip(parts, made_of, strict=True)):
            return None
        self._known[value] = (flow, step)
        return flow, step

    def _new(self, view: Series, first: int) -> Flow:
        """A node for an operation that was carried out at every step, or from some step on."""
        values = view.values
        head = values[first]
        for value in values[first:]:
            if not same_operation(head, value):
                refuse(head.where, f"'{head.kind}' changes from step to step: other parameters, or another operation.")
        if first and not _replayed(head, values[:first]):
            if not all(silent(v) for v in values[:first]):
                refuse(head.where, "its signal starts from a constant that is not zero.", "Start from silence.")
            return self._series(Series(values[first:], view.start)).later(first)
        silence = Value("const", torch.zeros(()), ())
        parts = tuple(
            Series((silence,) * first + tuple(v.inputs[i] for v in values[first:]), view.start)
            for i in range(len(head.inputs))
        )
        return self._operation(values[first:], head, parts, view.start + first)

    def _operation(self, values: Sequence[Value], head: Value, parts: Sequence[View], at: int | None) -> Flow:
        """The node of one operation. Its name is reserved first, for loops that lead back to it."""
        self._open[head] = reserved = self.add(head.name or head.kind, Scale(_one()))
        del self.nodes[reserved]
        for i, value in enumerate(values):
            self._known[value] = (Flow(((reserved, 0),)), None if at is None else at + i)
        flows = tuple(self.flow_of(part) for part in parts)
        del self._open[head]
        looped = any(reserved in edge for edge in self.edges) or any(n == reserved for f in flows for n, _ in f.terms)
        # The last step shows best what its axes are: the first ones may have been made from constants.
        made = MAKERS[head.kind](Place(self, values[-1], reserved, flows))
        if looped and made.terms != ((reserved, 0),):
            made = self._kept(reserved, made)
        for i, value in enumerate(values):
            self._known[value] = (made, None if at is None else at + i)
        if len(made.terms) == 1:
            self._made_of.setdefault(made.terms[0][0], flows)
        return made

    def _kept(self, name: str, flow: Flow) -> Flow:
        """A sum that something refers to by name: it becomes a node."""
        flow = self.plain(flow, name)
        self.nodes[name] = Scale(_one())
        self.connect(flow, name)
        return Flow(((name, 0),))

    # Ends ------------------------------------------------------------------------------------------------------------

    def _pinned(self, value: Value) -> tuple[Flow, int | None] | None:
        """Values whose node is given: inputs and neurons, with the step they belong to."""
        match value.kind:
            case "input":
                return Flow(((self._input(value), 0),)), value.step
            case "output":
                return Flow(((self.neuron(value.params["leaf"]), 0),)), value.step
            case "feedback":
                leaf = value.params["leaf"]
                return Flow(((self.neuron(leaf), int(leaf.cell.feedback == "neuron")),)), None
            case "state":
                return Flow(((self.membrane(value), 0),)), value.step
            case "select":
                return self._selected(value)
            case _:
                return None

    def _selected(self, value: Value) -> tuple[Flow, int | None] | None:
        source, axis = value.inputs[0], value.params["axis"]
        roles = {atom.role for a in source.dims[axis] for atom in a.leaves()}
        if roles == {"time"}:
            return self._whole(source), None if source.tensor.shape[axis] == 1 else int(value.params["index"])
        if source.tensor.shape[axis] == 1:
            return None
        return refuse(value.where, "it picks one slice of an axis that is not time.", "Keep all of it.")

    def _input(self, value: Value) -> str:
        key = value.params["name"]
        if key not in self._inputs:
            self._inputs[key] = self.add(key, Input(step_shape(value.dims)))
        return self._inputs[key]

    def neuron(self, leaf: Leaf) -> str:
        """The node of a neuron module; what it receives is resolved later, since loops may lead through it."""
        if leaf not in self._neurons:
            self._neurons[leaf] = name = self.add(leaf.path or "neuron", leaf.cell.neuron)
            self._waiting.append((self._entrance(leaf, name), self._received(leaf), leaf))
            self.findings += leaf.cell.findings
        return self._neurons[leaf]

    def _entrance(self, leaf: Leaf, name: str) -> str:
        """Where its input goes: to the neuron itself, or to filters whose sums it receives."""
        if leaf.cell.synapses is None:
            return name
        filters, sums = leaf.cell.synapses
        entrance = self.add(f"{name}.synapses", filters)
        summed = self.add(f"{name}.sums", Linear(sums))
        self.edges |= {(entrance, summed): 0, (summed, name): 0}
        return entrance

    def _received(self, leaf: Leaf) -> View:
        return leaf.inputs[0] if leaf.whole else Series(tuple(leaf.inputs))

    def membrane(self, value: Value) -> str:
        """A neuron that gives the membrane of another as its output: possible where spikes do not change it."""
        leaf: Leaf = value.params["leaf"]
        neuron = leaf.cell.neuron
        if value.params["field"] != "v":
            refuse(leaf.path, f"its state '{value.params['name']}' is used as a signal.", "Use its spikes.")
        if not neuron.spiking:
            return self.neuron(leaf)
        if neuron.reset != "none":
            refuse(
                leaf.path,
                "its membrane is used as a signal, and its spikes reset it; a Network gives out spikes.",
                "Use its spikes, or build it without reset.",
            )
        if leaf not in self._twins:
            twin: Neuron = replace(neuron, spiking=False, max_spikes=1)
            self._twins[leaf] = name = self.add(f"{leaf.path or 'neuron'}.membrane", twin)
            self._waiting.append((name, self._received(leaf), leaf))
        return self._twins[leaf]

    def finish(self) -> None:
        """Resolve what every neuron receives, until nothing new turns up."""
        while self._waiting:
            name, view, leaf = self._waiting.pop(0)
            self.connect(self.plain(self.flow_of(view), name), name)
            if leaf.fed_back is not None:
                late = int(leaf.cell.feedback == "target")
                self.connect(self.plain(self.flow_of(leaf.fed_back), name), name, later=late)

    def sorted_edges(self) -> tuple[Edge, ...]:
        """All edges, in the Network's order."""
        return tuple(Edge(a, b, d) for (a, b), d in sorted(self.edges.items()))


def _along_time(stack: Value) -> bool:
    return {atom.role for a in stack.dims[stack.params["axis"]] for atom in a.leaves()} == {"time"}


def _padded(value: Value, pattern: Value) -> Value:
    """``value`` as the one summand that it is of ``pattern``, the others silent."""
    silence = Value("const", torch.zeros(()), ())
    for i, part in enumerate(pattern.inputs):
        if same_operation(part, value):
            inputs = tuple(value if j == i else silence for j in range(len(pattern.inputs)))
            return replace(pattern, tensor=value.tensor, inputs=inputs, step=value.step)
    return value


def _replayed(head: Value, constants: Sequence[Value]) -> bool:
    """Whether constants are what the operation makes of silence: its bias, say."""
    if head.replay is None:
        return False
    silent_result = head.replay()
    try:
        return all(
            torch.equal(v.tensor.to(silent_result.device).broadcast_to(silent_result.shape), silent_result)
            for v in constants
        )
    except RuntimeError:
        return False


def _one() -> Array:
    return np.ones((), np.float32)
