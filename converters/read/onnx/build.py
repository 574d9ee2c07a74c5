"""A Network under construction: which ONNX values are which nodes, and what was found on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

import numpy as np

from spikeport.converters.findings import Finding
from spikeport.converters.network import Activation, Array, Edge, Node, Scale, Shape
from spikeport.converters.passes.infer import output_shape
from spikeport.converters.read.onnx.constants import Budget
from spikeport.converters.read.onnx.graph import OnnxGraph, OnnxNode
from spikeport.converters.read.onnx.names import Names
from spikeport.converters.read.onnx.tensors import Values
from spikeport.errors import ModelError


@dataclass(frozen=True)
class Signal:
    """A value that depends on the input.

    Attributes:
        sources: the Network's nodes whose outputs add up to it.
        shape: of one sample.
        label: what a node for the sum of several sources would be called.
        nonnegative: nothing in it is below zero.
        steps: the Activation whose levels its values still have, if they have any.
        shared: somebody else reads it, too; then its source cannot be changed.
        ended: a softmax or argmax behind it was left out; what follows is left out, too.
    """

    sources: tuple[str, ...]
    shape: Shape
    label: str = ""
    nonnegative: bool = False
    steps: Activation | None = None
    shared: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Integers:
    """What a QuantizeLinear made of a signal; only a DequantizeLinear of the same steps may read it.

    Attributes:
        signal: as it comes back.
        scale, zero: the QuantizeLinear's own; zero is None where it is absent.
    """

    signal: Signal
    scale: Values | None
    zero: Values | None


Value: TypeAlias = "Values | Signal | Integers"


@dataclass
class Build:
    """The Network so far.

    Attributes:
        graph: what is read.
        batch: size of the batch axis in every signal of the graph.
        names: hands out names.
        values: what each ONNX value is.
        origins: the initialiser that a constant was made of.
        ending: values that only a softmax, an argmax or an output reads.
        quantized: weights that were stored as integers.
        budget: how much may still be computed.
    """

    graph: OnnxGraph
    batch: int
    names: Names
    values: dict[str, Value] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    ending: frozenset[str] = frozenset()
    quantized: list[str] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._uses = self.graph.consumers()

    # ---- what a node is given -------------------------------------------------------------------------------------

    def value(self, name: str) -> Value | None:
        """What an ONNX value is; None where there is none of that name (yet)."""
        found = self.values.get(name)
        return self.graph.tensors[name] if found is None and name in self.graph.tensors else found

    def signals(self, node: OnnxNode) -> list[int]:
        """Which inputs of a node depend on the network's input."""
        return [k for k, name in enumerate(node.inputs) if isinstance(self.values.get(name), Signal | Integers)]

    def signal(self, node: OnnxNode, index: int = 0) -> Signal:
        """Input ``index``, which must depend on the network's input."""
        name = node.given(index)
        value = self.value(name)
        if not isinstance(value, Signal):
            what = "absent" if value is None else "quantized" if isinstance(value, Integers) else "a constant"
            raise ModelError(f"{node}: its input {index + 1} is {what}, but must come from the network's input.")
        if self.is_shared(name):
            value = replace(self._joined(value), shared=True)
            self.values[name] = value
        return value

    def constant(self, node: OnnxNode, index: int) -> Values | None:
        """Input ``index`` as numbers; None where it is absent."""
        name = node.given(index)
        value = self.value(name)
        if isinstance(value, Signal | Integers):
            raise ModelError(f"{node}: its input '{name}' depends on the network's input, but must be a constant.")
        return value

    def weights(self, node: OnnxNode, index: int) -> Array:
        """Input ``index`` as floats; float64 stays, everything else is float32.

        Raises:
            ModelError: it is absent, no constant, or not finite.
        """
        found = self.constant(node, index)
        if found is None:
            raise ModelError(f"{node} has no input {index + 1}. Export the model again.")
        return floats(node, found)

    def per_sample(self, node: OnnxNode, values: Array, shape: Shape) -> Array:
        """A constant that meets a signal of ``shape``, without its batch axis."""
        if values.ndim == len(shape) + 1 and values.shape[0] == 1:
            values = values[0]
        try:
            fits = np.broadcast_shapes(values.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise ModelError(f"{node} meets {shape} with a constant of shape {values.shape}, which would change it.")
        return values

    def origin(self, node: OnnxNode, index: int) -> str:
        """The initialiser behind input ``index``."""
        return self.origins.get(node.given(index), node.given(index))

    # ---- what becomes of it ---------------------------------------------------------------------------------------

    def add(self, name: str, node: Node, given: Signal, *, nonnegative: bool = False, keeps: bool = False) -> Signal:
        """Put a node behind a signal.

        Args:
            name: unique.
            node: complete.
            given: its input.
            nonnegative: of what it gives.
            keeps: it only moves values, or picks some, and puts zeros beside them.
        """
        _check_finite(name, node)
        shape = output_shape(name, node, given.shape)
        self.nodes[name] = node
        self.edges += [Edge(source, name) for source in given.sources]
        if keeps:
            return Signal((name,), shape, name, given.nonnegative, given.steps)
        return Signal((name,), shape, name, nonnegative, node if isinstance(node, Activation) else None)

    def sum_of(self, node: OnnxNode, given: Sequence[Signal]) -> Signal:
        """Several signals added up; edges that meet at a node are summed, so no node is needed."""
        shape = given[0].shape
        if any(other.shape != shape for other in given):
            shapes = " and ".join(str(other.shape) for other in given)
            raise ModelError(f"{node} joins signals of different shapes {shapes}; only equal ones are added.")
        label = self.names.of(node)
        sources = [source for signal in given for source in signal.sources]
        whole = tuple(self._times(source, sources.count(source), shape) for source in dict.fromkeys(sources))
        return Signal(whole, shape, label, all(signal.nonnegative for signal in given))

    def _times(self, source: str, times: int, shape: Shape) -> str:
        """The source, or a node that multiplies it: an edge stands for one summand."""
        if times == 1:
            return source
        name = self.names.unique(f"{source} times {times}")
        return self.add(name, Scale(np.array(times, np.float32)), Signal((source,), shape)).sources[0]

    def _joined(self, signal: Signal) -> Signal:
        """A sum that several nodes read gets a node of its own."""
        if len(signal.sources) == 1:
            return signal
        one = self.add(signal.label, Scale(np.ones((), np.float32)), signal, keeps=True)
        return replace(one, ended=signal.ended)

    def is_shared(self, name: str) -> bool:
        """Whether several nodes read an ONNX value."""
        return self._uses[name] > 1

    def own(self, signal: Signal) -> Node | None:
        """The one node behind a signal that nobody else reads: it may be replaced by a better one."""
        return self.nodes[signal.sources[0]] if len(signal.sources) == 1 and not signal.shared else None

    def say(self, code: str, name: str, message: str, advice: str = "") -> None:
        """Note something the user should know; a warning where there is advice."""
        self.findings.append(Finding(code, "warning" if advice else "info", name, message, advice))


def floats(node: OnnxNode, values: Values) -> Array:
    """Weights as floats.

    Raises:
        ModelError: numbers that are NaN or infinite.
    """
    found: Array = values.astype(np.float64 if values.dtype == np.float64 else np.float32)
    if not np.all(np.isfinite(found)):
        bad = int(np.sum(~np.isfinite(found)))
        raise ModelError(f"{node}: {bad} of its {found.size} weights are NaN or infinite. Train or export it again.")
    return found


def _check_finite(name: str, node: Node) -> None:
    arrays = {f.name: getattr(node, f.name) for f in fields(node)}
    for what, array in arrays.items():
        if isinstance(array, np.ndarray) and not np.all(np.isfinite(array)):
            raise ModelError(f"{name}: its {what} has values that are NaN or infinite. Train or export it again.")
