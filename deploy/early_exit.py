"""Early exit: end a sample's run as soon as its read-out is sure enough. Li et al. 2023 (SEENN, arXiv:2304.01230).

The readings are what the output population has added up so far: v of an integrator, spikes so far of a spiking output.
Two rules decide from them, in integers once they are on a chip; a third decides before the run begins:

* ``margin``: the best reading leads the second best by at least the threshold. For running sums of logits f,
  conf = p among the best two is a lead of ln(p / (1 - p)): softmax is not needed (SEENN-I's rule for two classes).
* ``first``: the best reading reaches the threshold; on a chip that is one accumulator's first spike.
* ``policy``: every sample has its number of steps; SEENN-II's policy network chose it on the host.

A decision in the network's step t is known after chip step t + 1 + depth, and the host reacts ``drain`` steps later.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.circuit import READOUTS
from spikeport.deploy.backends.simulator.stop import StopRule
from spikeport.errors import DataError

Rule: TypeAlias = Literal["margin", "first"]
Readings: TypeAlias = NDArray[np.float64]

CANDIDATES = 200
"""Thresholds that calibration looks at, spread over the values that occur."""


@dataclass(frozen=True)
class EarlyExit:
    """When a sample may stop.

    Attributes:
        rule: "margin" or "first".
        threshold: in units of the readings: the trained membrane potential, or spikes.
        drain: chip steps that the host takes to react; they run, and count.
    """

    rule: Rule
    threshold: float
    drain: int = 0

    def __post_init__(self) -> None:
        if self.rule not in _CONFIDENCE:
            raise DataError(f"early exit {self.rule!r} does not exist; there are {', '.join(_CONFIDENCE)}")
        if not (isfinite(self.threshold) and self.threshold > 0):
            raise DataError(
                f"early exit: a threshold of {self.threshold} would end every sample at once; 0 < threshold"
            )
        if self.drain < 0:
            raise DataError(f"early exit: drain={self.drain} must be 0 or more")

    def __str__(self) -> str:
        return f"{self.rule}:{self.threshold:g}" + (f",drain={self.drain}" if self.drain else "")

    def on(self, output: Population, samples: slice = slice(None)) -> StopRule:
        """The rule in the chip's integers, the same for all samples; exact to one chip unit."""
        unit = output.scale if output.model in READOUTS else 1.0
        offset = float(np.max(output.offset)) if self.rule == "first" and output.model in READOUTS else 0.0
        return ChipRule(output.name, self.drain, self.rule, max(ceil((self.threshold - offset) * unit), 1))


@dataclass(frozen=True)
class ChipRule:
    """`EarlyExit` with an integer threshold; a `StopRule`."""

    population: str
    drain: int
    rule: Rule
    threshold: int

    def first(self, readings: Ints, start: int, rows: NDArray[np.intp]) -> Ints:
        """See `StopRule.first`."""
        return first_step(_CONFIDENCE[self.rule](readings) >= self.threshold)


@dataclass(frozen=True)
class GivenSteps:
    """Every sample has its number of input steps before the run begins: a policy chose it (SEENN-II).

    Attributes:
        steps: (B,) 1 or more, of all samples of the run.
        drain: see `EarlyExit`.
    """

    steps: Ints
    drain: int = 0

    def __post_init__(self) -> None:
        if self.steps.ndim != 1 or self.steps.min(initial=1) < 1:
            raise DataError("early exit: every sample needs a number of steps, 1 or more")

    def on(self, output: Population, samples: slice = slice(None)) -> StopRule:
        """The rule for a part of the samples."""
        return GivenRule(output.name, self.drain, self.steps[samples])


@dataclass(frozen=True)
class GivenRule:
    """`GivenSteps` of one batch; a `StopRule`."""

    population: str
    drain: int
    steps: Ints

    def first(self, readings: Ints, start: int, rows: NDArray[np.intp]) -> Ints:
        """See `StopRule.first`."""
        done = start + 1 + np.arange(readings.shape[1])
        return first_step(done >= self.steps[rows, None])


def parse_early_exit(text: str) -> EarlyExit:
    """Read ``margin:0.3``, ``first:12`` or either with ``,drain=2``.

    Raises:
        DataError: no such rule, or no such number.
    """
    rule, _, rest = text.strip().partition(":")
    value, _, option = rest.partition(",")
    key, _, steps = option.partition("=")
    try:
        threshold, drain = float(value), int(steps or 0)
    except ValueError:
        threshold, key = float("nan"), "?"
    if not isfinite(threshold) or key.strip() not in ("", "drain"):
        ways = "margin:0.3 or first:12, if need be with ,drain=2, or policy:FILE"
        raise DataError(f"early exit {text!r} must be written {ways}")
    return EarlyExit(rule.strip(), threshold, drain)  # type: ignore[arg-type]  # checked by EarlyExit itself


