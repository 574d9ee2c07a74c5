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

DVS128: Shape = (2, 128, 128)
SHD: Shape = (1, 1, 700)
"""700 channels, as the columns of a sensor of one row."""
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
READERS: Mapping[str, Callable[[Path], Events]] = {".bin": read_atis, ".aedat": read_aedat2, ".aedat4": read_aedat4}


def class_names(folder: Path) -> tuple[str, ...]:
    """The folders in ``folder`` that hold recordings in the formats of `READERS`, sorted: the classes."""
    inside = sorted(entry for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    return tuple(part.name for part in inside if next(_recordings_in(part), None) is not None)


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
    found = False
    for label, name in enumerate(names or class_names(folder)):
        for path in sorted(_recordings_in(folder / name)):
            found = True
            yield Recordings.single(_some(path, READERS[path.suffix](path)), label, sensor)
    if not found:
        raise DataError(f"{folder} holds no folders of classes with {', '.join(READERS)} files")


def _recordings_in(folder: Path) -> Iterator[Path]:
    return (entry for entry in folder.iterdir() if entry.suffix in READERS) if folder.is_dir() else iter(())


def every_tenth(folder: Path, sensor: Shape, framing: Framing) -> Parts:
    """Folders of classes as `class_folders` takes them; every tenth recording of a class for test.

    Raises:
        DataError: no class has ten recordings.
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
    place = np.concatenate([np.arange(count) for count in np.bincount(both.labels)])
    if not (place == 9).any():
        raise DataError(f"{folder}: every tenth recording of a class is for test, and no class has ten")
    return Parts(both.take(place % 10 != 9), both.take(place % 10 == 9))


def dvs_gesture(folder: Path, framing: Framing) -> Parts:
    """DVS128 Gesture (Amir et al. 2017, CVPR) as IBM distributes it: 11 classes, persons 24..29 for test."""
    train, test = (frames_of(_gestures(folder, f"trials_to_{part}.txt"), framing) for part in ("train", "test"))
    return Parts(train, test)


def _gestures(folder: Path, trials: str) -> Iterator[Recordings]:
    """The gestures in every file that ``trials`` lists; ``<name>_labels.csv`` says when each begins and ends."""
    for name in _lines(folder / trials):
        path = folder / name.strip()
        events = read_aedat3(path)
        for row in csv.DictReader(_lines(path.with_name(f"{path.stem}_labels.csv"))):
            try:
                label, start, end = (int(row[key]) for key in ("class", "startTime_usec", "endTime_usec"))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{path.stem}_labels.csv: a line without class, startTime_usec, endTime_usec"
                ) from error
            part = events[(events["t"] >= start) & (events["t"] < end)]
            part["t"] -= np.uint32(start)
            yield Recordings.single(_some(path, part), label - 1, DVS128)


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
            for time, unit, label in zip(times, units, labels, strict=True):
                events = np.zeros(len(time), EVENT)
                events["t"], events["x"] = np.round(np.asarray(time, np.float64) * 1e6), unit
                yield Recordings.single(_some(path, events), int(label), SHD)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"{path} cannot be read as spoken digits: {error}") from error


def _some(path: Path, events: Events) -> Events:
    if not len(events):
        raise DataError(f"{path} has a recording without events; remove it")
    return events


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def train_and_test(folder: Path, sensor: Shape, framing: Framing) -> Parts:
    """A folder with ``Train`` and ``Test``, each as `class_folders` takes it, with the same classes (N-MNIST)."""
    names = class_names(folder / "Train")
    train, test = (frames_of(class_folders(folder / part, sensor, names), framing) for part in ("Train", "Test"))
    return Parts(train, test)
