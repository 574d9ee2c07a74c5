"""Trying one population on calibration data in the chip's own arithmetic, and scoring it against the float network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.accumulate import accumulator, payload
from spikeport.converters.arithmetic import STATE_LIMIT, initial_state, shift, update
from spikeport.converters.chip_network import Ints, Population, Synapses
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA

Floats = NDArray[np.float64]
N = TypeVar("N", bound=np.generic)
FRAMES = 64


@dataclass(frozen=True)
class Score:
    """How one population did.

    Attributes:
        mismatch: spikes too many plus spikes missing; for integrators and sigma-delta units the mean distance of their
            v from the target over the target's RMS.
        agreement: common spikes over the larger count; for integrators and sigma-delta units 1 - mismatch.
        counts: the same of each neuron's spikes over all steps, whenever they came; of mean potentials for the others.
        u_peak, v_peak: largest abs state as a share of 24 bits.
        overflows: how often u wrapped or v was clipped.
    """

    mismatch: float
    agreement: float
    counts: float
    u_peak: float
    v_peak: float
    overflows: int


@dataclass(frozen=True)
class Trial:
    """The trains (B, T, n) of a tried population and its score."""

    spikes: Ints
    score: Score


def lagged(train: NDArray[N], lag: int | Ints) -> NDArray[N]:
    """A train (B, T, n) as it is heard ``lag`` steps later, zeros before; ``lag`` may differ per neuron."""
    if not isinstance(lag, np.ndarray):
        return _later(train, lag)
    heard = np.zeros_like(train)
    for steps in np.unique(lag):
        mine = np.broadcast_to(lag == steps, train.shape[2:])
        heard[:, :, mine] = _later(train[:, :, mine], int(steps))
    return heard


def _later(train: NDArray[N], steps: int) -> NDArray[N]:
    if steps == 0:
        return train
    heard = np.zeros_like(train)
    heard[:, steps:] = train[:, : max(train.shape[1] - steps, 0)]
    return heard


def arriving(synapses: Sequence[Synapses], lags: Mapping[str, int | Ints], trains: Mapping[str, Ints]) -> Ints:
    """Σ of what ``synapses`` deliver, (B, T, n), from whole trains; ``lags`` per synapse group."""
    total: Ints | None = None
    for group in synapses:
        heard = payload(group, lagged(trains[group.source], lags[group.name]))
        frames = heard.reshape(-1, heard.shape[2])
        accumulate = accumulator(group.connectivity)
        parts = [shift(accumulate(frames[i : i + FRAMES]), group.weight_exp) for i in range(0, len(frames), FRAMES)]
        delivered = np.concatenate(parts).reshape(*heard.shape[:2], -1)
        total = delivered if total is None else total + delivered
    if total is None:
        raise ValueError("a population without synapses has no arrivals")
    return total


def run_population(
    population: Population, inputs: Ints, own: Sequence[Synapses], lags: Mapping[str, int | Ints], target: Floats
) -> Trial:
    """Step a population over ``inputs`` (B, T, n); ``own`` are its synapses onto itself, with their ``lags``."""
    batch, steps, _ = inputs.shape
    state = initial_state(population, batch)
    loops = [(accumulator(s.connectivity), s) for s in own]
    spikes = np.zeros_like(inputs)
    potential = np.zeros(inputs.shape)
    peak_u = peak_v = overflows = 0
    for t in range(steps):
        a = inputs[:, t]
        for accumulate, group in loops:
            heard = payload(group, sent_before(spikes, t, lags[group.name]))
            a = a + shift(accumulate(heard), group.weight_exp)
        step = update(population, state, a)
        state = step.state
        spikes[:, t], potential[:, t] = step.spikes, state.v
        peak_u = max(peak_u, int(np.abs(state.u).max(initial=0)))
        peak_v = max(peak_v, int(np.abs(state.v).max(initial=0)))
        overflows += step.u_wraps + step.v_clips
    states = peak_u / STATE_LIMIT, peak_v / STATE_LIMIT, overflows
    if population.model in READOUTS | SIGMA_DELTA:
        return Trial(spikes, readout_score(potential / population.scale + population.offset, target, *states))
    return Trial(spikes, spike_score(spikes, target, *states))


def sent_before(spikes: NDArray[N], t: int, lag: int | Ints) -> NDArray[N]:
    """What was sent ``lag`` steps before t, (B, n); nothing before the start."""
    when = t - np.broadcast_to(np.asarray(lag), spikes.shape[2:])
    sent = np.take_along_axis(spikes, np.maximum(when, 0)[None, None], axis=1)[:, 0]
    return np.where(when >= 0, sent, np.zeros_like(sent))


def spike_score(spikes: Ints, target: Floats, u_peak: float, v_peak: float, overflows: int) -> Score:
    """Score of a spiking population."""
    mismatch = float(np.abs(spikes - target).sum())
    larger = max(float(spikes.sum()), float(target.sum()))
    common = float(np.minimum(spikes, target).sum()), float(np.minimum(spikes.sum(1), target.sum(1)).sum())
    agreement, counts = (n / larger if larger else 1.0 for n in common)
    return Score(mismatch, agreement, counts, u_peak, v_peak, overflows)


def readout_score(potential: Floats, target: Floats, u_peak: float, v_peak: float, overflows: int) -> Score:
    """Score of an integrator, potentials in trained units."""
    error, mean_error = _relative(potential, target), _relative(potential.mean(1), target.mean(1))
    return Score(error, max(1.0 - error, 0.0), max(1.0 - mean_error, 0.0), u_peak, v_peak, overflows)


def _relative(found: Floats, wanted: Floats) -> float:
    """RMS difference over RMS."""
    norm = float(np.sqrt(np.mean(wanted**2))) or 1.0
    return float(np.sqrt(np.mean((found - wanted) ** 2))) / norm
