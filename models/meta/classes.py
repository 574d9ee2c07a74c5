"""Classes to draw few-shot episodes from: some to learn how to learn, others, never seen, to be judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError
from spikeport.models.data.recordings import Framing
from spikeport.models.data.sets import NMNIST_SECONDS, nmnist, omniglot

Frames: TypeAlias = NDArray[np.uint8]

UNSEEN = ("Korean", "Tagalog")
"""Omniglot alphabets that are kept for test."""
INK = 0.25
"""Share of a block's darkest value from which on a pixel of a reduced character is set."""
PAIRS = 20
"""Recordings made of each two-digit number."""
TEST_NUMBERS = 20
"""Of the hundred two-digit numbers, as many as in the paper's split."""


@dataclass(frozen=True)
class Classes:
    """``frames`` (classes, samples of each, steps, channels, height, width), 0 or 1; one step: a static image."""

    frames: Frames

    def __len__(self) -> int:
        return len(self.frames)

    def flat(self, steps: int) -> Frames:
        """(classes · samples, steps, channels, height, width); a static image is shown in every step."""
        joined = self.frames.reshape(-1, *self.frames.shape[2:])
        return np.repeat(joined, steps, axis=1) if joined.shape[1] == 1 else joined


@dataclass(frozen=True)
class Split:
    """Classes to learn from and classes to be judged by; no class is in both."""

    train: Classes
    test: Classes


def omniglot_classes(path: Path, side: int = 14, rotations: bool = True) -> Split:
    """Characters (Lake et al. 2015) of ``side`` x ``side`` pixels; those of `UNSEEN` alphabets are for test.

    Args:
        path: as `spikeport.models.data.sets.omniglot` takes it.
        side: divides 28.
        rotations: each character to learn from, turned by 90, 180 and 270 degrees, is three more classes.

    Raises:
        DataError: ``side`` does not divide the images' 28 pixels, or an alphabet for test is missing.
    """
    images, names = omniglot(path)
    if 28 % side:
        raise DataError(f"side={side} does not divide the 28 pixels of an Omniglot image")
    block = 28 // side
    tiles = images.reshape(*images.shape[:2], side, block, side, block)
    frames = (tiles.mean((3, 5)) > INK * 255)[:, :, None, None].astype(np.uint8)
    unseen = np.array([str(name).split("/")[0] in UNSEEN for name in names])
    if not unseen.any() or unseen.all():
        raise DataError(f"{path} needs characters of {', '.join(UNSEEN)} for test, and others to learn from")
    return Split(Classes(_turned(frames[~unseen]) if rotations else frames[~unseen]), Classes(frames[unseen]))


def _turned(frames: Frames) -> Frames:
    return np.ascontiguousarray(np.concatenate([np.rot90(frames, turns, (-2, -1)) for turns in range(4)]))


def double_digit_classes(path: Path, steps: int, seed: int) -> Split:
    """Two-digit numbers from pairs of N-MNIST recordings side by side: (classes, PAIRS, steps, 2, 17, 34).

    Numbers and recordings for test are in no class that is learnt from. (The paper's own list of numbers belongs to
    the MultiDigitMNIST data; here ``seed`` draws them.)
    """
    framing = Framing(steps, NMNIST_SECONDS, (2, 2))
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(100)
    parts = [part.frames(framing) for part in nmnist(path)]
    chosen = (numbers[TEST_NUMBERS:], numbers[:TEST_NUMBERS])
    made = [
        Classes(np.stack([_number(part.frames, part.labels, int(n), rng) for n in which]))
        for part, which in zip(parts, chosen, strict=True)
    ]
    return Split(*made)


def _number(frames: NDArray[Any], labels: NDArray[np.int64], number: int, rng: np.random.Generator) -> Frames:
    """(PAIRS, T, 2, H, 2 · W): the tens on the left."""
    halves = [frames[rng.choice(np.flatnonzero(labels == digit), PAIRS)] for digit in divmod(number, 10)]
    joined: Frames = np.concatenate(halves, axis=-1).astype(np.uint8)
    return joined
