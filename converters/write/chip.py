"""dequantized: an integer program back as a float Network, its weights, decays and thresholds those of the chip.

What it does in floats, in spikeport or in the framework that a user trained in, is what quantization alone does: no
rounding of states, no 24 bits, no pipeline. `write_nir` makes a file of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import initial_state, update
from spikeport.converters.chip_network import ChipNetwork, Population
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import (
    Conv,
    Delay,
    Edge,
    Flatten,
    Input,
    Linear,
    Network,
    Neuron,
    Node,
    Output,
    Reshape,
    Scale,
    Shape,
)
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.dialects import Dialect, parse_dialect
from spikeport.converters.read.neurons import neuron_of
from spikeport.converters.write.chip_maps import FloatConnection, float_connection, joined, unsaid
from spikeport.converters.write.chip_neurons import float_neuron, message_worth
from spikeport.converters.write.neurons import neuron_fields
from spikeport.errors import UnsupportedNodeError

Floats = NDArray[np.float64]


def dequantized(chip: ChipNetwork, dialect: str = "nir", input_unit: float = 1.0) -> Outcome[Network]:
    """The program in floats, on the trained network's clock.

    Args:
        chip: the program.
        dialect: in whose words its neurons are to be written; also decides which gains stand in the neurons rather
            than in the weights, as that framework has them.
        input_unit: what a payload of 1 is worth to the trained network (`spikeport.deploy.encode.unit`).

    Raises:
        UnsupportedNodeError: weights that cannot be written as a map.
        DialectError: no such dialect.
    """
    spoken = replace(parse_dialect(dialect).dialect, dt=chip.dt)
    work = _Builder(chip, spoken)
    connections = [
        float_connection(name, groups, *_ends(chip, groups[0].source, groups[0].target), input_unit)
        for name, groups in joined(tuple(chip.synapses.values())).items()
    ]
    heard = {c.target for c in connections}
    once = {n: _sent_once(p) for n, p in chip.populations.items() if p.model == "sigma_delta" and n not in heard}
    for name, population in chip.populations.items():
        if name not in once:
            into = [c for c in connections if c.target == name]
            constants = [_applied(c, once[c.source]) for c in into if c.source in once]
            work.add_population(population, [c for c in into if c.source not in once], constants)
    for name in chip.outputs:
        work.add_output(name)
    for name, groups in joined(tuple(chip.synapses.values())).items():
        work.findings += unsaid(name, groups)
    network = Network(work.nodes, tuple(dict.fromkeys(work.edges)), {}, chip.dt, str(spoken))
    inferred = infer(network)
    return Outcome(inferred.result, (*work.findings, *inferred.findings))


def _ends(chip: ChipNetwork, source: str, target: str) -> tuple[Population, Population]:
    return chip.populations[source], chip.populations[target]


def _sent_once(p: Population) -> Floats:
    """What a unit that hears nothing announces at its start, (n,) in trained units: the biases of others."""
    first = update(p, initial_state(p, 1), np.zeros((1, p.size), np.int64))
    return np.asarray(first.spikes[0] * message_worth(p), np.float64)


def _applied(c: FloatConnection, sent: Floats) -> Floats:
    match c.node:
        case Linear(weight):
            return np.asarray(weight @ sent, np.float64)
        case Scale(factor):
            return np.asarray(factor.reshape(-1) * sent, np.float64)
        case Conv():
            raise UnsupportedNodeError(f"{c.name}: biases through a convolution cannot be written.")


class _Builder:
    """Nodes and edges as they come."""

    def __init__(self, chip: ChipNetwork, dialect: Dialect) -> None:
        self.chip, self.dialect = chip, dialect
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.findings: list[Finding] = []
        graph = nx.DiGraph((s.source, s.target) for s in chip.synapses.values())
        loops = [loop for loop in nx.strongly_connected_components(graph) if len(loop) > 1]
        self.loop_of = {name: i for i, loop in enumerate(loops) for name in loop}

    def add_population(self, p: Population, into: Sequence[FloatConnection], constants: Sequence[Floats]) -> None:
        """The population's node, the maps before it, and what joins them; ``constants`` add to a unit's bias."""
        if p.model == "input":
            self.nodes[p.name] = Input(p.shape)
            return
        made = float_neuron(p)
        self.findings += made.findings
        node, gain, constant = made.node, np.ones(()), made.constant
        if isinstance(node, Neuron):
            node, gain = self._spoken(p, node)
        elif constants:
            total = np.add.reduce(constants).reshape(p.shape)
            node = replace(node, bias=(node.bias + total).astype(np.float32))
        for connection in into:
            mapped, constant = _with_constant(_scaled(connection, 1 / gain), constant / gain)
            constant = constant * gain
            self._connect(mapped, p.shape)
        if constant.any() and isinstance(node, Neuron):
            node = _biased(p, node, constant)
        self.nodes[p.name] = node

    def _spoken(self, p: Population, neuron: Neuron) -> tuple[Neuron, Floats]:
        """The neuron with the gains its dialect ties to its decays, and their product, (n,) or 0-d."""
        kind, fields, _ = neuron_fields(p.name, neuron, p.shape, self.dialect, self.chip.dt)
        seen = neuron_of(p.name, kind, fields, self.dialect, recurrent=False)
        product = np.asarray(np.float64(seen.input_gain) * seen.current_gain)
        gain = np.broadcast_to(product, p.shape).reshape(-1) if product.ndim else product
        return replace(neuron, input_gain=seen.input_gain, current_gain=seen.current_gain), gain

    def _connect(self, c: FloatConnection, shape: Shape) -> None:
        """source -> [Delay] -> [reshape] -> map -> [reshape] -> target."""
        source = self.chip.populations[c.source]
        last, steps = c.source, int(np.min(c.lag)) if isinstance(c.lag, int) else 0
        recurrent = c.source == c.target or self.loop_of.get(c.source, -1) == self.loop_of.get(c.target, -2)
        if not isinstance(c.lag, int) or (c.lag and not (c.lag == 1 and recurrent)):
            lag = c.lag if isinstance(c.lag, int) else c.lag.reshape(source.shape)
            last, steps = self._after(last, f"{c.name} delay", Delay(np.asarray(lag, np.int64)), 0), 0
        if c.takes != source.shape:
            last, steps = self._after(last, f"{c.name} in", _into(source.shape, c.takes), steps), 0
        last = self._after(last, c.name, c.node, steps)
        if c.gives != shape:
            last = self._after(last, f"{c.name} out", _into(c.gives, shape), 0)
        self.edges.append(Edge(last, c.target))

    def _after(self, last: str, name: str, node: Node, steps: int) -> str:
        """Put a node behind ``last``, under ``name`` or, where a population is called so, the next that is free."""
        free = name
        while free in self.nodes or free in self.chip.populations:
            free += "'"
        self.nodes[free] = node
        self.edges.append(Edge(last, free, steps))
        return free

    def add_output(self, population: str) -> None:
        """An Output that shows the population."""
        self._after(population, "output", Output(self.chip.populations[population].shape), 0)


def _into(given: Shape, wanted: Shape) -> Node:
    """Flatten where that is it, since every reader knows it; else Reshape."""
    return Flatten(0, -1) if len(wanted) == 1 and len(given) > 1 else Reshape(wanted)


def _scaled(c: FloatConnection, factor: Floats) -> FloatConnection:
    """The connection with each target neuron's input times ``factor``, 0-d or (n,)."""
    if np.all(factor == 1):
        return c
    match c.node:
        case Linear(weight):
            rows = factor if factor.ndim == 0 else factor[:, None]
            return replace(c, node=Linear((weight * rows).astype(np.float32)))
        case Scale(before):
            return replace(c, node=Scale((before * factor.reshape(factor.shape and c.gives)).astype(np.float32)))
        case Conv(weight):
            per_channel = factor if factor.ndim == 0 else factor.reshape(c.gives[0], -1)[:, 0]
            kernels = per_channel.reshape(-1, *[1] * (weight.ndim - 1)) if factor.ndim else factor
            return replace(c, node=replace(c.node, weight=(weight * kernels).astype(np.float32)))


def _with_constant(c: FloatConnection, constant: Floats) -> tuple[FloatConnection, Floats]:
    """The connection with the constant as its bias, as far as it has a place for it, and what is left."""
    if not constant.any() or c.source == c.target:
        return c, constant
    if isinstance(c.node, Linear):
        return replace(c, node=replace(c.node, bias=constant.astype(np.float32))), np.zeros_like(constant)
    if isinstance(c.node, Conv):
        per_channel = constant.reshape(c.gives[0], -1)
        if not np.ptp(per_channel, axis=1).any():
            return replace(c, node=replace(c.node, bias=per_channel[:, 0].astype(np.float32))), np.zeros_like(constant)
    return c, constant


def _biased(p: Population, neuron: Neuron, constant: Floats) -> Neuron:
    """The constant as a bias of v, for which it has to have passed the current: c / (1 - a), and -that on its start."""
    a = np.zeros(()) if neuron.current_decay is None else np.float64(neuron.current_decay)
    settled = constant.reshape(p.shape) / (1 - a)
    start = -settled / np.float64(neuron.current_gain) if neuron.current_decay is not None else np.zeros(())
    bias = (neuron.bias + settled).astype(np.float32)
    return replace(neuron, bias=bias, u_init=np.asarray(start, np.float32))
