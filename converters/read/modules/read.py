"""read_module: a live torch module becomes a Network; nothing about its neurons is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from math import isclose
from typing import Any

import torch
from torch import nn

from spikeport.converters.findings import Finding
from spikeport.converters.network import Network
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.modules.build import Builder
from spikeport.converters.read.modules.dialect import dialect_of
from spikeport.converters.read.modules.leaf import Leaf
from spikeport.converters.read.modules.observe import Sample, observe
from spikeport.converters.read.modules.outputs import attach_outputs
from spikeport.errors import DialectError

__all__ = ["Sample", "read_module"]
DEFAULT_DT = 1e-3


def read_module(module: nn.Module, sample: Sample, dt: float | None = None, axes: str | None = None) -> Network:
    """Read a live module of snnTorch, Norse, Sinabs, SpikingJelly, Rockpool, spikeport.models or plain torch.

    The module runs once on ``sample``, in evaluation mode and from its initial state; one that takes a single step
    per call runs for three. Afterwards it is as it was, its state and training flag included.

    Args:
        module: the net.
        sample: what its forward takes, with a batch axis: a tensor; a tuple whose first element is the signal and
            whose others are handed on (initial states, None); or keyword arguments whose tensors are all signals.
            Any numbers will do: their shape is what matters.
        dt: seconds per step, where the module does not say it. It scales time; no spike depends on it.
        axes: what the leading axes of the sample are, where the module leaves it open: "TB", "BT", "B" or "T".

    Returns:
        A Network with shapes inferred and checked; its findings say what is approximate or was left out.

    Raises:
        UnsupportedNodeError: naming the module and the operation that no Network can say.
        ModelError: a module whose parts do not fit together.
        DataError: a sample without a tensor, or on which the module itself fails.
        DialectError: time steps that contradict each other.
    """
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    seen = observe(module, sample, axes)
    builder = Builder()
    attach_outputs(builder, seen.returned)
    step, findings = _time_step(seen.leaves, dt)
    frameworks = {seen.frameworks[leaf.path] for leaf in seen.leaves}
    name = frameworks.pop() if len(frameworks) == 1 else None
    neurons = [leaf.cell.neuron for leaf in seen.leaves]
    dialect, mixed = dialect_of(name, neurons, step)
    network = Network(builder.nodes, builder.sorted_edges(), {}, step, dialect)
    inferred = infer(network)
    said = (
        _origin(name, module, neurons),
        *_in_single_precision(module),
        *findings,
        *mixed,
        *seen.findings,
        *builder.findings,
        *inferred.findings,
    )
    return replace(inferred.result, findings=tuple(dict.fromkeys(said)))


def _time_step(leaves: Sequence[Leaf], dt: float | None) -> tuple[float, list[Finding]]:
    said = {leaf.path: leaf.cell.dt for leaf in leaves if leaf.cell.dt is not None}
    given = list(said.items()) + ([("the argument dt", dt)] if dt is not None else [])
    for where, value in given:
        if not isclose(value, given[0][1], rel_tol=1e-6):
            raise DialectError(f"dt is {given[0][1]:g} s for '{given[0][0]}' and {value:g} s for '{where}'. Use one.")
    if given and not 0.0 < given[0][1] < float("inf"):
        raise DialectError(f"dt must be a positive number of seconds, but is {given[0][1]}.")
    if given:
        return float(f"{given[0][1]:.9g}"), []
    message = f"the module does not say how long a step is; {DEFAULT_DT:g} s is assumed. No spike depends on it."
    return DEFAULT_DT, [Finding("dt-assumed", "info", "", message, "Give dt if it is another.")]


def _in_single_precision(module: nn.Module) -> list[Finding]:
    """A Network computes in float32, as modules usually do."""
    kinds = {p.dtype for p in nn.Module.parameters(module) if p.is_floating_point()} - {torch.float32}
    listed = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds))
    message = f"the module computes in {listed}; the network computes in float32, so that single spikes may differ."
    return [Finding("read-as-float32", "warning", "", message, "Train in float32.")] if kinds else []


def _origin(framework: str | None, module: nn.Module, neurons: Sequence[Any]) -> Finding:
    of = framework or ("several frameworks" if neurons else "plain torch")
    with suppress(PackageNotFoundError):
        of += "" if framework is None or framework == "spikeport" else f" {version(framework)}"
    message = f"read from a live {type(module).__name__} ({of}): every neuron's settings are the module's own."
    return Finding("read-from-module", "info", "", message)
