"""The scale search of one population: which integers make it behave like the float one on calibration data.

A large scale makes rounding and the leak of truncated decays small; registers, bias and weight range bound it from
above. Below the bound, scales differ in how well the weights happen to round. So: a geometric row of scales under the
bound, ranked by the weights' rounding error weighted with the firing rate of their sources; the best few are
simulated; the decays are then nudged where that helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.converters.chip_network import Ints, Population, Synapses
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA, Connection, ConvMap, FloatPopulation
from spikeport.converters.passes.quantize.calibration import Peaks
from spikeport.converters.passes.quantize.registers import BIAS_MAX, STATE_UNIT, VTH_MAX, Tweak, flat, population_at
from spikeport.converters.passes.quantize.trial import Score, arriving, run_population
from spikeport.converters.passes.quantize.units import largest_unit_scale, unit_at
from spikeport.converters.passes.quantize.weights import (
    Floats,
    Group,
    Quantizer,
    WeightFormat,
    grid_step,
    importance_of,
    rounding,
    values,
    with_integers,
)

HEADROOM = 1.5
"""On other data than the calibration set u may be this much larger before it wraps around, which ruins a run..."""
V_HEADROOM = 1.25
"""...and v before it is clipped, which costs little: nearly always far below zero, where only recovery is shortened."""
OCTAVES = 3
SMALL = 1 << 18
"""Up to this many neuron-steps of calibration, three of the best scales are refined; beyond, where it costs, one."""


@dataclass(frozen=True)
class Problem:
    """One population with everything its search needs.

    Attributes:
        name, population: the neurons.
        connections: what arrives, by connection name.
        trains: chip spikes of each source, (B, T, n_source).
        foreign: what the trained weights make of the other populations' spikes, (B, T, n), in trained units.
        target: what the float network gave, (B, T, n).
        peaks: of the float dynamics.
        form: the profile's weight format.
        graded: sources whose spikes carry payloads.
        scales: how many scales are simulated.
    """

    name: str
    population: FloatPopulation
    connections: Mapping[str, Connection]
    trains: Mapping[str, Ints]
    foreign: Floats
    target: Floats
    peaks: Peaks
    form: WeightFormat
    graded: frozenset[str]
    scales: int


@dataclass(frozen=True)
class Draft:
    """Weights at one scale: groups and synapses by connection name, and what arrives from other populations."""

    scale: float
    groups: Mapping[str, tuple[Group, ...]]
    synapses: Mapping[str, tuple[Synapses, ...]]
    arrivals: Ints


@dataclass(frozen=True)
class Candidate:
    """A draft with registers, tried on the calibration data."""

    draft: Draft
    population: Population
    spikes: Ints
    score: Score


def largest_scale(problem: Problem) -> float:
    """The scale at which the first register, the bias or the weights reach their end (vth units per trained unit)."""
    p = problem.population
    if p.model in SIGMA_DELTA:
        weights = np.concatenate([np.zeros(0), *(values(c.weights).reshape(-1) for c in problem.connections.values())])
        return largest_unit_scale(p, problem.peaks, weights, problem.form.max_exp)
    largest_weight = max((np.abs(values(c.weights)).max(initial=0) for c in problem.connections.values()), default=0)
    bounds = {
        "threshold": (VTH_MAX, np.abs(p.threshold).max() if p.model != "integrator" else 0.0),
        "reset": (VTH_MAX, np.abs(p.reset_amount).max()),
        "bias": (BIAS_MAX / STATE_UNIT, np.abs(p.bias).max()),
        "u": (STATE_LIMIT / STATE_UNIT / HEADROOM, problem.peaks.u),
        "v": (STATE_LIMIT / STATE_UNIT / V_HEADROOM, problem.peaks.v),
        "weight": (254.0 * 2**problem.form.max_exp, largest_weight),
        "initial u": (STATE_LIMIT / STATE_UNIT - 1, np.abs(p.u_init).max()),
    }
    return float(min((end / float(size) for end, size in bounds.values() if size > 0), default=1.0))


def scales(problem: Problem) -> NDArray[np.float64]:
    """The row of scales to consider, largest first; thresholds fall on integers.

    Where training left the weights on a grid, the scales at which they are integers of the chip come first in rank.
    """
    top = largest_scale(problem)
    row = top * 2.0 ** (-np.arange(OCTAVES * 8) / 8)
    steps = [grid_step(values(c.weights)) for c in problem.connections.values()]
    for step in {s for s in steps if s is not None} if None not in steps else ():
        exact = 2.0 ** np.arange(17) / step
        row = np.sort(np.concatenate([row, exact[exact <= top]]))[::-1]
    spiking = problem.population.model not in READOUTS | SIGMA_DELTA
    unit = float(np.median(problem.population.threshold)) if spiking else 0.0
    if unit <= 0:
        return row
    marks = np.floor(row * unit + 1e-6)
    return np.unique(marks[marks >= 1])[::-1] / unit if np.any(marks >= 1) else row[:1]


def best(problem: Problem, quantizer: Quantizer) -> Candidate:
    """The best integers found with one way of quantizing weights."""
    row = scales(problem)
    ranked = sorted(row, key=lambda s: _weight_cost(problem, quantizer, s))
    chosen = dict.fromkeys(map(float, (*ranked[: problem.scales - 1], row[0])))
    tried = [_try(problem, _draft(problem, quantizer, scale), Tweak()) for scale in chosen]
    promising = sorted(tried, key=_order)[: 3 if problem.target.size <= SMALL else 1]
    refined = [_refined(problem, c) for c in promising]
    return min(refined, key=_order)


def _order(candidate: Candidate) -> tuple[float, float]:
    return candidate.score.mismatch, -candidate.draft.scale


def _quantized(
    problem: Problem, quantizer: Quantizer, scale: float
) -> Iterator[tuple[str, Floats, Floats, tuple[Group, ...]]]:
    """(connection, weights × scale, importance, groups) of every connection."""
    for name, connection in problem.connections.items():
        scaled = values(connection.weights) * scale
        rate = np.abs(problem.trains[connection.source]).mean((0, 1)) + 1e-3
        importance = importance_of(connection.weights, rate)
        yield name, scaled, importance, quantizer(scaled, importance, _format(problem, connection))


def _format(problem: Problem, connection: Connection) -> WeightFormat:
    """Negative exponents only where sums are large and Lava can follow (`weights`)."""
    fine = connection.source in problem.graded and not isinstance(connection.weights, ConvMap)
    return problem.form if fine else replace(problem.form, min_exp=0)


def _weight_cost(problem: Problem, quantizer: Quantizer, scale: float) -> float:
    """Σ of rate-weighted squared weight errors in trained units."""
    cost = 0.0
    for _, scaled, importance, groups in _quantized(problem, quantizer, scale):
        cost += float(np.sum(importance * rounding(groups, scaled) ** 2))
    return cost / scale**2


def _draft(problem: Problem, quantizer: Quantizer, scale: float) -> Draft:
    groups = {name: g for name, _, _, g in _quantized(problem, quantizer, scale)}
    synapses = {name: _synapses(problem, name, parts) for name, parts in groups.items()}
    foreign = [s for parts in synapses.values() for s in parts if s.source != problem.name]
    if not foreign:
        return Draft(scale, groups, synapses, np.zeros(problem.target.shape, dtype=np.int64))
    return Draft(scale, groups, synapses, arriving(foreign, _lags(problem, synapses), problem.trains))


def _lags(problem: Problem, synapses: Mapping[str, tuple[Synapses, ...]]) -> dict[str, int | Ints]:
    return {s.name: problem.connections[name].lag for name, parts in synapses.items() for s in parts}


def _try(problem: Problem, draft: Draft, tweak: Tweak, correction: Floats | None = None) -> Candidate:
    if problem.population.model in SIGMA_DELTA:
        population = unit_at(problem.name, problem.population, problem.peaks, draft.scale)
    else:
        population = population_at(problem.name, problem.population, draft.scale, tweak, correction)
    own = [s for parts in draft.synapses.values() for s in parts if s.source == problem.name]
    trial = run_population(population, draft.arrivals, own, _lags(problem, draft.synapses), problem.target)
    return Candidate(draft, population, trial.spikes, trial.score)


def _refined(problem: Problem, start: Candidate) -> Candidate:
    """Each decay one or two 4096ths off, biases that cancel the weights' mean error: whatever lowers the mismatch."""
    p, result = problem.population, start
    if start.score.mismatch == 0 or p.model in SIGMA_DELTA:
        # A sigma-delta unit with a bias of its own sends before its first frame is there.
        return start
    tweaks: list[Tweak] = []
    if np.any((p.membrane_decay > 0) & (p.membrane_decay < 1)):
        tweaks += [Tweak(dv=d) for d in (-2, -1, 1, 2)]
    if np.any((p.current_decay > 0) & (p.current_decay < 1)):
        tweaks += [Tweak(du=d) for d in (-1, 1)]
    for tweak in tweaks:
        result = min(result, _try(problem, start.draft, tweak), key=_order)
    return min(result, _try(problem, start.draft, Tweak(), _bias_correction(problem, start.draft)), key=_order)


def _bias_correction(problem: Problem, draft: Draft) -> Floats:
    """The bias, (n,) in trained units, that cancels the mean error of what arrives; a current of decay a sums it up."""
    error = (draft.arrivals / draft.scale - problem.foreign).mean((0, 1))
    kept = 1 - flat(problem.population.current_decay, problem.population)
    settled: Floats = np.divide(-error, kept, out=np.zeros_like(error), where=kept > 0)
    return settled


SUFFIXES: Mapping[int, Sequence[str]] = {1: ("",), 2: ("/coarse", "/fine")}


def _synapses(problem: Problem, name: str, parts: tuple[Group, ...]) -> tuple[Synapses, ...]:
    """The chip's synapse groups for one quantized connection."""
    connection = problem.connections[name]
    return tuple(
        Synapses(
            name=name + suffix,
            source=connection.source,
            target=connection.target,
            connectivity=with_integers(connection.weights, part.ints),
            weight_exp=part.exp,
            num_weight_bits=problem.form.bits,
            sign_mode=part.mode,
            delay=connection.delay,
            graded=connection.source in problem.graded,
        )
        for part, suffix in zip(parts, SUFFIXES[len(parts)], strict=True)
    )
