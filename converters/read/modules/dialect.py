"""The dialect that comes nearest to what a module's neurons were found to do: what NIR's own fields are written in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from spikeport.converters.network import Neuron
from spikeport.converters.read.dialects import DIALECTS, Dialect


def dialect_of(framework: str | None, neurons: Sequence[Neuron], dt: float) -> str:
    """The framework's dialect, with every key on which all neurons agree; their exact form stands in the Network."""
    base = replace(DIALECTS.get(framework or "nir", DIALECTS["nir"]), dt=dt)
    firing = [n for n in neurons if n.spiking]
    if not firing:
        return str(base)
    found: dict[str, Any] = {
        "reset": _agreed(firing, _reset),
        "reset_delay": _agreed(firing, lambda n: n.reset_delay),
        "max_spikes": _agreed(firing, lambda n: n.max_spikes or 0),
        "compare": _agreed(firing, lambda n: "ge" if n.comparison == ">=" else "gt"),
    }
    said = {key: value for key, value in found.items() if value is not None}
    if said.get("max_spikes") == 0:
        said["max_spikes"] = None
    return str(replace(_gains(base, firing), **said))


def _reset(neuron: Neuron) -> str:
    if neuron.reset == "value":
        return "value" if neuron.v_reset.any() else "zero"
    return neuron.reset


def _gains(base: Dialect, firing: Sequence[Neuron]) -> Dialect:
    plain = all((n.current_gain == 1).all() for n in firing)
    return replace(base, gain="one") if base.gain == "norm" and plain else base


def _agreed(neurons: Sequence[Neuron], ask: Callable[[Neuron], Any]) -> Any:
    answers = {ask(n) for n in neurons}
    return answers.pop() if len(answers) == 1 else None
