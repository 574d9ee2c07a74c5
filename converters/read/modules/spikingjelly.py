"""SpikingJelly 2.0: what each of its neurons computes (source: activation_based/neuron, _ops/*/reference.py)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from spikeport.converters.network import Array, Neuron, Shape
from spikeport.converters.read.modules.cells import Cell, Entry, array, decay, spike_rule
from spikeport.converters.read.modules.values import refuse

_STATES = MappingProxyType({"v": "v", "v_seq": "v", "c": "u"})


def _if(where: str, module: Any, shape: Shape) -> Cell:
    """v += x."""
    return _cell(where, module, shape, membrane_decay=_number(1.0))


def _lif(where: str, module: Any, shape: Shape) -> Cell:
    """v += (x - (v - v_reset)) / tau, or v += x - (v - v_reset) / tau without ``decay_input``."""
    return _leaky(where, module, shape, 1.0 / module.tau)


def _plif(where: str, module: Any, shape: Shape) -> Cell:
    """The same with a learnt 1/tau = sigmoid(w)."""
    return _leaky(where, module, shape, float(module.w.sigmoid()))


def _leaky(where: str, module: Any, shape: Shape, rate: float) -> Cell:
    rest = module.v_reset or 0.0
    return _cell(
        where,
        module,
        shape,
        membrane_decay=decay(1.0 - rate, where, "membrane decay 1 - 1/tau", shape),
        current_gain=_number(rate if module.decay_input else 1.0),
        bias=_number(rest * rate),
    )


def _cuba(where: str, module: Any, shape: Shape) -> Cell:
    """c = c_decay c + x; v = v_decay v + c."""
    return _cell(
        where,
        module,
        shape,
        membrane_decay=decay(module.v_decay, where, "v_decay", shape),
        current_decay=decay(module.c_decay, where, "c_decay", shape),
    )


def _activation_aware(where: str, module: Any, shape: Shape) -> Cell:
    """A spike where v + v_offset >= v_threshold; the reset subtracts v_threshold. Exact where no offset is set."""
    if bool(module.v_offset.any()):
        refuse(where, "v_offset moves the firing threshold but not what the reset subtracts.", "Use v_offset=0.")
    threshold = array(module.v_threshold)
    if threshold.ndim:
        axis = module.channel_dim if module.channel_dim < 0 else module.channel_dim - 1 - len(shape)
        threshold = threshold.reshape((-1,) + (1,) * (-axis - 1))
    return _cell(where, module, shape, membrane_decay=_number(1.0), threshold=threshold)


def _cell(where: str, module: Any, shape: Shape, threshold: Array | None = None, **dynamics: Any) -> Cell:
    if getattr(module, "_neuron_precision", None) is not None:
        refuse(where, "it keeps its state in a precision of its own.", "Use the framework's default precision.")
    rule = spike_rule(where, lambda v: module.surrogate_function(v - 1.0))
    neuron = Neuron(
        threshold=_number(module.v_threshold) if threshold is None else threshold,
        comparison=rule.comparison,
        max_spikes=rule.max_spikes,
        reset="subtract" if module.v_reset is None else "value",
        v_reset=_number(module.v_reset or 0.0),
        **dynamics,
    )
    return Cell(neuron, layout="time-batch" if module.step_mode == "m" else "step", states=_STATES)


def _simple_if(where: str, module: Any, shape: Shape) -> Cell:
    """v += x."""
    return _cell(where, module, shape, membrane_decay=_number(1.0))


def _simple_lif(where: str, module: Any, shape: Shape) -> Cell:
    """As LIFNode; it cannot reset by subtraction."""
    return _leaky(where, module, shape, 1.0 / module.tau)


def _silent(where: str, module: Any, shape: Shape) -> Cell:
    """v += x, or v += (x - v) / tau; the output is every membrane, or one figure of them."""
    rate = 1.0 / module.tau if hasattr(module, "tau") else None
    if module.decode not in (None, "mean-mem", "max-mem", "last_mem"):
        refuse(where, f"decode='{module.decode}' is not known.", "Use decode=None and decode outside.")
    neuron = Neuron(
        membrane_decay=_number(1.0) if rate is None else decay(1.0 - rate, where, "decay 1 - 1/tau", shape),
        current_gain=_number(rate or 1.0),
        threshold=_number(1.0),
        spiking=False,
        reset="none",
    )
    return Cell(neuron, layout="time-batch", states=_STATES, readout=module.decode)


def _leading(module: Any) -> int:
    return 2 if module.step_mode == "m" else 1


def _number(value: float | Tensor) -> Array:
    return np.asarray(array(value), np.float32)


_NONLINEAR = "its membrane equation is not linear"
_SECOND_STATE = "spikes change a second state, which no neuron model here has"
_NO_STEPS = "its spikes are computed from all time steps at once"
_NOISE = "it adds noise to its membrane"
_GRADED = "its output is no spike count"
_ONLINE = "for online learning: put the same weights behind a LIFNode"
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("QIFNode", "EIFNode", "IzhikevichNode", "AdaptBaseNode"), _NONLINEAR),
    "KLIFNode": "it rectifies its membrane before it fires",
    "GatedLIFNode": "learnt gates mix two leaks and two resets",
    "ComplementaryLIFNode": _SECOND_STATE,
    "LIAFNode": _GRADED,
    "ILIFNode": "it rounds its membrane to the nearest number of spikes",
    **dict.fromkeys(("PSN", "MaskedPSN", "SlidingPSN"), _NO_STEPS),
    **dict.fromkeys(("DSRIFNode", "DSRLIFNode"), _NO_STEPS),
    **dict.fromkeys(("ILCBaseNode", "ILCIFNode", "ILCLIFNode", "ILCCUBALIFNode"), "its membranes are coupled"),
    **dict.fromkeys(("NoisyBaseNode", "NoisyCUBALIFNode", "NoisyILCBaseNode", "NoisyILCCUBALIFNode"), _NOISE),
    **dict.fromkeys(("NoisyNonSpikingBaseNode", "NoisyNonSpikingIFNode"), _NOISE),
    **dict.fromkeys(("MPBNBaseNode", "MPBNLIFNode"), "it normalises its membrane over the batch"),
    **dict.fromkeys(("TernaryIFNode", "TernaryLIFNode", "STBIFNode"), "it sends spikes of both signs"),
    **dict.fromkeys(("FewSpikeNode", "HGNode", "OutlierAwareThresholdNode"), "its thresholds change over time"),
    "FlexSN": "its step is a function of the user's own",
    "RAFNode": "a resonate-and-fire neuron: two coupled membranes",
    **dict.fromkeys(("OTTTLIFNode", "SLTTLIFNode", "_OnlineLIFNode"), _ONLINE),
    "SynapseFilter": "its input multiplies its state",
}
ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "IFNode": Entry("exact", "reset to v_reset or by subtraction, single and multi step", _if, _leading),
        "LIFNode": Entry("exact", "with and without decay_input, both resets", _lif, _leading),
        "ParametricLIFNode": Entry("exact", "tau as learnt, both resets", _plif, _leading),
        "CUBALIFNode": Entry("exact", "both resets", _cuba, _leading),
        "HalfThresholdIFNode": Entry("exact", "starts from half its threshold", _if, _leading),
        "ActivationAwareIFNode": Entry(
            "exact", "per-channel thresholds; refused with v_offset", _activation_aware, _leading
        ),
        "SimpleIFNode": Entry("exact", "both resets", _simple_if, _leading),
        "SimpleLIFNode": Entry("exact", "reset to v_reset", _simple_lif, _leading),
        "NonSpikingIFNode": Entry("exact", "its output is the membrane; decoding is left to the readout", _silent),
        "NonSpikingLIFNode": Entry("exact", "its output is the membrane; decoding is left to the readout", _silent),
        **{name: Entry("refused", why) for name, why in _REASONS.items()},
    }
)
HOME = ("spikingjelly.activation_based.neuron.", "spikingjelly.activation_based.layer.")
