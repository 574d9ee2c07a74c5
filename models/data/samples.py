"""Samples with labels, and their parts for training and test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.converters.findings import Finding
from spikeport.errors import DataError


@dataclass(frozen=True)
class Samples:
    """``frames`` (B, T, *shape), or (B, *shape) where there is no time; ``labels`` (B,)."""

    frames: NDArray[Any]
    labels: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if len(self.frames) != len(self.labels) or not len(self.labels):
            raise DataError(f"{len(self.frames)} samples and {len(self.labels)} labels: there must be one each")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[Any] | slice) -> Samples:
        """The chosen samples, in that order."""
        return replace(self, frames=self.frames[chosen], labels=self.labels[chosen])

    def tensors(self, chosen: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Frames as float32, and labels, of the chosen samples (all of them by default)."""
        index = chosen.numpy() if isinstance(chosen, Tensor) else chosen
        return torch.from_numpy(self.frames[index].astype(np.float32)), torch.from_numpy(self.labels[index])


@dataclass(frozen=True)
class Parts:
    """Samples to learn from and samples to be judged by."""

    train: Samples
    test: Samples

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of both, each once."""
        return tuple(dict.fromkeys((*self.train.findings, *self.test.findings)))

    def mixed(self, seed: int, test: int) -> Parts:
        """Both parts put together and split anew: ``test`` samples for test, the rest for training.

        Where the given test part is small, means over such splits say more than means over the one split.

        Raises:
            DataError: not between 1 and all but one sample for test.
        """
        frames = np.concatenate([self.train.frames, self.test.frames])
        labels = np.concatenate([self.train.labels, self.test.labels])
        if not 0 < test < len(labels):
            raise DataError(f"{test} samples for test out of {len(labels)}; leave at least one for each part")
        order = np.random.default_rng(seed).permutation(len(labels))
        both = Samples(frames, labels, self.findings)
        return Parts(both.take(order[test:]), both.take(order[:test]))

    def shuffled(self, seed: int) -> Parts:
        """Each part in another order: files come sorted by class, and some are taken from the front."""
        rng = np.random.default_rng(seed)
        train, test = (part.take(rng.permutation(len(part))) for part in (self.train, self.test))
        return Parts(train, test)

    def held_back(self, count: int) -> tuple[Parts, Samples]:
        """The parts without the first ``count`` samples to learn from, and those.

        Raises:
            DataError: none would be left.
        """
        if count >= len(self.train):
            raise DataError(f"{count} samples to hold back of only {len(self.train)} to learn from: none is left")
        return Parts(self.train.take(slice(count, None)), self.test), self.train.take(slice(count))
