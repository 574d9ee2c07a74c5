"""read_module: a live torch module becomes a Network; nothing about its neurons is guessed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from math import isclose
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from spikeport.converters.findings import Finding
from spikeport.converters.network import Network
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.modules.axes import fresh
from spikeport.converters.read.modules.build import Builder
from spikeport.converters.read.modules.dialect import dialect_of
from spikeport.converters.read.modules.leaf import Leaf, tensors_in
from spikeport.converters.read.modules.outputs import attach_outputs
from spikeport.converters.read.modules.roles import name_axes, settle_roles
from spikeport.converters.read.modules.state import forget, left_as_found
from spikeport.converters.read.modules.tracer import Tracer
from spikeport.converters.read.modules.values import ReaderFaultError, Value, refuse
from spikeport.errors import DataError, DialectError, SpikeportError

Sample: TypeAlias = Tensor | tuple[Any, ...] | Mapping[str, Any]
# A module that takes one step at a time is called this often: enough to see what it feeds back, and how late.
STEPS_SEEN = 3
DEFAULT_DT = 1e-3
_MORE = "Give three."


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
    seen = _observe(module, sample, axes)
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


@dataclass(frozen=True)
class _Seen:
    """What was seen in one run.

    Attributes:
        leaves: neuron modules.
        frameworks: whose they are, by path.
        returned: per call, what came back, position by position.
        findings: what is worth knowing.
    """

    leaves: Sequence[Leaf]
    frameworks: Mapping[str, str]
    returned: Sequence[Sequence[Value | None]]
    findings: Sequence[Finding]


def _observe(module: nn.Module, sample: Sample, axes: str | None) -> _Seen:
    tracer = Tracer(module)
    inputs: list[Value] = []
    runs: list[list[Value | None]] = []
    try:
        with left_as_found(module):
            forget(module)
            with tracer.watching():
                out = _call(tracer, module, sample, inputs, axes, ())
                runs.append(_returned(tracer, out))
                findings = _more_steps(tracer, module, sample, inputs, runs, axes, out)
    except (SpikeportError, ReaderFaultError):
        raise
    except Exception as error:
        if tracer.unseen is not None:
            raise tracer.unseen from None
        raise DataError(f"the module fails on the sample: {type(error).__name__}: {error}") from error
    leaves = tuple(tracer.leaves.values())
    _same_length(leaves)
    settle_roles(inputs, tracer.selected, bool(leaves))
    frameworks = {path: found.framework for path, found in tracer.found.items()}
    return _Seen(leaves, MappingProxyType(frameworks), runs, findings)


def _call(
    tracer: Tracer, module: nn.Module, sample: Sample, inputs: list[Value], axes: str | None, state: tuple[Any, ...]
) -> Any:
    """One call, its signals tagged as inputs of this step."""
    if isinstance(sample, Mapping):
        given = {k: _signal(tracer, k, v, inputs, axes) if isinstance(v, Tensor) else v for k, v in sample.items()}
        return module(**given)
    first, *others = sample if isinstance(sample, tuple) else (sample,)
    if not isinstance(first, Tensor):
        raise DataError(f"the sample is a {type(first).__name__}; give a tensor, or a tuple that begins with one.")
    return module(_signal(tracer, "input", first, inputs, axes), *others, *state)


def _signal(tracer: Tracer, name: str, given: Tensor, inputs: list[Value], axes: str | None) -> Tensor:
    tensor = given.detach().clone() if given.is_floating_point() else given.to(torch.float32)
    dims = fresh(tensor.shape)
    name_axes(dims, axes)
    value = tracer.tags.tag(tensor, Value("input", tensor, dims, params=MappingProxyType({"name": name})))
    inputs.append(value)
    return tensor


def _more_steps(
    tracer: Tracer,
    module: nn.Module,
    sample: Sample,
    inputs: list[Value],
    runs: list[list[Value | None]],
    axes: str | None,
    out: Any,
) -> list[Finding]:
    """Call a module that takes one step at a time again, so that what it keeps between calls shows."""
    leaves = tracer.leaves.values()
    single = [leaf for leaf in leaves if not leaf.whole]
    if not single or len(single) < len(leaves) or any(len(leaf.inputs) > 1 for leaf in single):
        return []
    if isinstance(sample, tuple) and len(sample) > 1:
        message = "its states are handed in with the sample, so one step was seen: what the caller feeds back is not."
        return [Finding("one-step-seen", "warning", "", message, "Wrap the loop over time in the module.")]
    if any(v.inputs[0].kind == "input" and v.inputs[0].tensor.shape[v.params["axis"]] == 1 for v in tracer.selected):
        if axes is None or "T" not in axes:
            raise DataError("the sample holds a single time step, or so it seems; give three, so that feedback shows.")
        return [Finding("one-step-seen", "warning", "", "the sample holds one step: feedback does not show.", _MORE)]
    for value in inputs:
        value.step = 0
    for step in range(1, STEPS_SEEN):
        before = len(inputs)
        out = _call(tracer, module, sample, inputs, axes, _state_of(module, out))
        runs.append(_returned(tracer, out))
        for value in inputs[before:]:
            value.step = step
    return []


def _returned(tracer: Tracer, out: Any) -> list[Value | None]:
    """What a call gave back, looked at before the next call can change it."""
    return [tracer.tags.value(t, "") for _, t in tensors_in(out)]


def _state_of(module: nn.Module, out: Any) -> tuple[Any, ...]:
    """What has to go back in: the second of two results, where ``forward`` takes a ``state`` (Norse)."""
    takes = "state" in inspect.signature(module.forward).parameters
    return (out[1],) if takes and isinstance(out, tuple) and len(out) == 2 else ()


def _same_length(leaves: Sequence[Leaf]) -> None:
    counts = {len(leaf.inputs): leaf for leaf in leaves if not leaf.whole}
    if len(counts) > 1:
        (few, one), *_, (many, other) = sorted(counts.items(), key=lambda item: item[0])
        refuse(
            other.path,
            f"it is called {many} times, '{one.path}' {few} times: a neuron used at two places shares its state.",
            "Use one module for each place, and call each once per step.",
        )


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
