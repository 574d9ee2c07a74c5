"""A trained network as a JSON record and as tables: what each layer does in discrete time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from rich.console import RenderableType
from scipy.sparse import csr_array

from spikeport.converters.network import (
    Activation,
    Conv,
    Delay,
    Embed,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Network,
    Neuron,
    Node,
    Output,
    Permute,
    Pool,
    Reshape,
    Scale,
    SigmaDelta,
    SparseMap,
)
from spikeport.deploy.report.tables import columns, facts

_NEURON_FIELDS = (
    "current_decay",
    "input_gain",
    "membrane_decay",
    "current_gain",
    "bias",
    "threshold",
    "v_reset",
    "v_min",
    "v_init",
    "u_init",
)


def network_record(network: Network) -> dict[str, Any]:
    """The network as plain JSON values; arrays as one number, or as their range and mean."""
    layers = [
        {
            "layer": name,
            "type": kind_of(node),
            "shape": list(network.shapes[name]),
            "parameters": parameters(node),
            "inputs": [e.source for e in network.into(name)],
            "details": details(node),
        }
        for name, node in network.nodes.items()
    ]
    return {
        "dialect": network.dialect,
        "dt": network.dt,
        "encode": network.encode,
        "decode": network.decode,
        "source_hash": network.source_hash,
        "parameters": sum(layer["parameters"] for layer in layers),
        "layers": layers,
        "delayed_edges": [
            {"source": e.source, "target": e.target, "delay": e.delay} for e in network.edges if e.delay > 0
        ],
        "findings": [f.as_dict() for f in network.findings],
    }


def kind_of(node: Node) -> str:
    """What a user would call the node."""
    match node:
        case Neuron(spiking=False):
            return "leaky integrator"
        case Neuron(current_decay=None):
            return "neuron"
        case Neuron():
            return "current-based neuron"
        case Conv(weight=weight):
            return f"conv {weight.ndim - 2}d"
        case Pool(kind=kind):
            return f"{kind} pool"
        case SparseMap():
            return "sparse linear"
        case Activation():
            return _activation_kind(node)
        case MaxPool():
            return "max pool"
        case SigmaDelta():
            return "sigma-delta"
        case _:
            return type(node).__name__.lower()


def _activation_kind(node: Activation) -> str:
    if node.ceiling is None:
        return "relu"
    return "clipped relu" if node.levels is None else "quantised relu"


def parameters(node: Node) -> int:
    """Trained numbers of a linear map; a neuron's constants are shown, not counted."""
    if isinstance(node, Neuron | Activation | SigmaDelta):
        return 0
    held = [getattr(node, field.name) for field in fields(node)]
    return sum(v.nnz if isinstance(v, csr_array) else v.size for v in held if isinstance(v, np.ndarray | csr_array))


def details(node: Node) -> dict[str, Any]:
    """The node's own numbers."""
    match node:
        case Neuron():
            return _neuron(node)
        case Linear(weight=weight, bias=bias):
            return {"weight": summary(weight), "bias": summary(bias)}
        case Conv(weight=weight, bias=bias):
            geometry = {k: list(getattr(node, k)) for k in ("stride", "padding", "dilation")}
            kernel = {"kernel": list(weight.shape[2:]), "groups": node.groups}
            return {"weight": summary(weight), "bias": summary(bias), **kernel, **geometry}
        case Pool() | MaxPool():
            return {k: list(getattr(node, k)) for k in ("kernel", "stride", "padding")}
        case Scale(factor=factor, bias=bias):
            return {"factor": summary(factor), "bias": summary(bias)}
        case Flatten():
            return {"start": node.start, "end": node.end}
        case Reshape(shape=shape):
            return {"to": list(shape)}
        case Permute(axes=axes):
            return {"axes": list(axes)}
        case Embed(shape=shape, offset=offset):
            return {"into": list(shape), "offset": list(offset)}
        case Activation(ceiling=ceiling, levels=levels):
            return {"ceiling": summary(ceiling), "levels": levels}
        case SigmaDelta(threshold=threshold, bias=bias):
            said = {k: getattr(node, k) for k in ("sums", "rectified", "sends_changes")}
            return {"threshold": summary(threshold), "bias": summary(bias), **said}
        case Delay(steps=steps):
            return {"steps": summary(steps)}
        case SparseMap(matrix=matrix, bias=bias):
            return {"weight": summary(matrix.data), "bias": summary(bias)}
        case Input() | Output():
            return {}


