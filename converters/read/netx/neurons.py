"""What a layer's ``neuron`` group means on the chip.

Sources: lava-dl 0.6.0 `netx.hdf5.Network.get_neuron_params` (du = iDecay - 1, bias_exp 6, spike_exp and state_exp 6),
`slayer.neuron.cuba` and `slayer.neuron.sigma_delta` (scales), `slayer.neuron.norm.WgtScaleBatchNorm` (weight_exp).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from spikeport.converters.chip_network import Ints
from spikeport.converters.circuit import READOUTS, Model
from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.converters.read.netx.numbers import flag, has, integer, integers, refuse, spread, text
from spikeport.errors import UnsupportedNodeError

BIAS_EXP = 6
BIAS_UNIT = 1 << BIAS_EXP
"""A current-based neuron's input or bias of 1 is 2^6 of v."""
UNIT_EXP = 6
"""spike_exp and state_exp of sigma-delta units: netx's defaults, which no file changes."""
CUBA_SCALE = 1 << 12
"""v per unit of SLAYER's voltage: s_scale of `slayer.neuron.cuba.Neuron`, 64 · 2^6."""
SIGMA_SCALE = float(1 << 18)
"""sigma per unit of SLAYER's activation: weights carry 2^6, payloads 2^12 (s_scale)."""
DECAY_TOP = 1 << 12
WEIGHT_EXP_TOP = 8
"""Loihi's weight exponents have 4 bits with sign."""
OUT_OF_REACH = (1 << 17) - 1
"""Thresholds from here on are SLAYER's way to say that a neuron is a readout; v ends 63 units above 2^6 times it."""
_NORM_EXP = 3
"""`WgtScaleBatchNorm` clamps its exponent to this many bits either way in training, but writes it unclamped."""


@dataclass(frozen=True)
class NeuronKind:
    """A layer's neurons.

    Attributes:
        model: the chip's.
        du, dv, vth: registers, 0-d or (n,).
        weight_exp: of the layer's weights. bias_shift: bits by which its bias moves up.
        scale: chip units of v per unit of SLAYER's.
    """

    model: Model
    du: Ints
    dv: Ints
    vth: Ints
    weight_exp: int = 0
    bias_shift: int = 0
    scale: float = CUBA_SCALE

    @property
    def reads_out(self) -> bool:
        """Whether nothing is ever sent."""
        return self.model in READOUTS


def neuron_kind(layer: RawLayer, shape: Shape) -> NeuronKind:
    """The neurons of ``layer``, which has ``shape``.

    Raises:
        UnsupportedNodeError: a kind of neuron without a chip model here; the message says why.
        ModelError: a parameter that is missing or out of range.
    """
    if not has(layer, "neuron"):
        return _integrator()
    kind = text(layer, "neuron/type")
    if kind in _KINDS:
        return _KINDS[kind](layer, shape)
    reason = _REFUSED.get(kind, f"spikeport knows {', '.join([*_KINDS, *_REFUSED])}")
    raise UnsupportedNodeError(f"layer '{layer.name}': neurons of type {kind[:40]!r} cannot be read: {reason}.")


def neuron_findings(layer: RawLayer, kind: NeuronKind) -> Iterator[Finding]:
    """What a user should know of ``kind``, which `neuron_kind` made of ``layer``."""
    if kind.model == "integrator" and has(layer, "neuron"):
        message = f"its threshold (vThMant {OUT_OF_REACH} or more) is out of reach: its v is read out, it never spikes."
        yield Finding("readout", "info", layer.name, message)
    if norm := _norm_exponent(layer):
        message = f"its normalisation divides the current by 2^{norm}, as in training; lava-dl's netx leaves that out."
        advice = "v and threshold carry it, so that decays round finer than in SLAYER." if norm > 0 else ""
        yield Finding("norm-exponent", "warning" if norm > 0 else "info", layer.name, message, advice)
    if exponent := _weight_exponent(layer):
        message = f"wgtExp = {exponent} multiplies its weights by 2^{exponent}; lava-dl's netx leaves that out."
        yield Finding("weight-exponent", "warning", layer.name, message, "Compare with the network it came from.")


def is_sigma_delta(layer: RawLayer) -> bool:
    """Whether the layer's neurons are sigma-delta units."""
    return has(layer, "neuron") and text(layer, "neuron/type") == "SDNN"


def _integrator() -> NeuronKind:
    """A layer without neurons: current without decay, v = u, never a spike (netx: iDecay 0, vDecay 4096)."""
    return NeuronKind("integrator", np.asarray(-1), np.asarray(DECAY_TOP), np.asarray(OUT_OF_REACH))


