"""Rockpool 3.1, torch backend: what each of its neurons computes (source: rockpool/nn/modules/torch/*.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikeport.converters.findings import Finding
from spikeport.converters.network import Array, Neuron, Shape
from spikeport.converters.read.modules.cells import (
    Cell,
    Entry,
    Map,
    approximate,
    array,
    decay,
    per_step,
    sequences,
    spike_rule,
)

_STATES = MappingProxyType({"vmem": "v", "isyn": "u"})


def _lif(where: str, module: Any, shape: Shape) -> Cell:
    """i = beta (i + x + W_rec s); v = alpha v + sum of i + bias; several spikes, each takes a threshold off v."""
    neuron = Neuron(
        membrane_decay=decay(module.alpha, where, "alpha", shape),
        bias=per_step(module.bias, where, "bias", shape),
        **_firing(where, module, shape),
    )
    cell = Cell(
        neuron,
        layout="batch-time",
        dt=float(module.dt),
        recurrent=_recurrent(module),
        states=_STATES,
        findings=_noise(where, module),
    )
    return _with_synapses(where, cell, module.beta.expand(module.size_out, int(module.n_synapses)), shape)


def _with_synapses(where: str, cell: Cell, beta: Tensor, shape: Shape) -> Cell:
    """The current of each neuron: its own, or the sum of several, whose inputs lie side by side.

    Args:
        beta: (neurons, synapses).
    """
    synapses = beta.shape[1]
    sums = torch.kron(torch.eye(len(beta)), torch.ones(1, synapses))
    if not torch.equal(beta, beta[:, :1].expand_as(beta)):
        each = decay(beta.flatten(), where, "beta", (beta.numel(),))
        filters = Neuron(each, input_gain=each, threshold=_one(), spiking=False, reset="none")
        return replace(cell, synapses=(filters, sums.numpy()))
    common = decay(beta[:, 0], where, "beta", shape)
    current = replace(cell.neuron, current_decay=common, input_gain=common)
    if synapses == 1:
        return replace(cell, neuron=current)
    feed = cell.recurrent
    return replace(
        cell,
        neuron=current,
        before=lambda x: functional.linear(x, sums.to(x.device)),
        recurrent=None if feed is None else lambda s: functional.linear(feed(s), sums.to(s.device)),
    )


def _recurrent(module: Any) -> Map | None:
    weight = getattr(module, "w_rec", None)
    return None if weight is None or not bool(weight.any()) else (lambda spikes: functional.linear(spikes, weight.T))


def _lif_neuron(where: str, module: Any, shape: Shape) -> Cell:
    """v = exp(-dt/tau) v + x + bias."""
    neuron = Neuron(
        membrane_decay=decay(torch.exp(-module.dt / module.tau_mem), where, "exp(-dt/tau_mem)", shape),
        bias=per_step(module.bias, where, "bias", shape),
        **_firing(where, module, shape),
    )
    return _plain(where, module, neuron)


def _exp_syn(where: str, module: Any, shape: Shape) -> Cell:
    """i = exp(-dt/tau) (i + x); its output is i."""
    b = decay(torch.exp(-module.dt / module.tau), where, "exp(-dt/tau)", shape)
    neuron = Neuron(b, input_gain=b, threshold=_one(), spiking=False, reset="none")
    return replace(_plain(where, module, neuron), states=MappingProxyType({"isyn": "v"}))


def _low_pass(where: str, module: Any, shape: Shape) -> Cell:
    """v = exp(-dt/tau) v + x; takes (T, B, N)."""
    b = decay(module.alpha_mem[0], where, "alpha_mem", shape)
    neuron = Neuron(b, threshold=_one(), spiking=False, reset="none")
    return Cell(neuron, layout="time-batch", dt=float(module.dt), states=_STATES)


def _plain(where: str, module: Any, neuron: Neuron) -> Cell:
    return Cell(neuron, layout="batch-time", dt=float(module.dt), states=_STATES, findings=_noise(where, module))


def _firing(where: str, module: Any, shape: Shape) -> dict[str, Any]:
    most = float(module.max_spikes_per_dt)
    window = torch.tensor(0.5)
    limit = torch.tensor(most)
    rule = spike_rule(where, lambda v: module.spike_generation_fn(v, torch.tensor(1.0), window, limit))
    return {
        "threshold": per_step(module.threshold, where, "threshold", shape),
        "comparison": rule.comparison,
        "max_spikes": int(most) if isfinite(most) else None,
        "reset": "subtract",
    }


def _noise(where: str, module: Any) -> tuple[Finding, ...]:
    deviation = float(array(module.noise_std).max())
    if deviation == 0.0:
        return ()
    message = f"noise_std = {deviation:g} is left out: a Network has no noise."
    return (approximate(where, "noise-left-out", message, "Its spikes are those of the module without noise."),)


def _one() -> Array:
    return np.ones((), np.float32)


_REASONS: Mapping[str, str] = {
    "aLIFTorch": "spikes drive a second current that only they change (after-hyperpolarisation)",
    "RateTorch": "a rate neuron: its output is a function of a leaky state, at every step",
    "UpDownTorch": "an encoder: apply it to the data, and give the module what it makes of them",
    "BooleanState": "it latches on the sign of its input",
}
ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "LIFTorch": Entry(
            "exact",
            "bias, recurrent weights, max_spikes_per_dt, every leak_mode, several synapses; "
            "noise is left out, with a warning",
            _lif,
            sequences,
        ),
        "LIFBitshiftTorch": Entry("exact", "decays as the bit shifts give them", _lif, sequences),
        "LIFNeuronTorch": Entry("exact", "bias and max_spikes_per_dt", _lif_neuron, sequences),
        "ExpSynTorch": Entry("exact", "its output is the current", _exp_syn, sequences),
        "LowPass": Entry("exact", "its output is the membrane", _low_pass, sequences),
        **{name: Entry("refused", why) for name, why in _REASONS.items()},
    }
)
HOME = ("rockpool.nn.modules.torch.",)
