"""A Network written in code: what training scripts need to hand over what they trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spikeport.converters.network import Array, Edge, Input, Network, Neuron, Node, Output, Shape
from spikeport.converters.passes.infer import infer, output_shape
from spikeport.converters.read.dialects import parse_dialect


def sequential(
    layers: Sequence[tuple[str, Node]],
    input_shape: Shape,
    dt: float,
    dialect: str = "snntorch",
    recurrent: Sequence[tuple[str, str, Node]] = (),
) -> Network:
    """A chain from ``input`` through ``layers`` to ``output``, with recurrent maps where asked for.

    Args:
        layers: (name, node) in the order in which data pass them.
        input_shape: of one step of one sample.
        dt: seconds per step.
        dialect: the discretisation the neurons were written in; what `write_nir` translates them by.
        recurrent: (neuron, name, node): ``node`` feeds the neuron's s[t-1] back to it.

    Raises:
        ModelError: shapes that do not fit, or a name used twice (`infer` names the node).
        DialectError: an unknown dialect.

    Example::

        sequential([("fc", Linear(weight)), ("lif", leaky(0.9))], (64,), dt=1e-3)
    """
    spoken = replace(parse_dialect(dialect).dialect, dt=dt)
    shape = input_shape
    nodes: dict[str, Node] = {"input": Input(input_shape)}
    edges = []
    last = "input"
    for name, node in layers:
        shape = output_shape(name, node, shape)
        nodes[name] = node
        edges.append(Edge(last, name))
        last = name
    for neuron, name, node in recurrent:
        nodes[name] = node
        edges += [Edge(neuron, name, delay=1), Edge(name, neuron)]
    nodes["output"] = Output(shape)
    edges.append(Edge(last, "output"))
    return infer(Network(nodes, tuple(edges), {}, dt, str(spoken))).result


def leaky(
    beta: float | Array,
    threshold: float | Array = 1.0,
    alpha: float | Array | None = None,
    reset: str = "subtract",
    spiking: bool = True,
) -> Neuron:
    """A neuron as snnTorch-like scripts train it: v = beta·v + u, u = alpha·u + x, reset in the step of the spike.

    Args:
        beta: membrane decay.
        threshold: in units of v.
        alpha: current decay, None for a neuron without synaptic current.
        reset: ``subtract``, ``zero`` or ``none``.
        spiking: False for a readout that gives v itself (its reset is none).

    Raises:
        KeyError: another ``reset``.
    """
    kinds = {"subtract": "subtract", "zero": "value", "none": "none"}
    return Neuron(
        membrane_decay=np.asarray(beta, np.float32),
        threshold=np.asarray(threshold, np.float32),
        current_decay=None if alpha is None else np.asarray(alpha, np.float32),
        spiking=spiking,
        reset=kinds[reset] if spiking else "none",  # type: ignore[arg-type]
    )
