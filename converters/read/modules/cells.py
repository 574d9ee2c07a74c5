"""What a framework's neuron module means: the contract between the tables of frameworks and the tracer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from spikeport.converters.findings import Finding
from spikeport.converters.network import Array, Comparison, Neuron, Shape
from spikeport.converters.read.modules.values import refuse

Layout: TypeAlias = Literal["step", "time-batch", "batch-time"]
Map: TypeAlias = Callable[[Tensor], Tensor]
Status: TypeAlias = Literal["exact", "approximate", "refused"]


@dataclass(frozen=True)
class Cell:
    """One neuron module, read.

    Attributes:
        neuron: in discrete form; arrays broadcast to one step of one sample.
        layout: what the leading axes of its input are: one step of a batch, or whole sequences.
        merged: (B, T) where the layer takes both in one axis and unfolds it itself; -1 stands for "what is left".
        dt: seconds per step, where the module says it.
        before: what its input passes first, for example input weights.
        after: what its spikes pass at the end, for example a factor.
        synapses: filters of its input and the (N, inputs) matrix that sums them, where synapses differ in their time
            constants; None where ``neuron`` has the only current.
        recurrent: from its spikes of the step before to its input.
        feedback: ``neuron``: the recurrent map sees silence at t = 0, its bias acts at once. ``target``: it gives
            nothing at t = 0.
        states: the neuron's field (v, u, or s for spikes) behind each name a state has in the module, its arguments
            or its results.
        carries_state: False where a call without its last state starts afresh.
        readout: how the module reduces its outputs over time before it returns them; None where it does not.
        findings: what is not exact, or worth knowing.
    """

    neuron: Neuron
    layout: Layout = "step"
    merged: tuple[int, int] | None = None
    dt: float | None = None
    before: Map | None = None
    after: Map | None = None
    synapses: tuple[Neuron, Array] | None = None
    recurrent: Map | None = None
    feedback: Literal["neuron", "target"] = "neuron"
    states: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    carries_state: bool = True
    readout: str | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One class of a framework.

    Attributes:
        status: how well it is understood.
        note: what is covered, or why it is refused.
        read: module path, module and the shape of one step of one sample of its output become a Cell.
        leading: how many axes of its output come before those of one step: 1 for a batch, 2 for whole sequences.
    """

    status: Status
    note: str = ""
    read: Callable[[str, Any, Shape], Cell] | None = None
    leading: Callable[[Any], int] = lambda module: 1


def array(value: Any) -> Array:
    """A module's number or tensor as float32, 0-d where all elements are equal."""
    values = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    narrow = np.asarray(values, np.float32)
    if narrow.size and (narrow == narrow.flat[0]).all():
        return np.asarray(narrow.flat[0])
    return narrow


def per_step(value: Any, where: str, what: str, shape: Shape) -> Array:
    """A parameter that has to broadcast to one step of one sample; leading unit axes are dropped.

    Raises:
        UnsupportedNodeError: it does not, so it would differ from sample to sample.
    """
    found = array(value)
    while found.ndim > len(shape) and found.shape[0] == 1:
        found = found[0]
    try:
        fits = np.broadcast_shapes(found.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        refuse(where, f"its {what} has the shape {found.shape}, one step of one sample {shape}", "Make them fit.")
    return found


def sequences(module: Any) -> int:
    """Its output has a time and a batch axis."""
    return 2


@dataclass(frozen=True)
class SpikeRule:
    """What a spike function does: does a membrane at the threshold fire, and how often per step at most."""

    comparison: Comparison
    max_spikes: int | None


# Many of each: a spike function that throws dice does not pass.
_PROBE = (-2.5, -1.0, -0.001, 0.0, 0.5, 0.999, 1.0, 1.001, 1.5, 2.5, 7.5, 1000.5)
_REPEATS = 64


def spike_rule(where: str, fire: Map) -> SpikeRule:
    """Find out what a spike function does by asking it: ``fire`` maps membranes to spikes at a threshold of 1.

    Raises:
        UnsupportedNodeError: it is no staircase (a surrogate that is not spiking, noise, negative spikes).
    """
    v = torch.tensor(_PROBE).repeat(_REPEATS)
    with torch.no_grad():
        given = fire(v.clone()).to(torch.float32)
    at_threshold, most = float(given[6]), float(given[-1])
    comparison: Comparison = ">=" if at_threshold == 1.0 else ">"
    limit = None if most >= 1000.0 else int(most)
    expected = torch.floor(v) if comparison == ">=" else torch.ceil(v) - 1.0
    if limit == 0 or not torch.equal(given, expected.clamp(0.0, float(limit or 1e6))):
        listed = ", ".join(f"{a:g} -> {b:g}" for a, b in zip(_PROBE[3:], given.tolist()[3:12], strict=True))
        refuse(
            where, f"its spike function counts no thresholds: at a threshold of 1, {listed}.", "Use a step function."
        )
    return SpikeRule(comparison, limit)


def decay(value: Any, where: str, what: str, shape: Shape) -> Array:
    """A decay per step, which has to lie in 0..1.

    Raises:
        UnsupportedNodeError: it does not.
    """
    found = per_step(value, where, what, shape)
    if not ((found >= 0.0) & (found <= 1.0)).all():
        refuse(
            where,
            f"its {what} is {float(found.min()):.4g} to {float(found.max()):.4g} per step, not within 0 to 1.",
            "Its time constant is shorter than a step, or negative.",
        )
    return found


def approximate(where: str, code: str, message: str, advice: str = "") -> Finding:
    """A finding for something that a Network cannot say in full."""
    return Finding(code, "warning", where, message, advice)
