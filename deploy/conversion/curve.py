"""How a converted network fares against the one it was made from, by time steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Network
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.conversion.observe import batches
from spikeport.deploy.encode import Encoder, encode

Floats = NDArray[np.float32]
Measure: TypeAlias = Literal["accuracy", "same class"]


@dataclass(frozen=True)
class Point:
    """After ``steps`` time steps: the share of right (or same) classes; RMS difference of outputs over their RMS."""

    steps: int
    score: float
    error: float


@dataclass(frozen=True)
class Exam:
    """Data to compare on.

    Attributes:
        data: (N, *shape) in the user's units.
        answers: (N, n) what the conventional network gives.
        labels: (N,) right classes, or None: then the conventional network's own classes are what is wanted.
    """

    data: NDArray[np.float32]
    answers: Floats
    labels: NDArray[np.int64] | None

    @property
    def measure(self) -> Measure:
        """What a score counts."""
        return "same class" if self.labels is None else "accuracy"

    def score(self, outputs: Floats) -> float:
        """Share of samples whose largest output (N, n) is the one wanted."""
        wanted = self.answers.argmax(1) if self.labels is None else self.labels
        return float(np.mean(outputs.argmax(1) == wanted))

    def error(self, outputs: Floats) -> float:
        """RMS difference from the conventional network's outputs, over their RMS."""
        wanted = self.answers.astype(np.float64)
        norm = float(np.sqrt(np.mean(wanted**2))) or 1.0
        return float(np.sqrt(np.mean((outputs - wanted) ** 2))) / norm


def run_encoded(network: Network, encoder: Encoder, data: NDArray[np.float32], steps: int) -> Floats:
    """Outputs (N, T, n) of a converted network for encoded ``data`` (N, *shape) or (N, T, *shape)."""
    (source,), (output,) = network.inputs, network.outputs
    parts, first = [], 0
    for part in batches(network, data, steps):
        encoded = encode(encoder, part, network.shapes[source], first)
        run = run_float(network, encoded.floats)
        parts.append(run.outputs[output].reshape(*encoded.spikes.shape[:2], -1))
        first += len(part)
    return np.concatenate(parts)


def tried_steps(most: int) -> tuple[int, ...]:
    """1, 2, 3, 4, 6, 8, 12, 16, 24, ... and ``most``."""
    powers = [n for k in range(most.bit_length()) for n in (1 << k, 3 << k)]
    return tuple(sorted({*(n for n in powers if n <= most), most}))


def curve(exam: Exam, outputs: Floats, warm_up: int = 0) -> tuple[Point, ...]:
    """A point for each of `tried_steps` after ``warm_up``: after T steps the answer is the mean from there to T."""
    points = []
    for steps in tried_steps(outputs.shape[1]):
        if steps > warm_up:
            mean = outputs[:, warm_up:steps].mean(1)
            points.append(Point(steps, exam.score(mean), exam.error(mean)))
    return tuple(points)


def tried_warm_ups(steps: int) -> tuple[int, ...]:
    """Steps at the start that may be left unread: none, or `tried_steps` that leave a quarter to be read."""
    return (0, *(n for n in tried_steps(steps) if 4 * n <= 3 * steps))


def best_reading(exam: Exam, outputs: Floats, wanted: float) -> int:
    """The warm-up with which the fewest steps are enough for ``wanted``, else with which the last error is least.

    Rates take a while to settle through many layers; what outputs say until then is no part of the answer.
    """

    def order(warm_up: int) -> tuple[float, float, int]:
        points = curve(exam, outputs, warm_up)
        steps = enough(points, wanted)
        return (float("inf"), points[-1].error, warm_up) if steps is None else (steps, 0.0, warm_up)

    return min(tried_warm_ups(outputs.shape[1]), key=order)


def enough(points: tuple[Point, ...], wanted: float) -> int | None:
    """The fewest steps from which on no score is below ``wanted``; None where the last still is."""
    found = None
    for point in reversed(points):
        if point.score < wanted - 1e-9:
            break
        found = point.steps
    return found
