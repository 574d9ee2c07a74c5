"""quantize: Circuit in, ChipNetwork out. The one step that stands between floats and integers. DESIGN section 5.

Populations are taken in the order of their clocks, and each is searched with the spikes that its sources send *on the
chip*, so that an early layer's error is met, and where possible made good, by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, bias
from spikeport.converters.chip_network import ChipNetwork, Ints, Population, Synapses
from spikeport.converters.circuit import Circuit, Connection, FloatPopulation
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.passes.quantize.calibration import Calibration, Floats, float_peaks
from spikeport.converters.passes.quantize.initial import undo_waiting
from spikeport.converters.passes.quantize.registers import STATE_UNIT, flat, population_at
from spikeport.converters.passes.quantize.search import Candidate, Problem, best, connection_of
from spikeport.converters.passes.quantize.trial import arriving
from spikeport.converters.passes.quantize.weights import (
    WeightFormat,
    clipped_share,
    relative_error,
    single,
    split,
    values,
    with_integers,
)
from spikeport.converters.quantization import PopulationError, QuantizationReport, SynapseError
from spikeport.hw_profiles.profile import Profile

Split: TypeAlias = Literal["auto", "never", "always"]
Progress: TypeAlias = Callable[[str, int, int], None]

SPLIT_BELOW = 0.95
"""`auto` tries split weights where a single group reproduces less than this share of the float network's spikes..."""
SPLIT_GAIN = 0.5
"""...and keeps them if they leave less than this share of the mismatch."""
LOW_AGREEMENT = 0.8
"""Below this a layer is warned about."""
DECAY_TOLERANCE = 0.05
"""A decay whose time constant moves by more than this is reported."""


@dataclass(frozen=True)
class Quantized:
    """The integer network and the record of what it cost."""

    network: ChipNetwork
    report: QuantizationReport


def quantize(
    circuit: Circuit,
    calibration: Calibration,
    profile: Profile,
    split_weights: Split = "auto",
    scales: int = 8,
    progress: Progress | None = None,
) -> Outcome[Quantized]:
    """Choose integers for an aligned circuit.

    Args:
        circuit: the output of `align`.
        calibration: inputs and what the float network did with them; short trains of zeros mean "no data".
        profile: the chip's formats and limits.
        split_weights: whether a connection may become a coarse and a fine synapse group.
        scales: how many scales are simulated per population.
        progress: called with (population, number done, number in all).
    """
    order = sorted(
        (n for n in circuit.populations if n not in circuit.inputs), key=lambda n: circuit.populations[n].shift
    )
    trains = _known_trains(circuit, calibration)
    graded = frozenset(n for n in circuit.populations if _is_graded(n, circuit, calibration))
    limits = profile.limits
    form = WeightFormat(*(x.value for x in (limits.weight_bits, limits.weight_exp_max, limits.weight_exp_min)))
    chosen: dict[str, Candidate] = {}
    findings: list[Finding] = []
    for done, name in enumerate(order):
        if progress is not None:
            progress(name, done, len(order))
        problem = _problem(name, circuit, calibration, trains, form, graded, scales)
        chosen[name] = _choose(problem, split_weights, findings)
        trains[name] = chosen[name].spikes
    return _assembled(circuit, chosen, findings)


def _known_trains(circuit: Circuit, calibration: Calibration) -> dict[str, Ints]:
    """What each population sends as far as it is known now: inputs, the float network's spikes, relayed spikes."""
    trains = {name: np.asarray(data, dtype=np.int64) for name, data in calibration.inputs.items()}
    for name, target in calibration.targets.items():
        if circuit.populations[name].model != "integrator":
            trains[name] = np.rint(target).astype(np.int64)
    return trains


def _is_graded(name: str, circuit: Circuit, calibration: Calibration) -> bool:
    if name in circuit.inputs:
        return bool(np.max(calibration.inputs[name], initial=0) > 1)
    return (circuit.populations[name].max_spikes or 2) > 1


def _problem(
    name: str,
    circuit: Circuit,
    calibration: Calibration,
    trains: Mapping[str, Ints],
    form: WeightFormat,
    graded: frozenset[str],
    scales: int,
) -> Problem:
    population = circuit.populations[name]
    into = {n: c for n, c in circuit.connections.items() if c.target == name}
    heard = _float_arrivals(population, into, trains, calibration)
    target = calibration.targets.get(name)
    if target is None:  # a relay: it repeats what it hears
        target = (heard > 0.5).astype(np.float64)
    peaks = float_peaks(population, heard, target)
    return Problem(name, population, into, trains, target, peaks, form, graded, scales)


def _float_arrivals(
    p: FloatPopulation, into: Mapping[str, Connection], trains: Mapping[str, Ints], calibration: Calibration
) -> Floats:
    """What the trained weights make of the chip's spikes, (B, T, n): integer sums of weights at 24 bits and more."""
    heard = np.zeros((*next(iter(calibration.inputs.values())).shape[:2], p.size))
    for name, connection in into.items():
        unit = float(np.abs(values(connection.weights)).max(initial=0)) / 2**28 or 1.0
        ints = np.rint(values(connection.weights) / unit).astype(np.int64)
        group = Synapses(
            name, connection.source, connection.target, with_integers(connection.weights, ints), graded=True
        )
        heard += arriving([group], {name: connection.lag}, trains) * unit
    return heard


