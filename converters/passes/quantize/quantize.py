"""quantize: Circuit in, ChipNetwork out. The one step that stands between floats and integers. DESIGN section 5.

Populations are taken in the order of their clocks, and each is searched with the spikes that its sources send *on the
chip*, so that an early layer's error is met, and where possible made good, by the next. Populations that form a loop
hear the float network's spikes from those not yet done; the whole is then rehearsed in integers, and what the
rehearsal shows is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import networkx as nx
import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Ints, Population, Synapses
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA, Circuit, Connection
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.passes.quantize.calibration import Calibration, Floats, float_peaks
from spikeport.converters.passes.quantize.initial import undo_waiting
from spikeport.converters.passes.quantize.losses import losses, report
from spikeport.converters.passes.quantize.registers import STATE_UNIT, population_at
from spikeport.converters.passes.quantize.rehearsal import rehearse
from spikeport.converters.passes.quantize.search import Candidate, Problem, best
from spikeport.converters.passes.quantize.trial import arriving, lagged
from spikeport.converters.passes.quantize.units import message_unit, unit_peaks
from spikeport.converters.passes.quantize.weights import WeightFormat, single, split, times, values, with_integers
from spikeport.converters.quantization import QuantizationReport
from spikeport.errors import ModelError
from spikeport.hw_profiles.profile import Profile

Split: TypeAlias = Literal["auto", "never", "always"]
Chosen: TypeAlias = dict[str, Candidate]

SPLIT_BELOW = 0.95
"""`auto` tries split weights where a single group reproduces less than this share of the float network's spikes..."""
SPLIT_GAIN = 0.5
"""...and keeps them if they leave less than this share of the mismatch."""


@dataclass(frozen=True)
class Choices:
    """What a user decides about quantization.

    Attributes:
        split: whether a connection may become a coarse and a fine synapse group.
        scales: how many scales are simulated per population.
        whole: populations whose weights stay one group although ``split`` is "auto".
        weight_bits: bits per weight, at most the chip's; None for the chip's own.
    """

    split: Split = "auto"
    scales: int = 8
    whole: frozenset[str] = frozenset()
    weight_bits: int | None = None


@dataclass(frozen=True)
class Quantized:
    """The integer network and the record of what it cost."""

    network: ChipNetwork
    report: QuantizationReport


@dataclass(frozen=True)
class _Task:
    """What stays the same for all populations."""

    circuit: Circuit
    calibration: Calibration
    form: WeightFormat
    graded: frozenset[str]
    choices: Choices
    step: Callable[[str], None]

    @property
    def order(self) -> list[str]:
        """Populations but inputs, by their clocks: sources of the same step come first."""
        names = [n for n in self.circuit.populations if n not in self.circuit.inputs]
        return sorted(names, key=lambda n: self.circuit.populations[n].shift)


def quantize(
    circuit: Circuit,
    calibration: Calibration,
    profile: Profile,
    choices: Choices = Choices(),
    step: Callable[[str], None] = lambda name: None,
) -> Outcome[Quantized]:
    """Choose integers for an aligned circuit.

    Args:
        circuit: the output of `align`.
        calibration: inputs and what the float network did with them.
        profile: the chip's formats and limits.
        choices: see `Choices`.
        step: called with what is being done.
    """
    graded = frozenset(n for n, p in circuit.populations.items() if p.max_spikes > 1)
    limits = profile.limits
    bits = min(choices.weight_bits or limits.weight_bits.value, limits.weight_bits.value)
    form = WeightFormat(bits, limits.weight_exp_max.value, limits.weight_exp_min.value)
    task = _Task(circuit, calibration, form, graded, choices, step)
    loops = _loops(circuit)
    chosen = _rehearsed(task, _all(task, frozenset()), loops)
    doubtful = frozenset(n for n in loops if _may_split(n, chosen[n], choices))
    if doubtful:
        finer = _rehearsed(task, _all(task, doubtful), loops)
        if _mismatch(finer, loops) < SPLIT_GAIN * _mismatch(chosen, loops):
            chosen = finer
    may_hold = "lif_refractory" in profile.neuron_models
    return _assembled(circuit, chosen, tuple(_splits(chosen, choices)), may_hold)


def _loops(circuit: Circuit) -> frozenset[str]:
    """Populations that hear themselves through others."""
    graph = nx.DiGraph((c.source, c.target) for c in circuit.connections.values())
    return frozenset(n for loop in nx.strongly_connected_components(graph) if len(loop) > 1 for n in loop)


def _all(task: _Task, finer: frozenset[str]) -> Chosen:
    """Every population in turn; ``finer`` names those whose weights are to be split."""
    trains = _known_trains(task)
    chosen: Chosen = {}
    for name in task.order:
        task.step(f"quantize {name}")
        problem = _problem(name, task, trains, chosen)
        chosen[name] = best(problem, split) if name in finer else _choose(problem, task.choices)
        trains[name] = chosen[name].spikes
    return chosen


def _rehearsed(task: _Task, chosen: Chosen, loops: frozenset[str]) -> Chosen:
    """The scores of a run of all populations together, where a loop makes that differ from one by one."""
    if not loops:
        return chosen
    populations = {n: c.population for n, c in chosen.items()}
    synapses = [s for c in chosen.values() for parts in c.draft.synapses.values() for s in parts]
    lags = {
        s.name: task.circuit.connections[n].lag for c in chosen.values() for n, p in c.draft.synapses.items() for s in p
    }
    targets = {n: t for n, t in task.calibration.targets.items() if n in chosen}
    trials = rehearse(populations, synapses, lags, task.calibration.inputs, targets)
    return {n: replace(c, score=trials[n].score) if n in trials else c for n, c in chosen.items()}