def first_step(sure: NDArray[np.bool_]) -> Ints:
    """(b,) index of the first True along (b, k), -1 where there is none."""
    return np.where(sure.any(1), sure.argmax(1), -1).astype(np.int64)


def exit_steps(readings: Readings, rule: EarlyExit) -> Ints:
    """(B,) input steps that each sample of readings (B, T, n) uses: up to its decision, T where none falls."""
    found = first_step(_CONFIDENCE[rule.rule](readings) >= rule.threshold)
    return np.where(found < 0, readings.shape[1], found + 1)


def readings_of(output: NDArray[np.float64], integrates: bool) -> Readings:
    """What has been added up so far, (B, T, n), from a run's output."""
    return output if integrates else np.cumsum(output, axis=1)


def _margin(readings: NDArray[np.number]) -> NDArray[np.number]:
    best = np.partition(readings, -2, axis=-1)
    lead: NDArray[np.number] = best[..., -1] - best[..., -2]
    return lead


def _best(readings: NDArray[np.number]) -> NDArray[np.number]:
    found: NDArray[np.number] = readings.max(-1)
    return found


_CONFIDENCE: Mapping[Rule, Callable[[NDArray[np.number]], NDArray[np.number]]] = {"margin": _margin, "first": _best}


@dataclass(frozen=True)
class Operating:
    """One threshold on calibration data.

    Attributes:
        threshold: in units of the readings.
        accuracy: share of samples with the right class (without labels: with the class of the full run).
        mean_steps: input steps used, of T.
    """

    threshold: float
    accuracy: float
    mean_steps: float


@dataclass(frozen=True)
class Calibrated:
    """The rule that was chosen, what it gave, what the full run gives, and the curve between."""

    rule: EarlyExit
    chosen: Operating
    full_accuracy: float
    curve: tuple[Operating, ...]


def calibrate(
    readings: Readings,
    labels: NDArray[np.integer] | None = None,
    rule: Rule = "margin",
    tolerance: float = 0.005,
    drain: int = 0,
) -> Calibrated:
    """The smallest threshold from which on accuracy stays within ``tolerance`` of the full run.

    Args:
        readings: (B, T, n) of calibration samples on the chip, see `readings_of`; never of the test set.
        labels: (B,) classes; None: the classes that the full run gives.
        rule: "margin" or "first".
        tolerance: accuracy that may be lost, as a share; a share finer than one sample counts as one sample.
        drain: see `EarlyExit`.

    Raises:
        DataError: one class only, or no sample.
    """
    if readings.ndim != 3 or readings.shape[-1] < 2 or not len(readings):
        raise DataError(f"early exit compares classes: readings of shape {readings.shape} have too few")
    full = readings[:, -1].argmax(-1)
    wanted = full if labels is None else np.asarray(labels)
    aim = float(np.mean(full == wanted))
    confidence = np.asarray(_CONFIDENCE[rule](readings), np.float64)
    curve = tuple(_operating(readings, confidence, wanted, t) for t in _thresholds(confidence))
    least = aim - max(tolerance, 1.0 / len(readings)) - 1e-9
    chosen = curve[-1]
    for point in reversed(curve):
        if point.accuracy < least:
            break
        chosen = point
    return Calibrated(EarlyExit(rule, chosen.threshold, drain), chosen, aim, curve)


def _thresholds(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending; the last is out of reach, which is the full run."""
    seen = np.unique(confidence[confidence > 0])
    if not seen.size:
        return np.ones(1)
    picked = seen[np.unique(np.linspace(0, seen.size - 1, CANDIDATES).astype(np.int64))]
    return np.append(picked, picked[-1] * 2 + 1)


def _operating(
    readings: Readings, confidence: NDArray[np.float64], wanted: NDArray[np.integer], threshold: float
) -> Operating:
    found = first_step(confidence >= threshold)
    last = np.where(found < 0, readings.shape[1] - 1, found)
    classes = readings[np.arange(len(readings)), last].argmax(-1)
    return Operating(float(threshold), float(np.mean(classes == wanted)), float(np.mean(last + 1)))
