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
from spikeport.converters.circuit import Connection, ConvMap, FloatPopulation
from spikeport.converters.passes.quantize.calibration import Peaks
from spikeport.converters.passes.quantize.registers import BIAS_MAX, STATE_UNIT, VTH_MAX, Tweak, population_at
from spikeport.converters.passes.quantize.trial import Score, arriving, run_population
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


@dataclass(frozen=True)
class Problem:
    """One population with everything its search needs.

    Attributes:
        name, population: the neurons.
        connections: what arrives, by connection name.
        trains: chip spikes of each source, (B, T, n_source).
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
    target: Floats
    peaks: Peaks
    form: WeightFormat
    graded: frozenset[str]
    scales: int


@dataclass(frozen=True)
class Candidate:
    """Integers for one population at one scale; ``groups`` by connection name."""

    scale: float
    tweak: Tweak
    form: WeightFormat
    population: Population
    groups: Mapping[str, tuple[Group, ...]]
    synapses: Mapping[str, Synapses]
    spikes: Ints
    score: Score


def largest_scale(problem: Problem) -> float:
    """The scale at which the first register, the bias or the weights reach their end (vth units per trained unit)."""
    p = problem.population
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
    unit = float(np.median(problem.population.threshold)) if problem.population.model != "integrator" else 0.0
    if unit <= 0:
        return row
    marks = np.floor(row * unit + 1e-6)
    return np.unique(marks[marks >= 1])[::-1] / unit if np.any(marks >= 1) else row[:1]


def best(problem: Problem, quantizer: Quantizer) -> Candidate:
    """The best integers found with one way of quantizing weights."""
    ranked = sorted(scales(problem), key=lambda s: _weight_cost(problem, quantizer, s))
    chosen = [*ranked[: problem.scales - 1], scales(problem)[0]]
    tried = [_candidate(problem, quantizer, scale, Tweak()) for scale in dict.fromkeys(map(float, chosen))]
    return _with_nudged_decays(problem, min(tried, key=_order))


def _order(candidate: Candidate) -> tuple[float, float]:
    return candidate.score.mismatch, -candidate.scale


def _quantized(
    problem: Problem, quantizer: Quantizer, scale: float
) -> Iterator[tuple[str, Floats, Floats, tuple[Group, ...]]]:
    """(connection, weights × scale, importance, groups) of every connection."""
    for name, connection in problem.connections.items():
        scaled = values(connection.weights) * scale
        rate = problem.trains[connection.source].mean((0, 1)) + 1e-3
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


def _candidate(problem: Problem, quantizer: Quantizer, scale: float, tweak: Tweak) -> Candidate:
    groups = {name: g for name, _, _, g in _quantized(problem, quantizer, scale)}
    synapses = synapse_groups(problem, groups)
    return _tried(problem, scale, tweak, groups, synapses, _arrivals(problem, synapses))


def _arrivals(problem: Problem, synapses: Mapping[str, Synapses]) -> Ints:
    """What comes from outside the population itself."""
    foreign = [s for s in synapses.values() if not _is_loop(problem, s)]
    if not foreign:
        return np.zeros(problem.target.shape, dtype=np.int64)
    lags = {s.name: problem.connections[connection_of(s.name)].lag for s in foreign}
    return arriving(foreign, lags, problem.trains)


def _is_loop(problem: Problem, synapses: Synapses) -> bool:
    """Simulated with its own spikes; only a loop of one step is (longer ones hear the float network's)."""
    lag = problem.connections[connection_of(synapses.name)].lag
    return synapses.source == problem.name and not isinstance(lag, np.ndarray) and lag == 1


def _tried(
    problem: Problem,
    scale: float,
    tweak: Tweak,
    groups: Mapping[str, tuple[Group, ...]],
    synapses: Mapping[str, Synapses],
    arrivals: Ints,
) -> Candidate:
    population = population_at(problem.name, problem.population, scale, tweak)
    own = [s for s in synapses.values() if _is_loop(problem, s)]
    trial = run_population(population, arrivals, own, problem.target)
    return Candidate(scale, tweak, problem.form, population, groups, synapses, trial.spikes, trial.score)


def _with_nudged_decays(problem: Problem, start: Candidate) -> Candidate:
    """Try each decay one or two 4096ths off; keep what lowers the mismatch."""
    p = problem.population
    tweaks: list[Tweak] = []
    if np.any((p.membrane_decay > 0) & (p.membrane_decay < 1)):
        tweaks += [Tweak(dv=d) for d in (-2, -1, 1, 2)]
    if np.any((p.current_decay > 0) & (p.current_decay < 1)):
        tweaks += [Tweak(du=d) for d in (-1, 1)]
    arrivals = _arrivals(problem, start.synapses) if tweaks else None
    result = start
    for tweak in tweaks:
        if arrivals is not None and result.score.mismatch > 0:
            tried = _tried(problem, start.scale, tweak, start.groups, start.synapses, arrivals)
            result = min(result, tried, key=_order)
    return result


SUFFIXES: Mapping[int, Sequence[str]] = {1: ("",), 2: ("/coarse", "/fine")}


def connection_of(synapses: str) -> str:
    """The connection a synapse group came from."""
    return synapses.removesuffix("/coarse").removesuffix("/fine")


def synapse_groups(problem: Problem, groups: Mapping[str, tuple[Group, ...]]) -> dict[str, Synapses]:
    """The chip's synapse groups for quantized connections."""
    result: dict[str, Synapses] = {}
    for name, parts in groups.items():
        connection = problem.connections[name]
        for part, suffix in zip(parts, SUFFIXES[len(parts)], strict=True):
            result[name + suffix] = Synapses(
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
    return result
