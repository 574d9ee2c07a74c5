"""Public sets of event recordings as their authors distribute them, in frames."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data.event_files import EVENT, Events, read_aedat2, read_aedat3, read_aedat4, read_atis
from spikeport.models.data.recordings import Framing, Recordings, frames_of
from spikeport.models.data.samples import Parts
from spikeport.models.data.walk import entries

DVS128: Shape = (2, 128, 128)
SHD: Shape = (1, 1, 700)
"""700 channels, as the columns of a sensor of one row."""
TENTH = 10
"""One recording of so many of a class is for test, where a set has no split of its own."""
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
READERS: Mapping[str, Callable[[Path], Events]] = {".bin": read_atis, ".aedat": read_aedat2, ".aedat4": read_aedat4}


def class_names(folder: Path) -> tuple[str, ...]:
    """The folders in ``folder`` that hold recordings in the formats of `READERS`, sorted: the classes."""
    return tuple(part.name for part in entries(folder) if part.is_dir() and recordings_in(part))


def recordings_in(folder: Path) -> list[Path]:
    """The recordings in ``folder``, sorted; annotations of N-Caltech101, which look like some, are none."""
    return [e for e in entries(folder) if e.suffix in READERS and not e.name.startswith("annotation")]


def class_folders(folder: Path, sensor: Shape, names: Sequence[str] = ()) -> Iterator[Recordings]:
    """One folder per class, recordings in the formats of `READERS` in it.

    That is how N-MNIST (``Train/0/00002.bin``), N-Caltech101 and CIFAR10-DVS come.

    Args:
        folder: that holds the folders.
        sensor: (polarities, height, width).
        names: of the classes, in order; default: `class_names` of the folder.

    Raises:
        DataError: no recordings there, or one that cannot be read.
    """
    there = class_names(folder)
    for label, name in enumerate(names or there):
        for path in recordings_in(folder / name):
            yield Recordings.single(READERS[path.suffix](path), label, sensor, str(path))
    if not there:
        raise DataError(f"{folder} holds no folders of classes with {', '.join(READERS)} files")


def every_tenth(folder: Path, sensor: Shape, framing: Framing) -> Parts:
    """Folders of classes as `class_folders` takes them; every tenth recording of a class for test.

    Raises:
        DataError: a class has less than ten recordings.
    """
    return _divided(folder, class_folders(folder, sensor), framing)


def cifar10_dvs(folder: Path, framing: Framing) -> Parts:
    """CIFAR10-DVS (Li et al. 2017, Frontiers in Neuroscience 11:309), which has no split of its own.

    The camera lay on its side; events are turned so that they look like CIFAR-10's images, as everybody does.
    """
    return _divided(folder, map(_upright, class_folders(folder, DVS128, CIFAR10)), framing)


def _upright(lying: Recordings) -> Recordings:
    events = lying.events.copy()
    events["x"], events["y"] = DVS128[2] - 1 - lying.events["y"], lying.events["x"]
    return replace(lying, events=events)


def _divided(folder: Path, recordings: Iterable[Recordings], framing: Framing) -> Parts:
    both = frames_of(recordings, framing)
    counts = np.bincount(both.labels)
    if (least := int(counts.min())) < TENTH:
        raise DataError(f"{folder}: every tenth recording of a class is for test, and one class has only {least}")
    test = np.concatenate([np.arange(count) for count in counts]) % TENTH == TENTH - 1
    return Parts(both.take(~test), both.take(test))


def dvs_gesture(folder: Path, framing: Framing) -> Parts:
    """DVS128 Gesture (Amir et al. 2017, CVPR) as IBM distributes it: 11 classes, persons 24..29 for test."""
    train, test = (frames_of(_gestures(folder, f"trials_to_{part}.txt"), framing) for part in ("train", "test"))
    return Parts(train, test)


def _gestures(folder: Path, trials: str) -> Iterator[Recordings]:
    """The gestures in every file that ``trials`` lists; ``<name>_labels.csv`` says when each begins and ends."""
    for name in _lines(folder / trials):
        path = folder / name.strip()
        events, labels = read_aedat3(path), path.with_name(f"{path.stem}_labels.csv")
        for number, row in enumerate(csv.DictReader(_lines(labels)), 2):
            where = f"{labels}, line {number}"
            label, start, end = _gesture(row, where)
            part = events[(events["t"] >= start) & (events["t"] < end)]
            part["t"] -= np.uint32(start)
            yield Recordings.single(part, label, DVS128, where)


def _gesture(row: Mapping[str, str], where: str) -> tuple[int, int, int]:
    """Label from 0, start and end in µs."""
    try:
        label, start, end = (int(row[key]) for key in ("class", "startTime_usec", "endTime_usec"))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where} has no class, startTime_usec and endTime_usec") from error
    if not 0 <= start < end < 1 << 32:
        raise DataError(f"{where}: a gesture from {start} to {end} µs")
    return label - 1, start, end


def shd(folder: Path, framing: Framing) -> Parts:
    """Spiking Heidelberg Digits (Cramer et al. 2020, arXiv:1910.07407): 700 channels, 20 classes.

    The channels are the columns of a sensor of one row: ``Framing(100, 1.0, pool=(1, 5))`` makes 140 of them.
    """
    train, test = (frames_of(_spoken(folder / f"shd_{part}.h5"), framing) for part in ("train", "test"))
    return Parts(train, test)


def _spoken(path: Path) -> Iterator[Recordings]:
    try:
        with h5py.File(path) as file:
            times, units, labels = file["spikes/times"], file["spikes/units"], file["labels"]
            for number, (time, unit, label) in enumerate(zip(times, units, labels, strict=True)):
                events = np.zeros(len(time), EVENT)
                events["t"], events["x"] = np.round(np.asarray(time, np.float64) * 1e6), unit
                yield Recordings.single(events, int(label), SHD, f"{path}, recording {number}")
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as spoken digits: {error}") from error


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def train_and_test(folder: Path, sensor: Shape, framing: Framing, names: Sequence[str] = ()) -> Parts:
    """A folder with ``Train`` and ``Test``, each as `class_folders` takes it; by default the classes of ``Train``.

    Raises:
        DataError: ``Test`` has a class that is none of them, or what `class_folders` refuses.
    """
    known = names or class_names(folder / "Train")
    if unknown := sorted({*class_names(folder / "Test")} - {*known}):
        raise DataError(f"{folder}: Test has {', '.join(unknown)}, and Train only {', '.join(known)}")
    train, test = (frames_of(class_folders(folder / part, sensor, known), framing) for part in ("Train", "Test"))
    return Parts(train, test)
