"""A population's registers as a neuron in the trained network's units: the inverse of quantization, but for rounding.

With S chip units of v per trained unit, v_trained = v / S + offset (`Population.scale`). What the chip's step computes
and a `Neuron` has no word for (rounding toward zero, 24 bits) is left out; findings name everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_SHIFT, bias, initial_state, update
from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.findings import Finding
from spikeport.converters.network import Neuron, SigmaDelta
from spikeport.converters.passes.quantize.registers import on_lattice

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FloatNeuron:
    """A population in floats.

    Attributes:
        node: the neuron or unit, without the constant below.
        constant: (n,) what an Affine before the neuron has to add to its input, in trained units.
        findings: what the neuron cannot say.
    """

    node: Neuron | SigmaDelta
    constant: Floats
    findings: tuple[Finding, ...]


def message_worth(p: Population) -> float:
    """What a payload of 1 from ``p`` is worth in trained units; spikes, and the input's payloads, count as they are."""
    return 2.0**p.state_exp / p.scale if p.model in ("delta", "sigma_delta") else 1.0


def arrival_worth(p: Population) -> float:
    """What an accumulation of 1 is worth to ``p``, in trained units."""
    match p.model:
        case "delta":
            return 2.0 ** (p.spike_exp + p.state_exp) / p.scale
        case "sigma_delta" | "sigma":
            return 1.0 / p.scale
        case _:
            return float(1 << STATE_SHIFT) / p.scale


def float_neuron(p: Population) -> FloatNeuron:
    """The population as a node; ``p.model`` is anything but "input"."""
    if p.model in ("delta", "sigma_delta", "sigma"):
        return _unit(p)
    u, v, early = own_start(p)
    kept_u, kept_v = (DECAY_UNITY - p.du - DS_OFFSET) / DECAY_UNITY, (DECAY_UNITY - p.dv) / DECAY_UNITY
    held = bias(p.bias_mant, p.bias_exp) / p.scale
    # What a trained bias before the current became: c / (1 - a) on v and -c / (1 - a) on the initial u.
    settled = np.where(kept_u > 0, -u / p.scale, held)
    entering = np.broadcast_to(settled * (1 - kept_u), (p.size,)).astype(np.float64)
    # The chip's v = 0 is a trained membrane of ``offset``, here in units of vth; a reset takes the whole threshold off.
    centre = p.offset * p.scale / (1 << STATE_SHIFT)
    reached = p.model == "lif_subtract" and _on_lattice(p) and _nearer_above(p.reset - centre, p.vth)
    threshold = p.vth + 1 if reached else p.vth
    late, amount = _reset(p, threshold + centre, kept_v)
    node = Neuron(
        membrane_decay=_shaped(kept_v, p),
        threshold=_shaped((threshold << STATE_SHIFT) / p.scale + p.offset, p),
        comparison=">=" if reached else ">",
        current_decay=None if np.all(kept_u == 0) else _shaped(kept_u, p),
        bias=_shaped(held - settled + (1 - kept_v) * p.offset, p),
        spiking=p.model != "integrator",
        reset="none" if p.model == "integrator" else "value" if p.model == "lif" else "subtract",
        v_reset=_shaped(p.offset if p.model == "lif" else 0.0, p),
        reset_delay=late,
        reset_discards_input=p.refractory == 1 and p.model == "lif",
        max_spikes=p.max_spikes,
        v_min=None if p.v_min is None else _shaped(p.v_min / p.scale + p.offset, p),
        v_init=_shaped(v / p.scale + p.offset, p),
    )
    return FloatNeuron(node, entering, tuple(_unsaid(p, early, amount)))


def own_start(p: Population) -> tuple[Ints, Ints, int]:
    """u and v (n,) at the population's own step 0, ``shift`` steps late, and how often it sent something before."""
    state, early = initial_state(p, 1), 0
    for _ in range(p.shift):
        step = update(p, state, np.zeros((1, p.size), np.int64))
        state, early = step.state, early + int(np.count_nonzero(step.spikes))
    return state.u[0], state.v[0], early