def _cuba(layer: RawLayer, shape: Shape) -> NeuronKind:
    current, voltage = (_decay(layer, key, shape) for key in ("neuron/iDecay", "neuron/vDecay"))
    vth = spread(layer, "neuron/vThMant", integers(layer, "neuron/vThMant"), shape)
    if vth.min() < 0:
        raise refuse(layer, f"neuron/vThMant = {int(vth.min())} is negative")
    if flag(layer, "neuron/gradedSpike"):
        raise UnsupportedNodeError(
            f"layer '{layer.name}': gradedSpike: neurons that send their voltage have no chip model; retrain without."
        )
    if (delay := integer(layer, "neuron/refDelay", 1)) != 1:
        raise UnsupportedNodeError(
            f"layer '{layer.name}': refDelay = {delay}; SLAYER writes 1 (no refractory period), other values have no "
            "defined meaning."
        )
    norm = _norm_exponent(layer)
    up, down = max(-norm, 0), max(norm, 0)
    exponents = (_weight_exponent(layer) + up, up, float(CUBA_SCALE << down))
    if vth.min() >= OUT_OF_REACH:
        return NeuronKind("integrator", current - 1, voltage, np.asarray(OUT_OF_REACH), *exponents)
    return NeuronKind("lif", current - 1, voltage, vth << down, *exponents)


def _decay(layer: RawLayer, key: str, shape: Shape) -> Ints:
    values = spread(layer, key, integers(layer, key), shape)
    if values.min() < 0 or values.max() > DECAY_TOP:
        raise refuse(layer, f"{key} {int(values.min())} .. {int(values.max())} must lie in 0 .. {DECAY_TOP}")
    return values


def _weight_exponent(layer: RawLayer) -> int:
    """Of old files: weights count 2^wgtExp times as much."""
    exponent = integer(layer, "neuron/wgtExp", 0)
    if abs(exponent) > WEIGHT_EXP_TOP:
        raise refuse(layer, f"neuron/wgtExp = {exponent} must lie in -{WEIGHT_EXP_TOP} .. {WEIGHT_EXP_TOP}")
    return exponent


def _norm_exponent(layer: RawLayer) -> int:
    """e of a normalisation that divides the current by 2^e; netx leaves it out.

    Dividing the current, and the bias with it, is the same as multiplying v and the threshold: v · 2^e is what is
    then computed, exactly but for the rounding of its decay, which becomes finer.
    """
    return int(np.clip(integer(layer, "neuron/weight_exp", 0), -_NORM_EXP, _NORM_EXP))


def _sigma_delta(layer: RawLayer, shape: Shape) -> NeuronKind:
    if _norm_exponent(layer):
        raise UnsupportedNodeError(
            f"layer '{layer.name}': weight_exp: a normalisation that scales has no place in sigma-delta units; "
            "retrain with MeanOnlyBatchNorm."
        )
    zero = np.asarray(0)
    if flag(layer, "neuron/sigma_output"):
        return NeuronKind("sigma", zero, zero, zero, scale=SIGMA_SCALE)
    if (activation := text(layer, "neuron/activation")) != "relu":
        raise UnsupportedNodeError(
            f"layer '{layer.name}': sigma-delta units with the activation {activation[:40]!r}; the chip has relu."
        )
    vth = spread(layer, "neuron/vThMant", integers(layer, "neuron/vThMant"), shape)
    if vth.min() < 0:
        raise refuse(layer, f"neuron/vThMant = {int(vth.min())} is negative")
    return NeuronKind("sigma_delta", zero, zero, vth, scale=SIGMA_SCALE)


_KINDS: dict[str, Callable[[RawLayer, Shape], NeuronKind]] = {"CUBA": _cuba, "LOIHI": _cuba, "SDNN": _sigma_delta}
_RESONATOR = "its state is complex, and no chip model here has two coupled currents"
_ADAPTIVE = "its threshold adapts, and no chip model here has an adaptive threshold"
_REFUSED = {
    "RF_PHASE": _RESONATOR,
    "RF_IZHIKEVICH": _RESONATOR,
    "ALIF": _ADAPTIVE,
    "ADRF_PHASE": f"{_RESONATOR}; {_ADAPTIVE} (lava-dl's own reader drops the adaptation silently)",
    "ADRF_IZHIKEVICH": f"{_RESONATOR}; {_ADAPTIVE} (lava-dl's own reader drops the adaptation silently)",
}
