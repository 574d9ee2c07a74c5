"""Norse 1.1: what each of its neurons computes (source: norse/torch/functional/*.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional

from spikeport.converters.network import Array, Neuron, Shape
from spikeport.converters.read.modules.cells import Cell, Entry, Layout, decay, per_step, sequences
from spikeport.converters.read.modules.values import refuse

_STATES = MappingProxyType({"v": "v", "i": "u", "z": "s"})
# Every one of them is `heaviside(x)` forwards: a spike where x > 0.
_METHODS = frozenset({"heaviside", "super", "triangle", "tanh", "circ", "heavi_erfc"})
Read = Callable[[str, Any, Shape], Cell]


def _lif(layout: Layout, recurrent: bool = False) -> Read:
    """i = i + x; v += dt/tau_mem (v_leak - v + i); i -= dt/tau_syn i: the current of a step includes its input."""

    def read(where: str, module: Any, shape: Shape) -> Cell:
        p = module.p
        neuron = Neuron(
            current_decay=decay(1.0 - module.dt * p.tau_syn_inv, where, "current decay 1 - dt/tau_syn", shape),
            **_membrane(where, module, shape),
            **_firing(where, p, shape),
        )
        return _cell(module, neuron, layout, **(_weights(module) if recurrent else {}))

    return read


def _li(layout: Layout) -> Read:
    """The same without spikes; its output is the membrane."""

    def read(where: str, module: Any, shape: Shape) -> Cell:
        current = decay(1.0 - module.dt * module.p.tau_syn_inv, where, "current decay 1 - dt/tau_syn", shape)
        neuron = Neuron(current_decay=current, **_membrane(where, module, shape), **_SILENT)
        weight = getattr(module, "input_weights", None)
        return _cell(module, neuron, layout, **({} if weight is None else {"before": _times(weight)}))

    return read


def _lif_box(where: str, module: Any, shape: Shape) -> Cell:
    """v += dt/tau_mem (v_leak - v + x)."""
    firing = _firing(where, module.p, shape)
    method = getattr(module.p.reset_method, "__name__", "")
    if method not in ("reset_value", "reset_subtract"):
        refuse(where, f"its reset_method '{method}' is not known.", "Use reset_value or reset_subtract.")
    firing |= {"reset": "value" if method == "reset_value" else "subtract"}
    return _cell(module, Neuron(**_membrane(where, module, shape), **firing), "step")


def _li_box(where: str, module: Any, shape: Shape) -> Cell:
    return _cell(module, Neuron(**_membrane(where, module, shape), **_SILENT), "step")


def _iaf(layout: Layout) -> Read:
    """v += x, from v_reset."""

    def read(where: str, module: Any, shape: Shape) -> Cell:
        firing = _firing(where, module.p, shape)
        return _cell(module, Neuron(_one(), v_init=firing["v_reset"], **firing), layout)

    return read


def _exp_filter(where: str, module: Any, shape: Shape) -> Cell:
    """y = exp(-dt/tau) y + W x + b. Only the decay is kept in the module, not dt."""
    neuron = Neuron(decay(module.parameter, where, "decay", shape), **_SILENT)
    return Cell(neuron, layout="time-batch", before=module.linear)


def _cell(module: Any, neuron: Neuron, layout: Layout, **more: Any) -> Cell:
    return Cell(neuron, layout=layout, dt=float(module.dt), states=_STATES, carries_state=False, **more)


def _membrane(where: str, module: Any, shape: Shape) -> dict[str, Any]:
    rate = module.dt * module.p.tau_mem_inv
    leak = per_step(module.p.v_leak, where, "v_leak", shape)
    return {
        "membrane_decay": decay(1.0 - rate, where, "membrane decay 1 - dt/tau_mem", shape),
        "current_gain": per_step(rate, where, "dt/tau_mem", shape),
        "bias": per_step(rate * module.p.v_leak, where, "v_leak", shape),
        "v_init": leak,
    }


def _firing(where: str, p: Any, shape: Shape) -> dict[str, Any]:
    if p.method not in _METHODS:
        refuse(where, f"method '{p.method}' is no plain threshold.", f"Use one of {', '.join(sorted(_METHODS))}.")
    return {
        "threshold": per_step(p.v_th, where, "v_th", shape),
        "v_reset": per_step(p.v_reset, where, "v_reset", shape),
        "reset": "value",
    }


def _weights(module: Any) -> dict[str, Any]:
    return {"before": _times(module.input_weights), "recurrent": _times(module.recurrent_weights)}


def _times(weight: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: functional.linear(x, weight)


def _one() -> Array:
    return np.ones((), np.float32)


_SILENT: Mapping[str, Any] = MappingProxyType({"threshold": _one(), "spiking": False, "reset": "none"})
_TWO_STATES = "spikes change a second state (adaptation), which no neuron model here has"
_EXPONENTIAL = "its membrane equation is not linear"
_REFRACTORY = "it has a refractory period, which the Network has no word for"
_ENCODER = "an encoder: apply it to the data, and give the module what it makes of them"
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("LSNN", "LSNNCell", "LSNNRecurrent", "LSNNRecurrentCell"), _TWO_STATES),
    **dict.fromkeys(("LIFAdEx", "LIFAdExCell", "LIFAdExRecurrent", "LIFAdExRecurrentCell"), _EXPONENTIAL),
    **dict.fromkeys(("LIFAdExRefracCell", "LIFAdExRefracRecurrent", "LIFAdExRefracRecurrentCell"), _EXPONENTIAL),
    **dict.fromkeys(("LIFEx", "LIFExCell", "LIFExRecurrent", "LIFExRecurrentCell"), _EXPONENTIAL),
    **dict.fromkeys(("Izhikevich", "IzhikevichCell", "IzhikevichRecurrent", "IzhikevichRecurrentCell"), _EXPONENTIAL),
    **dict.fromkeys(("LIFRefracCell", "LIFRefracRecurrent", "LIFRefracRecurrentCell"), _REFRACTORY),
    **dict.fromkeys(("LIFMCRecurrentCell", "LIFMCRefracRecurrentCell"), "its membranes are coupled to each other"),
    "CobaLIFCell": "its synapses are conductances: they multiply the membrane",
    "LIFCorrelation": "it measures correlations for learning",
    **dict.fromkeys(
        ("ConstantCurrentLIFEncoder", "PoissonEncoder", "PoissonEncoderStep", "PopulationEncoder"), _ENCODER
    ),
    **dict.fromkeys(("SignedPoissonEncoder", "SignedPoissonEncoderStep", "SpikeLatencyEncoder"), _ENCODER),
    "SpikeLatencyLIFEncoder": _ENCODER,
    "SpikesToTimesDecoder": "a decoder: read the spikes and decode them outside",
    "RegularizationCell": "for training: leave it out",
}
ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "LIFCell": Entry("exact", "dt, v_leak and v_reset from the module", _lif("step")),
        "LIF": Entry("exact", "(T, B, ...)", _lif("time-batch"), sequences),
        "LIFRecurrentCell": Entry("exact", "input and recurrent weights included", _lif("step", recurrent=True)),
        "LIFRecurrent": Entry("exact", "(T, B, ...), weights included", _lif("time-batch", recurrent=True), sequences),
        "LIFBoxCell": Entry("exact", "reset to v_reset or by subtraction", _lif_box),
        "LICell": Entry("exact", "its output is the membrane", _li("step")),
        "LI": Entry("exact", "(T, B, ...)", _li("time-batch"), sequences),
        "LILinearCell": Entry("exact", "input weights included", _li("step")),
        "LIBoxCell": Entry("exact", "its output is the membrane", _li_box),
        "IAFCell": Entry("exact", "starts from v_reset", _iaf("step")),
        "IAF": Entry("exact", "(T, B, ...)", _iaf("time-batch"), sequences),
        "ExpFilter": Entry("exact", "its output is the filtered value", _exp_filter, sequences),
        **{name: Entry("refused", why) for name, why in _REASONS.items()},
    }
)
HOME = ("norse.torch.module.",)
