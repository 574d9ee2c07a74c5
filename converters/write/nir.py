"""write_nir: a Network becomes a ``.nir`` file that every NIR reader takes and that reads back here exactly equal.

NIR's own fields hold what the network's dialect would have written; what they cannot say (resets, delays, exact
decays) stands in metadata (`spikeport.converters.read.own_record`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from spikeport.converters.findings import Finding
from spikeport.converters.graph import delay_feedback, waiting_delays
from spikeport.converters.network import (
    Activation,
    Conv,
    Delay,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Network,
    Neuron,
    Node,
    Output,
    Pool,
    Scale,
    Shape,
)
from spikeport.converters.passes.infer import check
from spikeport.converters.read.dialects import Dialect, parse_dialect
from spikeport.converters.read.hdf5 import Field
from spikeport.converters.read.nir_file import RawNode
from spikeport.converters.read.own_record import FORMAT, RECORD, neuron_metadata, nodes_hash
from spikeport.converters.write.atomic import atomic_write
from spikeport.converters.write.extensions import extension, extensions_used
from spikeport.converters.write.neurons import neuron_fields
from spikeport.errors import OutputError, UnsupportedNodeError

# The version of the NIR format whose layout is written.
NIR_VERSION = "1.0.8"


def write_nir(network: Network, path: Path) -> tuple[Finding, ...]:
    """Write a Network as NIR; the file appears whole or not at all.

    Returns:
        What other readers of the file will not see.

    Raises:
        ModelError: the network is not consistent.
        UnsupportedNodeError: a node NIR has no word for.
        OutputError: the path cannot be written.
    """
    check(network)
    dialect = parse_dialect(network.dialect).dialect
    nodes: dict[str, RawNode] = {}
    findings: list[Finding] = []
    for name, node in network.nodes.items():
        nodes[name], said = _raw(name, node, network, dialect)
        findings += said
    head = {
        "format": FORMAT,
        "dialect": str(replace(dialect, dt=network.dt)),
        "edges": [[e.source, e.target, e.delay] for e in network.edges],
        "encode": network.encode,
        "decode": network.decode,
        "hash": nodes_hash(nodes),
    }
    _store(Path(path), nodes, network, json.dumps(head, sort_keys=True))
    return (*findings, *_delays_unsaid(network, dialect), *extensions_used(network))


def _delays_unsaid(network: Network, dialect: Dialect) -> tuple[Finding, ...]:
    """Delays on edges that a reader would not put there by itself."""
    links = [(e.source, e.target) for e in network.edges]
    usual = delay_feedback(
        links, network.inputs, network.neurons, waiting_delays(network), dialect.feedback == "neuron"
    )
    if {e: e.delay for e in usual} == {e: e.delay for e in network.edges} or dialect.output_delay:
        return ()
    message = "delays on its edges stand in spikeport's own metadata only; other readers will not see them."
    return (Finding("delays-in-metadata", "warning", "", message, "Use Delay nodes to tell everybody."),)


def _store(path: Path, nodes: Mapping[str, RawNode], network: Network, head: str) -> None:
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        _fill(file, nodes, network, head)
    with atomic_write(path) as target:
        target.write(buffer.getvalue())


def _fill(file: h5py.File, nodes: Mapping[str, RawNode], network: Network, head: str) -> None:
    text = h5py.string_dtype()
    file.create_dataset("version", data=NIR_VERSION, dtype=text)
    root = file.create_group("node")
    root.create_dataset("type", data="NIRGraph", dtype=text)
    pairs = np.array([[e.source, e.target] for e in network.edges], dtype=object).reshape(-1, 2)
    root.create_dataset("edges", data=pairs, dtype=text)
    _put(root.create_group("metadata"), {RECORD: head})
    group = root.create_group("nodes")
    for name, node in nodes.items():
        own = group.create_group(name)
        _put(own, {"type": node.type, **node.fields})
        if node.metadata:
            _put(own.create_group("metadata"), node.metadata)


def _put(group: h5py.Group, fields: Mapping[str, Field]) -> None:
    for name, value in fields.items():
        if isinstance(value, str):
            group.create_dataset(name, data=value, dtype=h5py.string_dtype())
        else:
            group.create_dataset(name, data=value)


def _raw(name: str, node: Node, network: Network, dialect: Dialect) -> tuple[RawNode, tuple[Finding, ...]]:
    if "/" in name or name in (".", ".."):
        raise OutputError(f"node '{name}' cannot be written: HDF5 takes '/' and '.' for folders. Rename the node.")
    before = network.into(name)
    shape = network.shapes[before[0].source] if before else network.shapes[name]
    if isinstance(node, Neuron):
        kind, fields, findings = neuron_fields(name, node, shape, dialect, network.dt)
        return RawNode(kind, fields, neuron_metadata(node)), findings
    if isinstance(node, Delay):
        unit = {"steps": 1.0, "seconds": network.dt, "seconds_dt": network.dt**2}[dialect.tau_unit]
        return RawNode("Delay", {"delay": np.broadcast_to(node.steps, shape) * unit}), ()
    special = extension(node)
    if special is not None:
        return RawNode(*special), ()
    if type(node) not in _WRITERS:
        raise UnsupportedNodeError(f"node '{name}' is a {type(node).__name__}, which NIR has no word for. {_way(node)}")
    kind, fields = _WRITERS[type(node)](node, shape)
    return RawNode(kind, fields), ()


def _way(node: Node) -> str:
    """What the user can do instead."""
    if isinstance(node, Activation | MaxPool):
        return "Convert the network to a spiking one first: spikeport convert MODEL --to spiking."
    return "Write the network before fold."


def _linear(node: Linear, shape: Shape) -> tuple[str, dict[str, Any]]:
    if node.bias is None:
        return "Linear", {"weight": node.weight}
    return "Affine", {"weight": node.weight, "bias": node.bias}


def _conv(node: Conv, shape: Shape) -> tuple[str, dict[str, Any]]:
    rank = len(node.stride)
    bias = np.zeros(node.weight.shape[0], node.weight.dtype) if node.bias is None else node.bias
    fields = {"weight": node.weight, "bias": bias, "groups": np.asarray(node.groups)}
    sizes = {"stride": node.stride, "padding": node.padding, "dilation": node.dilation, "input_shape": shape[1:]}
    # NIR's Conv1d takes plain integers, its Conv2d pairs.
    return f"Conv{rank}d", fields | {k: np.asarray(v if rank == 2 else v[0]) for k, v in sizes.items()}


def _pool(node: Pool, shape: Shape) -> tuple[str, dict[str, Any]]:
    fields = {"kernel_size": node.kernel, "stride": node.stride, "padding": node.padding}
    return "SumPool2d" if node.kind == "sum" else "AvgPool2d", {k: np.asarray(v) for k, v in fields.items()}


def _flatten(node: Flatten, shape: Shape) -> tuple[str, dict[str, Any]]:
    fields = {"start_dim": node.start, "end_dim": node.end, "input_type": shape}
    return "Flatten", {k: np.asarray(v) for k, v in fields.items()}


_WRITERS: Mapping[type, Callable[[Any, Shape], tuple[str, dict[str, Any]]]] = {
    Input: lambda node, shape: ("Input", {"shape": np.asarray(node.shape)}),
    Output: lambda node, shape: ("Output", {"shape": np.asarray(node.shape)}),
    Linear: _linear,
    Conv: _conv,
    Pool: _pool,
    Flatten: _flatten,
    Scale: lambda node, shape: ("Scale", {"scale": np.array(np.broadcast_to(node.factor, shape))}),
}
