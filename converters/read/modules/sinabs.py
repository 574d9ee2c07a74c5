"""Sinabs 3.1: what each of its neurons computes (source: sinabs/layers/functional/lif.py, sinabs/activation)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from spikeport.converters.findings import Finding
from spikeport.converters.network import Array, Neuron, Shape
from spikeport.converters.read.modules.cells import Cell, Entry, decay, per_step, spike_rule
from spikeport.converters.read.modules.values import refuse

_STATES = MappingProxyType({"v_mem": "v", "i_syn": "u"})


def _lif(where: str, module: Any, shape: Shape) -> Cell:
    """i = a (i + x); v = b v + (1 - b) i with ``norm_input``, else b v + i; v >= min_v_mem after the reset."""
    b = module.alpha_mem_calculated
    a = module.alpha_syn_calculated
    neuron = Neuron(
        membrane_decay=decay(b, where, "alpha_mem", shape),
        current_decay=None if a is None else decay(a, where, "alpha_syn", shape),
        input_gain=_one() if a is None else decay(a, where, "alpha_syn", shape),
        current_gain=per_step(1 - b, where, "1 - alpha_mem", shape) if module.norm_input else _one(),
        v_min=None if module.min_v_mem is None else per_step(module.min_v_mem, where, "min_v_mem", shape),
        **_firing(where, module, shape),
    )
    neuron, findings = _shifted(where, module, neuron)
    merged = (module.batch_size, module.num_timesteps) if hasattr(module, "num_timesteps") else None
    return Cell(neuron, layout="batch-time", merged=merged, states=_STATES, findings=findings)


def _lif_recurrent(where: str, module: Any, shape: Shape) -> Cell:
    """What ``rec_connect`` makes of the last spikes is added to the input; it gives nothing at t = 0, bias included."""
    cell = _lif(where, module, shape)
    return replace(cell, recurrent=lambda s: _shaped(module.rec_connect(s), s), feedback="target")


def _shaped(fed_back: Tensor, spikes: Tensor) -> Tensor:
    return fed_back if fed_back.shape == spikes.shape else fed_back.reshape(spikes.shape)


def _exp_leak(where: str, module: Any, shape: Shape) -> Cell:
    """The same without spikes. Its output is v before ``min_v_mem`` acts, which no neuron here says."""
    if module.min_v_mem is not None:
        refuse(where, f"its output ignores min_v_mem={float(module.min_v_mem):g}, its state does not.", "Drop it.")
    return _lif(where, module, shape)


def _firing(where: str, module: Any, shape: Shape) -> dict[str, Any]:
    if module.spike_fn is None:
        return {"threshold": _one(), "spiking": False, "reset": "none"}
    rule = spike_rule(where, lambda v: module.spike_fn.apply(v, 1.0, module.surrogate_grad_fn))
    threshold = per_step(module.spike_threshold, where, "spike_threshold", shape)
    return {
        "threshold": threshold,
        "comparison": rule.comparison,
        "max_spikes": rule.max_spikes,
        "reset": _reset(where, module, threshold),
    }


def _reset(where: str, module: Any, threshold: Array) -> str:
    kind = type(module.reset_fn).__name__
    if kind == "MembraneReset":
        return "value"
    taken = getattr(module.reset_fn, "subtract_value", None)
    if kind != "MembraneSubtract" or (taken is not None and not np.allclose(float(taken), threshold, rtol=0, atol=0)):
        refuse(
            where,
            f"its reset {module.reset_fn} is neither to a value nor by its threshold of {threshold}.",
            "Use MembraneReset, or MembraneSubtract with the threshold.",
        )
    return "subtract"


def _shifted(where: str, module: Any, neuron: Neuron) -> tuple[Neuron, tuple[Finding, ...]]:
    """``MembraneReset(value)`` adds its value to every membrane at every step, whether it fired or not.

    With v' = v - value the neuron resets to 0, starts at -value, and integrates b · value.
    """
    value = np.float32(getattr(module.reset_fn, "reset_value", 0.0)) if module.spike_fn is not None else np.float32(0)
    if neuron.reset != "value" or value == 0:
        return neuron, ()
    message = (
        f"MembraneReset({value:g}) adds {value:g} to every membrane at every step, also where nothing fired; "
        f"membranes are read as v - {value:g}, from which the same spikes follow."
    )
    moved = replace(
        neuron,
        bias=np.asarray(neuron.membrane_decay * value, np.float32),
        v_init=np.asarray(-value),
        v_min=None if neuron.v_min is None else np.asarray(neuron.v_min - value, np.float32),
    )
    return moved, (Finding("membrane-shifted", "info", where, message),)


def _leading(module: Any) -> int:
    return 1 if hasattr(module, "num_timesteps") else 2


def _one() -> Array:
    return np.ones((), np.float32)


_ADAPTIVE = "its threshold adapts, a second state that no neuron model here has"
_ENCODER = "an encoder: apply it to the data, and give the module what it makes of them"
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(("ALIF", "ALIFRecurrent", "ALIFSqueeze"), _ADAPTIVE),
    "SpikingMaxPooling2dLayer": "it lets the channel pass that has sent most spikes so far",
    "NeuromorphicReLU": "it rounds its output; put spiking neurons there (sinabs.from_torch)",
    "QuantizeLayer": "it rounds its input",
    **dict.fromkeys(("Img2SpikeLayer", "Sig2SpikeLayer"), _ENCODER),
}
ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        **{
            name: Entry("exact", "spike_fn, reset_fn, norm_input, tau_syn, min_v_mem", _lif, _leading)
            for name in ("LIF", "LIFSqueeze")
        },
        **{
            name: Entry("exact", "spike_fn, reset_fn, tau_syn, min_v_mem", _lif, _leading)
            for name in ("IAF", "IAFSqueeze")
        },
        **{
            name: Entry("exact", "any rec_connect that can be read", _lif_recurrent, _leading)
            for name in ("LIFRecurrent", "IAFRecurrent")
        },
        **{
            name: Entry("exact", "its output is the membrane; refused with min_v_mem", _exp_leak, _leading)
            for name in ("ExpLeak", "ExpLeakSqueeze")
        },
        **{name: Entry("refused", why) for name, why in _REASONS.items()},
    }
)
HOME = ("sinabs.layers.",)
