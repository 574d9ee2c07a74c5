"""The dialect that comes nearest to what a module's neurons were found to do: what NIR's own fields are written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spikeport.converters.findings import Finding
from spikeport.converters.network import Neuron
from spikeport.converters.read.dialects import DIALECTS, Dialect


def dialect_of(framework: str | None, neurons: Sequence[Neuron], dt: float) -> tuple[str, tuple[Finding, ...]]:
    """The framework's dialect, with every key on which all neurons agree; their exact form stands in the Network."""
    base = replace(DIALECTS.get(framework or "nir", DIALECTS["nir"]), dt=dt)
    firing = [n for n in neurons if n.spiking]
    found = {key: {ask(n) for n in firing} for key, ask in _ASKED.items()}
    agreed = {key: answers.pop() for key, answers in found.items() if len(answers) == 1}
    mixed = sorted(key for key, answers in found.items() if len(answers) > 1)
    message = f"its neurons differ in {', '.join(mixed)}, which no one dialect says; the network holds each one's own."
    said = (Finding("neurons-differ", "info", "", message),) if mixed else ()
    return str(replace(_gains(base, firing), **agreed)), said


def _reset(neuron: Neuron) -> str:
    if neuron.reset == "value":
        return "value" if neuron.v_reset.any() else "zero"
    return neuron.reset


def _gains(base: Dialect, firing: Sequence[Neuron]) -> Dialect:
    plain = all((n.current_gain == 1).all() for n in firing)
    return replace(base, gain="one") if base.gain == "norm" and plain else base


_ASKED: Mapping[str, Callable[[Neuron], Any]] = {
    "reset": _reset,
    "reset_delay": lambda n: n.reset_delay,
    "max_spikes": lambda n: n.max_spikes,
    "compare": lambda n: "ge" if n.comparison == ">=" else "gt",
}
