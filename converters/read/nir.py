"""read_nir: a ``.nir`` file becomes a Network; everything the file leaves open is settled here and said aloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import networkx as nx
import numpy as np

from spikeport.converters.findings import Finding
from spikeport.converters.graph import delay_feedback, shape_order
from spikeport.converters.network import Edge, Input, Network, Neuron, Node, Shape
from spikeport.converters.passes.infer import infer, merged_shape, output_shape
from spikeport.converters.read.choose import Chosen, choose_dialect
from spikeport.converters.read.dialects import Dialect
from spikeport.converters.read.fields import Fields
from spikeport.converters.read.nir_file import RawFile, RawNode, read_file
from spikeport.converters.read.nodes import NEURON_TYPES, Place, known_fields, make_node, step_length
from spikeport.converters.read.own_record import NO_RECORD, OwnRecord, own_record
from spikeport.converters.read.subgraphs import FlatGraph, flatten_graph
from spikeport.converters.read.wanted import wanted_after
from spikeport.errors import DialectError


def read_nir(path: Path, dialect: str | None = None, dt: float | None = None) -> Network:
    """Read a NIR graph in the meaning of one framework.

    Args:
        path: the ``.nir`` file, of any version from 0.1.1 on.
        dialect: ``name`` or ``name:key=value,...`` (`spikeport.converters.read.dialects`). None: what spikeport wrote
            into the file itself, else inferred from patterns that only one framework writes, else ``nir``.
        dt: seconds per step; wins over the dialect's own. Naming either sets spikeport's own record aside.

    Returns:
        A Network with shapes inferred and checked; its findings say what was assumed.

    Raises:
        ModelError: an unreadable file, a graph without a clear meaning, parameters that make no sense.
        UnsupportedNodeError: a node type spikeport does not know.
        DialectError: an unknown dialect, or a dt that neither file nor user gives.
    """
    # Absurd numbers may overflow on the way; whatever is stored in the Network is checked to be finite.
    with np.errstate(all="ignore"):
        return _read(Path(path), dialect, dt)


def _read(path: Path, dialect: str | None, dt: float | None) -> Network:
    raw = read_file(path)
    flat = flatten_graph(raw.graph)
    own = own_record(raw, flat.nodes) if dialect is None and dt is None else NO_RECORD
    try:
        chosen = choose_dialect(flat.nodes, own.dialect or dialect, dt, speak=own.dialect is None)
    except DialectError:
        # A graph that is broken under every dialect should say so, not ask for a dt that would not help.
        _assemble(raw, flat, _ANY, own)
        raise
    return _assemble(raw, flat, chosen, own)


# Exponential decays take any time constant.
_ANY = Chosen(Dialect("nir", dt=1e-3, decay="exp"), ())


@dataclass(frozen=True)
class _Surroundings:
    """The flat graph with its feedback settled."""

    edges: tuple[Edge, ...]
    order: tuple[str, ...]
    follow: Mapping[str, tuple[str, ...]]
    recurrent: frozenset[str]


def _assemble(raw: RawFile, flat: FlatGraph, chosen: Chosen, own: OwnRecord) -> Network:
    around = _surroundings(flat, chosen)
    nodes: dict[str, Node] = {}
    shapes: dict[str, Shape] = {}
    findings = [*flat.findings, *chosen.findings, *own.findings]
    for name in around.order:
        sources = [(e.source, shapes[e.source]) for e in around.edges if e.target == name and e.source in shapes]
        shape = merged_shape(name, sources) or ()
        place = Place(
            Fields(name, flat.nodes[name]),
            shape,
            # A file as spikeport wrote it means its shapes literally; others may count batch and time.
            wanted_after(name, flat.nodes, around.follow) if own.edges is None else None,
            chosen.dialect,
            name in around.recurrent,
        )
        node, said = make_node(place)
        nodes[name] = own.neurons.get(name, node) if isinstance(node, Neuron) else node
        findings += [*said, *_unknown_fields(name, flat.nodes[name])]
        shapes[name] = output_shape(name, nodes[name], None if isinstance(node, Input) else shape)
    edges = around.edges if own.edges is None else own.edges
    network = Network(
        nodes,
        _later(edges, nodes, chosen) if own.edges is None else edges,
        shapes,
        chosen.dialect.dt or 1.0,
        str(chosen.dialect),
        raw.sha256,
        encode=own.encode,
        decode=own.decode,
    )
    inferred = infer(network)
    return replace(inferred.result, findings=(*findings, *inferred.findings))


def _surroundings(flat: FlatGraph, chosen: Chosen) -> _Surroundings:
    inputs = [n for n, node in flat.nodes.items() if node.type == "Input"]
    neurons = {n for n, node in flat.nodes.items() if node.type in NEURON_TYPES}
    delays = {n for n, node in flat.nodes.items() if node.type == "Delay" and _waits(n, node, chosen)}
    edges = delay_feedback(flat.links, inputs, neurons, delays, chosen.dialect.feedback == "neuron")
    follow: dict[str, tuple[str, ...]] = {}
    for edge in edges:
        follow[edge.source] = (*follow.get(edge.source, ()), edge.target)
    return _Surroundings(
        edges, shape_order(tuple(flat.nodes), edges, inputs), MappingProxyType(follow), _self_feeding(flat, neurons)
    )


def _waits(name: str, node: RawNode, chosen: Chosen) -> bool:
    """Whether a Delay node is of at least one step everywhere."""
    return bool((Fields(name, node).numbers("delay") / step_length(name, chosen.dialect)).round().min() >= 1)


def _self_feeding(flat: FlatGraph, neurons: set[str]) -> frozenset[str]:
    """Neurons with a path back to themselves through linear nodes: a framework's recurrent layer."""
    graph = nx.DiGraph(flat.links)
    found = set()
    for component in nx.strongly_connected_components(graph):
        inside = component & neurons
        if len(inside) == 1 and (len(component) > 1 or graph.has_edge(*inside, *inside)):
            found |= inside
    return frozenset(found)


def _later(edges: tuple[Edge, ...], nodes: Mapping[str, Node], chosen: Chosen) -> tuple[Edge, ...]:
    """Where spikes leave a neuron one step later (Spyx): every edge that leaves one waits at least that long."""
    least = chosen.dialect.output_delay
    return tuple(replace(e, delay=max(e.delay, least)) if isinstance(nodes[e.source], Neuron) else e for e in edges)


def _unknown_fields(name: str, node: RawNode) -> list[Finding]:
    unknown = sorted(set(node.fields) - known_fields(node.type))
    message = f"fields without a meaning for {node.type} are ignored: {', '.join(unknown)}."
    return [Finding("unknown-field", "warning", name, message, "Check the exporter.")] if unknown else []
