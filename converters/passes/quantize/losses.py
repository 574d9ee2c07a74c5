"""What quantization lost: the report of every layer, and a finding for each loss that is worth a user's time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, bias
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA, Circuit, FloatPopulation
from spikeport.converters.findings import Finding
from spikeport.converters.passes.quantize.initial import WarmUp
from spikeport.converters.passes.quantize.registers import BIAS_MAX, bias_registers, flat
from spikeport.converters.passes.quantize.search import Candidate
from spikeport.converters.passes.quantize.units import message_unit
from spikeport.converters.passes.quantize.weights import WeightFormat, clipped_share, relative_error, rounding, values
from spikeport.converters.quantization import PopulationError, QuantizationReport, SynapseError

LOW_AGREEMENT = 0.8
"""A layer that shares fewer spikes than this with the float network is warned about."""
DECAY_TOLERANCE = 0.05
"""A decay whose time constant moves by more than this is reported..."""
THRESHOLD_TOLERANCE = 0.02
"""...and a threshold or a bias that moves by more than this share of the threshold..."""
WEIGHT_TOLERANCE = 0.1
"""...and weights whose RMS error is more than this share of them."""


def report(circuit: Circuit, chosen: Mapping[str, Candidate]) -> QuantizationReport:
    """Per connection and per population."""
    return QuantizationReport(
        {n: e for c in chosen.values() for n, e in _weight_errors(circuit, c)},
        {n: _population_error(circuit.populations[n], c) for n, c in chosen.items()},
    )


def losses(circuit: Circuit, candidate: Candidate, warm: WarmUp) -> list[Finding]:
    """Everything about one population that differs from what was trained by more than its tolerance."""
    p, name = circuit.populations[candidate.population.name], candidate.population.name
    error = _population_error(p, candidate)
    return [
        *_waiting(p, candidate, warm),
        *_decay(name, "current", flat(p.current_decay, p), error.current_decay_error),
        *_decay(name, "membrane", flat(p.membrane_decay, p), error.membrane_decay_error),
        *_levels(p, candidate, error),
        *_weights(circuit, candidate),
        *_behaviour(candidate),
    ]


def _weight_errors(circuit: Circuit, candidate: Candidate) -> Iterator[tuple[str, SynapseError]]:
    for name, groups in candidate.draft.groups.items():
        scaled = values(circuit.connections[name].weights) * candidate.draft.scale
        synapses = candidate.draft.synapses[name]
        yield (
            name,
            SynapseError(
                groups=tuple(s.name for s in synapses),
                relative_error=relative_error(groups, scaled),
                clipped_share=clipped_share(groups, scaled, WeightFormat(synapses[0].num_weight_bits, 0)),
                weight_exps=tuple(g.exp for g in groups),
                sign_mode=groups[0].mode,
            ),
        )


def _population_error(p: FloatPopulation, candidate: Candidate) -> PopulationError:
    if p.model in SIGMA_DELTA:
        return _unit_error(p, candidate)
    chip, unit = candidate.population, candidate.draft.scale
    threshold = np.abs(flat(p.threshold, p))
    kept_u, kept_v = 1 - (chip.du + DS_OFFSET) / DECAY_UNITY, 1 - chip.dv / DECAY_UNITY
    # Of the trained bias alone: what was added to it to cancel the weights' mean error is no loss.
    bias_error = np.abs(bias(*bias_registers(flat(p.bias, p) * chip.scale)) / chip.scale - flat(p.bias, p))
    spiking = p.model != "integrator"
    # One threshold unit is what rounding may cost anyway; a threshold of 0 has no relative distance.
    reference = np.maximum(threshold, 1 / unit)
    return PopulationError(
        scale=unit,
        current_decay_error=float(np.abs(kept_u - flat(p.current_decay, p)).max()),
        membrane_decay_error=float(np.abs(kept_v - flat(p.membrane_decay, p)).max()),
        threshold_error=float((np.abs(chip.vth / unit - threshold) / reference).max()) if spiking else 0.0,
        bias_error=float((bias_error / (reference if spiking else 1.0)).max()),
        u_peak=candidate.score.u_peak,
        v_peak=candidate.score.v_peak,
        spike_agreement=candidate.score.agreement,
    )


def _unit_error(p: FloatPopulation, candidate: Candidate) -> PopulationError:
    """Of sigma-delta units, in trained units; of a bias what its register cannot hold."""
    chip = candidate.population
    whole = message_unit(chip)
    beyond = np.maximum(np.abs(flat(p.bias, p)) - BIAS_MAX * whole, 0.0)
    return PopulationError(
        scale=chip.scale,
        current_decay_error=0.0,
        membrane_decay_error=0.0,
        threshold_error=float(np.abs(chip.vth * whole - flat(p.threshold, p)).max()),
        bias_error=float(beyond.max()),
        u_peak=candidate.score.u_peak,
        v_peak=candidate.score.v_peak,
        spike_agreement=candidate.score.agreement,
    )


def _waiting(p: FloatPopulation, candidate: Candidate, warm: WarmUp) -> Iterator[Finding]:
    name, steps = candidate.population.name, f"the {p.shift} step(s) before its first input"
    if warm.early:
        message = f"its bias alone makes it send {warm.early} spike(s) during {steps}, which its targets hear."
        yield Finding("early-spikes", "warning", name, message, "Lower the layer's bias, or ignore the first steps.")
    if warm.miss:
        threshold = float(np.abs(p.threshold).max()) * candidate.population.scale
        message = (
            f"starts {warm.miss / max(threshold, 1.0):.2g} thresholds away from where the trained network starts: its "
            f"bias acts during {steps}, and no initial state undoes all of that."
        )
        yield Finding("bias-head-start", "warning", name, message, "Ignore the first few steps, or lower the bias.")


def _decay(name: str, what: str, trained: np.ndarray, off: float) -> Iterator[Finding]:
    leaking = 1 - trained[trained < 1]
    share = off / float(leaking.min()) if leaking.size else float(off > 0)
    if share > DECAY_TOLERANCE:
        advice = "A coarser time step makes the decay per step larger, and 12 bits finer for it."
        message = (
            f"its {what} decay of {trained.max():.6g} per step is {off:.2g} off on the chip's 12 bits ({share:.0%})."
        )
        yield Finding("decay-rounded", "warning", name, message, advice)


def _levels(p: FloatPopulation, candidate: Candidate, error: PopulationError) -> Iterator[Finding]:
    name, chip = candidate.population.name, candidate.population
    if error.threshold_error > THRESHOLD_TOLERANCE:
        ends = f"{chip.vth.min()} .. {chip.vth.max()}"
        message = f"a threshold is off by {error.threshold_error:.0%}; on the chip they run {ends}."
        advice = "Bring the layer's thresholds, weights and biases closer together in size."
        yield Finding("threshold-rounded", "warning", name, message, advice)
    if error.bias_error > THRESHOLD_TOLERANCE:
        largest = float(np.abs(p.bias).max()) * chip.scale
        cause = "beyond the chip's 13-bit mantissa × 2^7" if largest > BIAS_MAX else "rounded"
        message = f"a bias is off by {error.bias_error:.0%} of the threshold ({cause})."
        yield Finding(
            "bias-rounded", "warning", name, message, "Lower the layer's largest bias, or raise its threshold."
        )


def _weights(circuit: Circuit, candidate: Candidate) -> Iterator[Finding]:
    for name, groups in candidate.draft.groups.items():
        scaled = values(circuit.connections[name].weights) * candidate.draft.scale
        error = relative_error(groups, scaled)
        if error > WEIGHT_TOLERANCE:
            gone = np.mean((scaled != 0) & (rounding(groups, scaled) == -scaled))
            message = f"its weights are off by {error:.0%} (RMS); {gone:.0%} of them became zero."
            advice = "Try --split-weights always, or bring the layer's weights closer together in size."
            yield Finding("weights-rounded", "warning", name, message, advice)


def _behaviour(candidate: Candidate) -> Iterator[Finding]:
    name, score = candidate.population.name, candidate.score
    if score.overflows:
        message = (
            f"u wrapped or v was clipped {score.overflows} time(s) on the calibration data; "
            f"u reaches {score.u_peak:.0%} and v {score.v_peak:.0%} of 24 bits."
        )
        yield Finding("state-overflow", "warning", name, message, "Lower the layer's strongest weights or biases.")
    advice = "Try --split-weights always, more calibration samples, or fine-tuning."
    if candidate.population.model in READOUTS | SIGMA_DELTA:
        if score.agreement < LOW_AGREEMENT:
            message = f"its values are {1 - score.agreement:.0%} off the trained network's on calibration data."
            yield Finding("low-agreement", "warning", name, message, advice)
    elif score.agreement < LOW_AGREEMENT <= score.counts:
        message = (
            f"shares {score.agreement:.0%} of its spikes with the trained network step by step on calibration data, "
            f"and {score.counts:.0%} of their numbers over all steps: enough where rates carry the answer."
        )
        yield Finding("other-times", "info", name, message)
    elif score.agreement < LOW_AGREEMENT:
        message = f"shares {score.agreement:.0%} of its spikes with the trained network on calibration data."
        yield Finding("low-agreement", "warning", name, message, advice)
