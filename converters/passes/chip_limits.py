"""What a register or a format of the chip can hold, checked before anything is cut."""

from __future__ import annotations

import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Ints, Population, Synapses
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA
from spikeport.converters.passes.core_load import models_used
from spikeport.errors import UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile

SIGMA_DELTA_EXP_MAX = 7
"""spike_exp and state_exp are registers of 3 bits (lava-nc 0.10.0 `PySigmaDeltaModelFixed`)."""


def check_chip_limits(network: ChipNetwork, profile: Profile) -> None:
    """Every population and synapse group against the profile's registers, formats and neuron models.

    Raises:
        UnsupportedOnChipError: naming the layer, the number and the limit.
    """
    for population in network.populations.values():
        _check_population(population, profile)
    for synapses in network.synapses.values():
        _check_synapses(synapses, profile)


def _check_population(p: Population, profile: Profile) -> None:
    if p.model == "input":
        return
    for name in models_used(p):
        if name not in profile.neuron_models:
            raise UnsupportedOnChipError(
                f"layer {p.name}: {profile.name} has no neuron model {name}; "
                f"it offers {', '.join(sorted(profile.neuron_models))}"
            )
    limits = profile.limits
    decay_top, mantissa = 1 << limits.decay_bits.value, 1 << (limits.bias_mant_bits.value - 1)
    vth_top, state_top = (1 << limits.vth_bits.value) - 1, (1 << (limits.state_bits.value - 1)) - 1
    _check_range(p, "du", p.du, -1, decay_top, profile)
    _check_range(p, "dv", p.dv, 0, decay_top, profile)
    _check_range(p, "bias_mant", p.bias_mant, -mantissa, mantissa - 1, profile)
    _check_range(p, "bias_exp", p.bias_exp, 0, limits.bias_exp_max.value, profile)
    _check_range(p, "u_init", p.u_init, -state_top, state_top + 1, profile)
    _check_range(p, "v_init", p.v_init, -state_top, state_top, profile)
    if p.model not in READOUTS:
        _check_range(p, "vth", p.vth, 0, vth_top, profile)
    if p.model == "lif_subtract":
        _check_range(p, "reset", p.reset, 0, vth_top, profile)
    if p.model in SIGMA_DELTA:
        _check_exponents(p)
    if p.max_spikes >= 1 << max(1, limits.graded_spike_bits.value):
        raise UnsupportedOnChipError(
            f"layer {p.name} sends up to {p.max_spikes} spikes per step; {profile.name} has "
            f"{limits.graded_spike_bits.value}-bit payloads: retrain with max_spikes=1 or choose another chip"
        )


def _check_exponents(p: Population) -> None:
    for field in ("spike_exp", "state_exp"):
        if not 0 <= getattr(p, field) <= SIGMA_DELTA_EXP_MAX:
            raise UnsupportedOnChipError(
                f"layer {p.name}: {field} = {getattr(p, field)} is outside 0 .. {SIGMA_DELTA_EXP_MAX}"
            )


def _check_range(p: Population, register: str, values: Ints, low: int, high: int, profile: Profile) -> None:
    least, most = int(np.min(values)), int(np.max(values))
    if least < low or most > high:
        raise UnsupportedOnChipError(
            f"layer {p.name}: {register} = {least if least < low else most} does not fit the register of "
            f"{profile.name} ({low} .. {high}); choose another scale"
        )


def _check_synapses(s: Synapses, profile: Profile) -> None:
    limits = profile.limits
    rows = [
        ("weight bits", s.num_weight_bits, 1, limits.weight_bits.value),
        ("weight exponent", s.weight_exp, limits.weight_exp_min.value, limits.weight_exp_max.value),
        ("delay", int(np.min(s.delay)), 0, limits.max_delay.value),
        ("delay", s.max_delay, 0, limits.max_delay.value),
    ]
    for what, value, low, high in rows:
        if not low <= value <= high:
            raise UnsupportedOnChipError(
                f"synapses {s.name}: {what} {value} is outside {profile.name}'s {low} .. {high}"
            )
    if s.graded and limits.graded_spike_bits.value == 0:
        raise UnsupportedOnChipError(f"synapses {s.name} use graded spikes; {profile.name} has none")
