"""Static images beside a set of event recordings: the same classes, as frames of the same size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data.event_sets import TENTH, recordings_in
from spikeport.models.data.npz import Archive
from spikeport.models.data.photographs import number_of, photographs
from spikeport.models.data.recognise import EventSet
from spikeport.models.data.samples import Samples
from spikeport.models.data.sets import array, cifar10, find, mnist

FIRST_TEST = 60_001
MARGIN = 3
"""Pixels around MNIST's 28 that make N-MNIST's 34 (Orchard et al. 2015)."""


def _digits(path: Path, found: EventSet) -> Samples:
    """MNIST's digits that no judged recording was made from.

    N-MNIST's recordings are numbered as MNIST's images, those for test from 60,001 on. Where its own parts are kept,
    these are the images to learn from; where recordings of both parts are judged, those images for test that nothing
    was recorded from here.
    """
    read = mnist(find(path, "mnist.npz"))
    chosen = read.train if found.own_split else read.test.take(_never_recorded(found.home, read.test.labels))
    return Samples(np.pad(chosen.frames, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))), chosen.labels)


def _never_recorded(path: Path, digits: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the images for test, of classes ``digits``, that no recording in the archive was made from.

    Raises:
        DataError: the archive does not say what its recordings were made from, or MNIST's file is in another order.
    """
    archive = Archive(path)
    learnt, judged, labels = (array(archive, name) for name in ("train_ids", "test_ids", "test_labels"))
    if not (learnt.dtype.kind == judged.dtype.kind == "i" and learnt.min() > 0 and judged.max() < FIRST_TEST + 10_000):
        raise DataError(f"{path}: train_ids and test_ids must be the numbers of MNIST's images, 1 to 70,000")
    if learnt.max() >= FIRST_TEST or judged.min() < FIRST_TEST:
        raise DataError(f"{path}: train_ids must lie below {FIRST_TEST}, and test_ids from there on")
    recorded = judged - FIRST_TEST
    known = recorded < len(digits)
    if (digits[recorded[known]] != labels[known]).any():
        raise DataError(f"{path}: its test_ids do not belong to the images in mnist.npz, whose digits are others")
    return np.setdiff1d(np.arange(len(digits)), recorded)


def _pictures(path: Path, _found: EventSet) -> Samples:
    """CIFAR-10's images to learn from. Which of its images CIFAR10-DVS recorded is not published."""
    read = cifar10(path).train
    return Samples(read.frames.max(-1), read.labels)


def _objects(path: Path, found: EventSet) -> Samples:
    """Caltech101's photographs that no judged recording was made from; N-Caltech101 kept the numbers in their names.

    Raises:
        DataError: a judged recording has no picture of its number.
    """
    judged = frozenset(
        (name, number_of(recording))
        for name in found.names
        for recording in recordings_in(found.home / name)[TENTH - 1 :: TENTH]
    )
    return photographs(path, found.names, (found.sensor[1], found.sensor[2]), judged)


IMAGES: Mapping[str, tuple[str, Callable[[Path, EventSet], Samples]]] = {
    "N-MNIST": ("mnist.npz", _digits),
    "CIFAR10-DVS": ("CIFAR-10's data_batch_1.bin and so on", _pictures),
    "N-Caltech101": ("Caltech101's folders of pictures", _objects),
}
"""By the name of the recordings: what their images come as, and who reads them as V channels (N, H, W), uint8."""


def check_known(found: EventSet) -> None:
    """Raises DataError where no images are known that go with these recordings."""
    if found.name not in IMAGES:
        raise DataError(f"no static images are known that go with {found.name}; there are for {', '.join(IMAGES)}")


def static_samples(found: EventSet, path: Path) -> Samples:
    """Images (N, H, W) uint8 with the classes of ``found``, from the folder ``path`` that holds both.

    V of HSV is the largest of red, green and blue: how He et al. (arXiv:2303.13077) bring colours to an event sensor.

    Raises:
        DataError: no images are known that go with these recordings, or there are none in ``path``.
    """
    check_known(found)
    files, read = IMAGES[found.name]
    if path.is_file():
        raise DataError(f"{path} is one file; give a folder that holds the recordings and {files} as well")
    try:
        return read(path, found)
    except DataError as problem:
        raise DataError(f"transfer learns from {files} beside the recordings: {problem}") from problem


def static_frames(images: NDArray[Any], shape: Shape, negative: bool = False) -> NDArray[np.float32]:
    """Images (N, H, W) 0..255 as frames (N, *shape) in [0, 1], the same on both polarities; means where they shrink."""
    wanted = torch.from_numpy(images.astype(np.float32) / 255.0)[:, None]
    scaled = functional.adaptive_avg_pool2d(wanted, (shape[1], shape[2]))
    return (1.0 - scaled if negative else scaled).expand(-1, *shape).numpy()