def _unit(p: Population) -> FloatNeuron:
    messages = float(1 << (p.spike_exp + p.state_exp)) / p.scale
    node = SigmaDelta(
        threshold=_shaped(p.vth * messages, p),
        bias=_shaped(p.offset if p.model == "sigma" else bias(p.bias_mant, p.bias_exp) * messages, p),
        sums=p.model != "delta",
        rectified=p.rectified and p.model == "sigma_delta",
        sends_changes=p.model != "sigma",
    )
    return FloatNeuron(node, np.zeros(p.size), tuple(_messages(p)))


def _messages(p: Population) -> Iterator[Finding]:
    early = own_start(p)[2] if p.model == "sigma_delta" else 0
    if early:
        message = (
            "on the chip its bias is sent before the first input arrives, here together with it; what stays below the "
            "threshold, and is held back, may differ."
        )
        yield Finding("bias-sent-with-input", "info", p.name, message)
    if p.model == "sigma_delta" and p.state_exp:
        message = f"the chip sends whole multiples of {message_worth(p):.3g}; in floats a change is sent as it is."
        yield Finding("messages-not-rounded", "info", p.name, message)


def _nearer_above(wanted: Floats, vth: Ints) -> bool:
    """Whether vth + 1 says ``wanted`` better: where v moves in units of vth, v > vth and v >= vth + 1 are the same."""
    return bool(np.abs(wanted - vth - 1).max() < np.abs(wanted - vth).max())


def _on_lattice(p: Population) -> bool:
    starts = np.all(p.u_init % (1 << STATE_SHIFT) == 0) and np.all(p.v_init % (1 << STATE_SHIFT) == 0)
    return bool(starts) and on_lattice(p.du, p.dv, bias(p.bias_mant, p.bias_exp))


def _reset(p: Population, threshold: Floats, kept_v: Floats) -> tuple[Literal[0, 1], float]:
    """The moment of the reset, and how far its amount is from what that moment takes off v, in thresholds.

    A reset one step late takes threshold / b off v on the chip (`spikeport.converters.passes.lower`).

    Args:
        p: the population.
        threshold: of the trained membrane, whose zero is not v's, in units of vth.
        kept_v: b.
    """
    if p.model != "lif_subtract":
        return (1 if p.model == "lif" and p.refractory == 1 else 0), 0.0
    one = np.maximum(np.abs(threshold), 1.0)
    now = float((np.abs(p.reset - threshold) / one).max())
    late = float((np.abs(p.reset - threshold / np.maximum(kept_v, 1e-9)) / one).max())
    return (1, late) if late < now and p.max_spikes == 1 else (0, now)


def _unsaid(p: Population, early: int, off: float) -> Iterator[Finding]:
    where = p.name
    if early:
        message = f"on the chip its bias makes it send {early} spike(s) before its first step, which nothing here does."
        yield Finding("early-spikes-left-out", "warning", where, message)
    if off > 1e-9:
        message = (
            f"a spike takes {off:.2g} thresholds more or less off v on the chip than the threshold itself, "
            "which is what a neuron with reset by subtraction takes off here."
        )
        yield Finding("reset-register-left-out", "info" if off < 1e-3 else "warning", where, message)
    if p.refractory > int(p.model == "lif"):
        message = f"on the chip it rests {p.refractory} steps after a spike; a neuron here has no word for that."
        yield Finding("refractory-left-out", "warning", where, message)


def _shaped(values: Any, p: Population) -> NDArray[np.float32]:
    """float32, 0-d where all neurons share the value, else of the population's shape."""
    array = np.asarray(values, np.float64).reshape(-1)
    if not array.size or np.ptp(array) == 0:
        return np.asarray(array[0] if array.size else 0.0, np.float32)
    return array.reshape(p.shape).astype(np.float32)
