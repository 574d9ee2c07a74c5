"""Running a conventional network on data: its answers, and how large its activations become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Activation, Edge, Network, Output
from spikeport.converters.passes.convert.levels import Levels, counted, empty, tops
from spikeport.converters.passes.infer import infer
from spikeport.deploy.backends.float import run_float

Floats = NDArray[np.float32]
VALUES = 1 << 24
"""Values of all layers together that one batch may hold: 64 MiB in float32."""


def answers(network: Network, frames: Floats) -> Floats:
    """The network's output (N, *shape) for static ``frames`` (N, *shape)."""
    (name,) = network.outputs
    parts = [run_float(network, part[:, None]).outputs[name][:, 0] for part in batches(network, frames, 1)]
    return np.concatenate(parts)


def observed(network: Network, frames: Floats) -> dict[str, Levels]:
    """Histograms of every activation and input on static ``frames`` (N, *shape), in two passes over them."""
    names = [n for n, node in network.nodes.items() if isinstance(node, Activation) or n in network.inputs]
    watched = _watched(network, names)
    top: dict[str, NDArray[np.float64]] = {}
    for values in _values(watched, names, frames):
        top = {n: np.maximum(tops(v), top[n]) if n in top else tops(v) for n, v in values.items()}
    levels = {n: empty(network.shapes[n], top[n]) for n in names}
    for values in _values(watched, names, frames):
        levels = {n: counted(levels[n], v) for n, v in values.items()}
    return levels


def batches(network: Network, data: NDArray[np.float32], steps: int) -> Iterator[NDArray[np.float32]]:
    """``data`` in parts that fit into memory when shown for ``steps`` steps; outputs and inputs are kept over time."""
    kept = sum(int(np.prod(s)) for n, s in network.shapes.items() if n in (*network.inputs, *network.outputs))
    whole = sum(int(np.prod(s)) for s in network.shapes.values()) + kept * steps
    size = max(VALUES // whole, 1)
    for first in range(0, len(data), size):
        yield data[first : first + size]


def _watched(network: Network, names: list[str]) -> Network:
    """``network`` with an output at each of ``names``."""
    nodes = {**network.nodes, **{_eye(n): Output(network.shapes[n]) for n in names}}
    edges = (*network.edges, *(Edge(n, _eye(n)) for n in names))
    return infer(replace(network, nodes=nodes, edges=edges, shapes={})).result


def _values(watched: Network, names: list[str], frames: Floats) -> Iterator[dict[str, Floats]]:
    for part in batches(watched, frames, 1):
        outputs = run_float(watched, part[:, None]).outputs
        yield {n: outputs[_eye(n)][:, 0] for n in names}


def _eye(name: str) -> str:
    """A name no model has: readers refuse line breaks nowhere, but nobody writes them."""
    return f"{name}\n"
