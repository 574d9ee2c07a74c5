"""One run of a module, or three calls of one that takes a single step: what was seen of neurons, inputs and results."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from spikeport.converters.findings import Finding
from spikeport.converters.read.modules.axes import fresh
from spikeport.converters.read.modules.leaf import Leaf, tensors_in
from spikeport.converters.read.modules.roles import name_axes, settle_roles
from spikeport.converters.read.modules.state import forget, left_as_found
from spikeport.converters.read.modules.tracer import Tracer
from spikeport.converters.read.modules.values import ReaderFaultError, Value, refuse
from spikeport.errors import DataError, SpikeportError

Sample: TypeAlias = Tensor | tuple[Any, ...] | Mapping[str, Any]
# A module that takes one step at a time is called this often: enough to see what it feeds back, and how late.
STEPS_SEEN = 3
_MORE = "Give three."


@dataclass(frozen=True)
class Seen:
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


def observe(module: nn.Module, sample: Sample, axes: str | None) -> Seen:
    """Run a module as `spikeport.converters.read.modules.read.read_module` says, and leave it as it was.

    Raises:
        UnsupportedNodeError: naming the module, where neurons are used in a way that no Network can say.
        DataError: the sample is none, or the module fails on it.
    """
    tracer = Tracer(module)
    inputs: list[Value] = []
    runs: list[list[Value | None]] = []
    try:
        with left_as_found(module):
            cleared = forget(module)
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
    return Seen(leaves, MappingProxyType(frameworks), runs, [*_set_aside(cleared), *findings])


def _set_aside(cleared: Sequence[str]) -> list[Finding]:
    """Earlier data leave their states in a module; a Network starts from the initial ones."""
    if not cleared:
        return []
    message = f"states that earlier data had left ({', '.join(cleared)}) were set aside: it is read as after a reset."
    return [Finding("states-set-aside", "info", "", message)]


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