def _choose(problem: Problem, split_weights: Split, findings: list[Finding]) -> Candidate:
    if split_weights == "always":
        return best(problem, split)
    found = best(problem, single)
    if split_weights == "never" or found.score.agreement >= SPLIT_BELOW:
        return found
    finer = best(problem, split)
    if finer.score.mismatch >= SPLIT_GAIN * found.score.mismatch:
        return found
    message = (
        f"weights are split into a coarse and a fine group: {found.score.agreement:.0%} of the trained spikes became "
        f"{finer.score.agreement:.0%}, for twice the synaptic memory and operations."
    )
    findings.append(Finding("weights-split", "info", problem.name, message, "Use --split-weights never to save that."))
    return finer


# ---- the integer network and its record -------------------------------------------------------------------------


def _assembled(circuit: Circuit, chosen: Mapping[str, Candidate], findings: list[Finding]) -> Outcome[Quantized]:
    populations: dict[str, Population] = {
        n: population_at(n, circuit.populations[n], 1.0 / STATE_UNIT) for n in circuit.inputs
    }
    synapses: dict[str, Synapses] = {}
    for name, candidate in chosen.items():
        warm = undo_waiting(candidate.population)
        populations[name] = warm.population
        synapses.update(candidate.synapses)
        findings += _findings(circuit.populations[name], candidate, warm.miss)
    network = ChipNetwork(populations, synapses, circuit.inputs, circuit.outputs, circuit.dt)
    return Outcome(Quantized(network, _report(circuit, chosen)), tuple(findings))


def _report(circuit: Circuit, chosen: Mapping[str, Candidate]) -> QuantizationReport:
    synapses: dict[str, SynapseError] = {}
    for candidate in chosen.values():
        for name, groups in candidate.groups.items():
            scaled = values(circuit.connections[name].weights) * candidate.scale
            synapses[name] = SynapseError(
                groups=tuple(s for s in candidate.synapses if connection_of(s) == name),
                relative_error=relative_error(groups, scaled),
                clipped_share=clipped_share(groups, scaled, candidate.form),
                weight_exps=tuple(g.exp for g in groups),
                sign_mode=groups[0].mode,
            )
    populations = {n: _population_error(circuit.populations[n], c) for n, c in chosen.items()}
    return QuantizationReport(synapses, populations)


def _population_error(p: FloatPopulation, candidate: Candidate) -> PopulationError:
    chip, unit = candidate.population, candidate.scale
    threshold = flat(p.threshold, p)
    kept_u, kept_v = 1 - (chip.du + DS_OFFSET) / DECAY_UNITY, 1 - chip.dv / DECAY_UNITY
    bias_error = np.abs(bias(chip.bias_mant, chip.bias_exp) / chip.scale - flat(p.bias, p))
    spiking = p.model != "integrator"
    return PopulationError(
        scale=unit,
        current_decay_error=float(np.abs(kept_u - flat(p.current_decay, p)).max()),
        membrane_decay_error=float(np.abs(kept_v - flat(p.membrane_decay, p)).max()),
        threshold_error=float(np.abs(chip.vth / unit / threshold - 1).max()) if spiking else 0.0,
        bias_error=float((bias_error / (np.abs(threshold) if spiking else 1.0)).max()),
        u_peak=candidate.score.u_peak,
        v_peak=candidate.score.v_peak,
        spike_agreement=candidate.score.agreement,
    )


def _findings(p: FloatPopulation, candidate: Candidate, miss: int) -> list[Finding]:
    name = candidate.population.name
    error = _population_error(p, candidate)
    found: list[Finding] = []
    if miss:
        threshold = np.abs(p.threshold).max() * candidate.population.scale
        found.append(
            Finding(
                "bias-head-start",
                "warning",
                name,
                f"starts {miss / threshold:.2g} thresholds away from where the trained network starts: its bias acts "
                f"during the {p.shift} steps before its first input, and no initial state undoes all of that.",
                "Ignore the first few steps, or lower the layer's bias.",
            )
        )
    for what, trained, off in (
        ("current", flat(p.current_decay, p), error.current_decay_error),
        ("membrane", flat(p.membrane_decay, p), error.membrane_decay_error),
    ):
        found += _decay_finding(name, what, trained, off)
    if max(error.u_peak, error.v_peak) >= 1.0:
        found.append(
            Finding(
                "state-overflow",
                "warning",
                name,
                f"u reaches {error.u_peak:.0%} and v {error.v_peak:.0%} of the 24-bit range on the calibration data.",
                "Use calibration data that cover the strongest inputs.",
            )
        )
    if candidate.score.agreement < LOW_AGREEMENT:
        found.append(
            Finding(
                "low-agreement",
                "warning",
                name,
                f"shares {candidate.score.agreement:.0%} of its spikes with the trained network on calibration data.",
                "Try --split-weights always, more calibration samples, or fine-tuning.",
            )
        )
    return found


def _decay_finding(name: str, what: str, trained: Floats, off: float) -> list[Finding]:
    leaking = 1 - trained[trained < 1]
    share = off / float(leaking.min()) if leaking.size else (off > 0) * 1.0
    if share <= DECAY_TOLERANCE:
        return []
    advice = "A coarser time step makes the decay per step larger, and 12 bits finer for it."
    message = f"its {what} decay of {trained.max():.6g} per step is {off:.2g} off on the chip's 12 bits ({share:.0%})."
    return [Finding("decay-rounded", "warning", name, message, advice)]