def summary(array: Any) -> Any:
    """None, one number where all are equal, else lowest, highest and mean."""
    if array is None:
        return None
    values = np.asarray(array, dtype=np.float64)
    if values.size == 0 or values.min() == values.max():
        return float(values.flat[0]) if values.size else None
    return {"min": float(values.min()), "max": float(values.max()), "mean": float(values.mean())}


def _neuron(node: Neuron) -> dict[str, Any]:
    return {
        **{field: summary(getattr(node, field)) for field in _NEURON_FIELDS},
        "spiking": node.spiking,
        "comparison": node.comparison,
        "reset": node.reset,
        "reset_delay": node.reset_delay,
        "reset_discards_input": node.reset_discards_input,
        "reset_carries": node.reset_carries,
        "max_spikes": node.max_spikes,
    }


def network_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The network for the terminal."""
    head = {"dialect": record["dialect"], "dt": f"{record['dt']:g} s", "parameters": record["parameters"]}
    head |= {key: record[key] for key in ("encode", "decode") if record[key]}
    names = {"layer": "layer", "type": "type", "shape": "shape", "parameters": "parameters", "note": "what it does"}
    rows = [layer | {"note": _note(layer["details"])} for layer in record["layers"]]
    tables: list[RenderableType] = [facts("network", head), columns("layers", rows, names)]
    if neurons := [_neuron_row(layer) for layer in record["layers"] if "spiking" in layer["details"]]:
        tables.append(columns("neurons, in discrete time", neurons, _shown(neurons)))
    if record["delayed_edges"]:
        names = {"source": "from", "target": "to", "delay": "steps"}
        tables.append(columns("recurrent and delayed edges", record["delayed_edges"], names))
    return tables


_NEURON_NAMES = {
    "layer": "layer",
    "current_decay": "current decay",
    "membrane_decay": "membrane decay",
    "input_gain": "input gain",
    "current_gain": "current gain",
    "bias": "bias",
    "threshold": "fires at",
    "reset": "reset",
    "max_spikes": "spikes per step",
    "v_min": "v at least",
    "v_init": "v at first",
}
_WHERE_SET = ("v_min", "v_init")


def _shown(neurons: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The columns of the table; bounds and starting values only where a neuron has one."""
    unset = {key for key in _WHERE_SET if all(row[key] in ("none", "0") for row in neurons)}
    return {key: heading for key, heading in _NEURON_NAMES.items() if key not in unset}


def _neuron_row(layer: Mapping[str, Any]) -> dict[str, str]:
    d = layer["details"]
    value = f" to {_short(d['v_reset'])}" if d["reset"] == "value" else ""
    when = ", next step" if d["reset_delay"] else ""
    return {
        "layer": layer["layer"],
        "current_decay": "none" if d["current_decay"] is None else _short(d["current_decay"]),
        "membrane_decay": _short(d["membrane_decay"]),
        "input_gain": _short(d["input_gain"]),
        "current_gain": _short(d["current_gain"]),
        "bias": _short(d["bias"]),
        "threshold": f"v {d['comparison']} {_short(d['threshold'])}" if d["spiking"] else "never",
        "reset": d["reset"] + value + when if d["spiking"] else "none",
        "max_spikes": "no limit" if d["max_spikes"] is None else str(d["max_spikes"]),
        "v_min": "none" if d["v_min"] is None else _short(d["v_min"]),
        "v_init": _short(d["v_init"]),
    }


def _note(details: Mapping[str, Any]) -> str:
    if "spiking" in details:
        return ""
    return ", ".join(f"{key} {_short(value)}" for key, value in details.items() if value is not None)


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value['min']:.4g} .. {value['max']:.4g}"
    if isinstance(value, list):
        return "×".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