def _may_split(name: str, candidate: Candidate, choices: Choices) -> bool:
    unsplit = all(len(parts) == 1 for parts in candidate.draft.groups.values())
    free = choices.split == "auto" and name not in choices.whole
    return free and unsplit and candidate.score.agreement < SPLIT_BELOW


def _mismatch(chosen: Chosen, names: frozenset[str]) -> float:
    return sum(chosen[n].score.mismatch for n in names)


def _known_trains(task: _Task) -> dict[str, Ints]:
    """What each population sends as far as is known before any is done: inputs, the float network's spikes, relays."""
    circuit = task.circuit
    trains = {name: np.asarray(data, dtype=np.int64) for name, data in task.calibration.inputs.items()}
    for name, target in task.calibration.targets.items():
        if circuit.populations[name].model not in READOUTS | SIGMA_DELTA:
            trains[name] = np.rint(target).astype(np.int64)
    for name in task.order:
        heard = any(c.target == name for c in circuit.connections.values())
        if heard and name not in trains and name not in task.calibration.targets:
            (relayed,) = (c for c in circuit.connections.values() if c.target == name)
            trains[name] = lagged(trains[relayed.source], relayed.lag)
    return trains


def _problem(name: str, task: _Task, trains: Mapping[str, Ints], chosen: Chosen) -> Problem:
    population = task.circuit.populations[name]
    into = {n: _per_message(c, chosen) for n, c in task.circuit.connections.items() if c.target == name}
    shape = (*next(iter(trains.values())).shape[:2], population.size)
    foreign = _float_arrivals({n: c for n, c in into.items() if c.source != name}, trains, shape)
    own = _float_arrivals({n: c for n, c in into.items() if c.source == name}, trains, shape)
    target = task.calibration.targets.get(name)
    if target is None:
        # A relay repeats what it hears; what hears nothing gives its bias.
        target = np.rint(foreign) if into else np.broadcast_to(population.bias, shape).astype(np.float64)
    find = unit_peaks if population.model in SIGMA_DELTA else float_peaks
    peaks = find(population, foreign + own, target)
    return Problem(name, population, into, trains, foreign, target, peaks, task.form, task.graded, task.choices.scales)


def _per_message(connection: Connection, chosen: Chosen) -> Connection:
    """The connection with weights per payload of 1, where its source's payloads count something else."""
    source = chosen.get(connection.source)
    if source is None or source.population.model not in SIGMA_DELTA:
        return connection
    return replace(connection, weights=times(connection.weights, message_unit(source.population)))


def _float_arrivals(into: Mapping[str, Connection], trains: Mapping[str, Ints], shape: tuple[int, ...]) -> Floats:
    """What the trained weights make of ``trains``, (B, T, n): integer sums of weights at 24 bits and more."""
    heard = np.zeros(shape)
    for name, connection in into.items():
        unit = float(np.abs(values(connection.weights)).max(initial=0)) / 2**28 or 1.0
        ints = np.rint(values(connection.weights) / unit).astype(np.int64)
        group = Synapses(
            name, connection.source, connection.target, with_integers(connection.weights, ints), graded=True
        )
        heard += arriving([group], {name: connection.lag}, trains) * unit
    return heard


def _choose(problem: Problem, choices: Choices) -> Candidate:
    if choices.split == "always":
        return best(problem, split)
    found = best(problem, single)
    if not _may_split(problem.name, found, choices):
        return found
    finer = best(problem, split)
    return finer if finer.score.mismatch < SPLIT_GAIN * found.score.mismatch else found


def _splits(chosen: Chosen, choices: Choices) -> list[Finding]:
    """Where weights were split without being asked for."""
    if choices.split != "auto":
        return []
    message = (
        f"weights are split into a coarse and a fine group, for twice the synaptic memory and operations: one 8-bit "
        f"group kept less than {SPLIT_BELOW:.0%} of the trained spikes, two keep"
    )
    advice = "Use --split-weights never to save that."
    return [
        Finding("weights-split", "info", name, f"{message} {c.score.agreement:.1%}.", advice)
        for name, c in chosen.items()
        if any(len(parts) > 1 for parts in c.draft.groups.values())
    ]


def _assembled(circuit: Circuit, chosen: Chosen, splits: tuple[Finding, ...], may_hold: bool) -> Outcome[Quantized]:
    """The integer network, its waiting undone, and everything there is to say about it."""
    populations: dict[str, Population] = {
        n: population_at(n, circuit.populations[n], 1.0 / STATE_UNIT) for n in circuit.inputs
    }
    synapses: dict[str, Synapses] = {}
    findings = list(splits)
    circuit = replace(circuit, connections={n: _per_message(c, chosen) for n, c in circuit.connections.items()})
    for name, candidate in chosen.items():
        warm = undo_waiting(candidate.population, may_hold=may_hold)
        populations[name] = warm.population
        for group in (s for parts in candidate.draft.synapses.values() for s in parts):
            if group.name in synapses:
                raise ModelError(f"{group.name}: two synapse groups would have this name; rename one of the nodes.")
            synapses[group.name] = group
        findings += losses(circuit, candidate, warm)
    network = ChipNetwork(populations, synapses, circuit.inputs, circuit.outputs, circuit.dt)
    return Outcome(Quantized(network, report(circuit, chosen)), tuple(findings))
