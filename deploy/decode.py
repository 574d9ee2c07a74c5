"""Decoders: from an output population's spikes or membranes to a class per sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError

Kind: TypeAlias = Literal["count", "first-spike", "membrane", "membrane-last", "membrane-max"]
Scores: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Decoder:
    """How a class is read from the output.

    Attributes:
        kind: "count": most spikes. "first-spike": earliest spike, ties by spike count, then by the lower index.
            "membrane", "membrane-last", "membrane-max": highest mean, last or largest value over time.
        start: steps before this one are not looked at: a network that needs them to settle.
    """

    kind: Kind = "count"
    start: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise DataError(f"decoder {self.kind!r} does not exist; there are {', '.join(get_args(Kind))}")
        if not 0 <= self.start < 2**31:
            raise DataError(f"decoder {self.kind}: start={self.start} must be 0 or more")


@dataclass(frozen=True)
class Decoded:
    """``classes`` (B,), the index of the best score (the lowest such index); ``scores`` (B, n)."""

    classes: NDArray[np.int64]
    scores: Scores


def decode(decoder: Decoder, output: NDArray[Any]) -> Decoded:
    """Read one class per sample from ``output`` (B, T, *shape); several axes of the output count as one.

    Raises:
        DataError: no batch and time axes, or nothing in them; or fewer steps than the decoder leaves out.
    """
    if output.ndim < 3 or output.size == 0:
        raise DataError(f"an output of shape {output.shape} cannot be decoded: it needs (B, T, n), none of them 0")
    if decoder.start >= output.shape[1]:
        raise DataError(f"the decoder reads from step {decoder.start} on, but the output has {output.shape[1]} steps")
    read = output[:, decoder.start :]
    scores = _TABLE[decoder.kind](read.reshape(*read.shape[:2], -1).astype(np.float64))
    return Decoded(scores.argmax(axis=1).astype(np.int64), scores)


def _count(output: Scores) -> Scores:
    return np.asarray(output.sum(axis=1))


def _first_spike(output: Scores) -> Scores:
    """Steps left after the first spike, plus a share below 1 that grows with the spike count; 0 without a spike."""
    fired = output > 0
    count = fired.sum(axis=1)
    return np.where(fired.any(axis=1), output.shape[1] - fired.argmax(axis=1) + count / (count + 1.0), 0.0)


_TABLE: dict[Kind, Callable[[Scores], Scores]] = {
    "count": _count,
    "first-spike": _first_spike,
    "membrane": lambda output: np.asarray(output.mean(axis=1)),
    "membrane-last": lambda output: output[:, -1],
    "membrane-max": lambda output: np.asarray(output.max(axis=1)),
}
