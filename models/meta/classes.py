"""Classes to draw few-shot episodes from: some to learn how to learn, some to choose by, others to be judged by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError
from spikeport.models.data.recognise import event_frames
from spikeport.models.data.sets import omniglot

Frames: TypeAlias = NDArray[np.uint8]

UNSEEN = ("Korean", "Tagalog")
"""Omniglot alphabets that are kept for test."""
CHOICE = ("Balinese", "Early_Aramaic")
"""Omniglot alphabets that settings are chosen on; learnt from once that is done."""
INK = 0.25
"""Share of a block's darkest value from which on a pixel of a reduced character is set."""
PAIRS = 16
"""Recordings made of each two-digit number: 5 to learn from and 10 to be asked about, and one more."""
TEST_NUMBERS, CHOICE_NUMBERS = 20, 16
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
    """Classes to learn from, to choose settings on, and to be judged by.

    No class of ``test`` is in another part, nor does one of its recordings make up samples there. ``choice`` is part of
    ``train`` unless it was held back.
    """

    train: Classes
    choice: Classes
    test: Classes


def omniglot_classes(path: Path, side: int = 14, rotations: bool = True, held_back: bool = False) -> Split:
    """Characters (Lake et al. 2015) of ``side`` x ``side`` pixels; those of `UNSEEN` alphabets are for test.

    Args:
        path: as `spikeport.models.data.sets.omniglot` takes it.
        side: divides 28.
        rotations: each character to learn from, turned by 90, 180 and 270 degrees, is three more classes.
        held_back: whether characters of the alphabets `CHOICE` are kept from learning.

    Raises:
        DataError: ``side`` does not divide the images' 28 pixels, or an alphabet for test or choice is missing.
    """
    images, names = omniglot(path)
    if 28 % side:
        raise DataError(f"side={side} does not divide the 28 pixels of an Omniglot image")
    block = 28 // side
    tiles = images.reshape(*images.shape[:2], side, block, side, block)
    frames = (tiles.mean((3, 5)) > INK * 255)[:, :, None, None].astype(np.uint8)
    alphabets = np.array([str(name).split("/")[0] for name in names])
    unseen, choice = np.isin(alphabets, UNSEEN), np.isin(alphabets, CHOICE)
    if not (unseen.any() and choice.any() and (~unseen & ~choice).any()):
        kept = f"{', '.join(UNSEEN)} for test, of {', '.join(CHOICE)} to choose settings on"
        raise DataError(f"{path} needs characters of {kept}, and others to learn from")
    learnt = frames[~unseen & ~(choice & held_back)]
    return Split(Classes(_turned(learnt) if rotations else learnt), Classes(frames[choice]), Classes(frames[unseen]))


def _turned(frames: Frames) -> Frames:
    return np.ascontiguousarray(np.concatenate([np.rot90(frames, turns, (-2, -1)) for turns in range(4)]))


def double_digit_classes(path: Path, steps: int, seed: int, held_back: bool = False) -> Split:
    """Two-digit numbers from pairs of N-MNIST recordings side by side: (classes, PAIRS, steps, 2, 17, 34).

    ``seed`` draws numbers and recordings of each part. (The paper's own list of numbers belongs to the MultiDigitMNIST
    data.) Within a number no recording stands twice in the same place, or queries would be half known.

    Args:
        path: where N-MNIST lies (`spikeport.models.data.recognise`); its own parts are put together.
        steps: T over the recordings' 300 ms.
        seed: of the split.
        held_back: whether numbers and recordings to choose settings on are kept from learning.

    Raises:
        DataError: other recordings, or fewer than 3 x `PAIRS` of a digit.
    """
    found, rng = event_frames(path, steps), np.random.default_rng(seed)
    if found.source.name != "N-MNIST":
        raise DataError(f"two-digit numbers are made of N-MNIST recordings; {path} holds {found.source.name}")
    both = found.parts
    frames = np.concatenate([both.train.frames, both.test.frames])
    labels = np.concatenate([both.train.labels, both.test.labels])
    if (fewest := int(np.bincount(labels, minlength=10).min())) < 3 * PAIRS:
        raise DataError(f"{path} has only {fewest} recordings of one digit; two-digit numbers need {3 * PAIRS}")
    pools = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    test, choice = ([pool[first : first + PAIRS] for pool in pools] for first in (0, PAIRS))
    learnt = [pool[PAIRS * (2 if held_back else 1) :] for pool in pools]
    numbers, unseen = rng.permutation(100), TEST_NUMBERS + CHOICE_NUMBERS
    judged = _numbers(frames, numbers[:TEST_NUMBERS], test, rng)
    chosen = _numbers(frames, numbers[TEST_NUMBERS:unseen], choice, rng)
    return Split(_numbers(frames, numbers[unseen if held_back else TEST_NUMBERS :], learnt, rng), chosen, judged)


def _numbers(
    frames: NDArray[Any], numbers: NDArray[np.int64], pools: list[NDArray[np.int64]], rng: np.random.Generator
) -> Classes:
    """``pools``: of each digit, the recordings (indices) that there are. The tens stand on the left."""
    made = []
    for number in numbers:
        halves = [frames[rng.permutation(pools[digit])[:PAIRS]] for digit in divmod(int(number), 10)]
        made.append(np.concatenate(halves, axis=-1).astype(np.uint8))
    return Classes(np.stack(made))
