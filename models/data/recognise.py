"""Which set of event recordings lies at a path, and its frames: what the zoo's methods take for ``--data``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data import event_sets
from spikeport.models.data.event_files import aedat4_sensor
from spikeport.models.data.recordings import Framing
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.data.sets import NMNIST_SECONDS, NMNIST_SENSOR, nmnist
from spikeport.models.data.walk import folders

ATIS: Shape = (2, 180, 240)
"""The part of the sensor that N-Caltech101 was recorded with (Orchard et al. 2015)."""
FORMS = (
    "nmnist.npz; N-MNIST's Train and Test; DVS128 Gesture's trials_to_train.txt and trials_to_test.txt; "
    "shd_train.h5 and shd_test.h5; CIFAR10-DVS's ten folders; N-Caltech101's folders; or one folder per class with "
    ".bin (ATIS), .aedat (DVS128, version 2) or .aedat4 recordings, in Train and Test or not"
)


@dataclass(frozen=True)
class EventSet:
    """A set of event recordings that was found.

    Attributes:
        name: as its authors call it; of recordings of the user's own, words that no such name is.
        home: the folder or file it lies in.
        names: of the classes, in the order of their labels.
        sensor: (polarities, height, width).
        pool: pixels a side that become one, unless somebody asks for others; of a sensor of one row, along that row.
        seconds: of a recording that are used, unless somebody asks for others; None: nobody but the user can know.
        own_split: whether its parts for training and test are kept. Else both are put together and split by a seed.
        read: its parts in frames.
    """

    name: str
    home: Path
    names: tuple[str, ...]
    sensor: Shape
    pool: int
    seconds: float | None
    own_split: bool
    read: Callable[[Framing], Parts]

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.names)

    def framing(self, steps: int, pool: int | None, seconds: float | None) -> Framing:
        """How its events become frames; None: as is usual for the set.

        Raises:
            DataError: the seconds are not known.
        """
        side, span = pool or self.pool, seconds or self.seconds
        if span is None:
            raise DataError(f"{self.name}: how long they last is not known; say so with --set seconds=...")
        return Framing(steps, span, (1 if self.sensor[1] == 1 else side, side))


@dataclass(frozen=True)
class EventFrames:
    """Frames of a set; read-only, since they are kept.

    Attributes:
        source: the set.
        parts: with frames (B, steps, *shape).
    """

    source: EventSet
    parts: Parts

    @property
    def shape(self) -> Shape:
        """Of one frame: (polarities, height, width)."""
        return tuple(self.parts.train.frames.shape[2:])

    def divided(self, seed: int, held_out: int) -> Parts:
        """Parts for training and test.

        A set with a split of its own keeps it, and the seed draws the order within each part. Of any other ``held_out``
        samples are drawn for test.
        """
        if not self.source.own_split:
            return self.parts.mixed(seed, held_out)
        return self.parts.shuffled(seed)


@lru_cache(maxsize=4)
def event_frames(path: Path, steps: int, pool: int | None = None, seconds: float | None = None) -> EventFrames:
    """Frames of the set at ``path``, 1 where at least one event fell.

    Args:
        path: see `recognise`.
        steps: T.
        pool: pixels a side that become one; None: as is usual for the set.
        seconds: that T steps span together; None: as is usual for the set.

    Raises:
        DataError: nothing there, or it cannot be read.
    """
    found = recognise(path)
    framing = found.framing(steps, pool, seconds)
    parts = _told(found, framing, found.read(framing))
    for part in (parts.train, parts.test):
        part.frames.flags.writeable = False
        if part.labels.min() < 0 or part.labels.max() >= found.classes:
            reach = f"labels from {part.labels.min()} to {part.labels.max()}"
            raise DataError(f"{path}: {found.name} has {found.classes} classes, but {reach}")
    return EventFrames(found, parts)


def _told(found: EventSet, framing: Framing, parts: Parts) -> Parts:
    """With a finding that says what was found and what was made of it."""
    size, frame = (" x ".join(map(str, shape)) for shape in (found.sensor, parts.train.frames.shape[2:]))
    divided = "as the set divides them" if found.own_split else "put together and divided by the seed"
    text = (
        f"{found.name}: {len(parts.train)} recordings to learn from and {len(parts.test)} for test, {divided}; "
        f"{found.classes} classes, {size} pixels in frames of {frame}, {framing.steps} steps of "
        f"{1e3 * framing.seconds / framing.steps:g} ms."
    )
    said, alike = Finding("recordings", "info", "", text), parts.train.findings == parts.test.findings

    def told(part: Samples, where: str) -> Samples:
        own = part.findings if alike else (replace(finding, where=where) for finding in part.findings)
        return replace(part, findings=(said, *own))

    return Parts(told(parts.train, "recordings to learn from"), told(parts.test, "recordings for test"))


@lru_cache(maxsize=4)
def recognise(path: Path) -> EventSet:
    """The set of event recordings at ``path``, told by what lies there, not by its name.

    Args:
        path: in one of the `FORMS`, or a folder that holds one of the named sets at any depth.

    Raises:
        DataError: none, or more than one.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_file() and path.suffix != ".npz":
        raise DataError(f"{path}: the only file that is a set is nmnist.npz; of others give the folder: {FORMS}")
    if path.is_file():
        return _nmnist_archive(path)
    homes = [(kind, home) for home in folders(path) for kind in _NAMED if kind.is_in(home)]
    if len(homes) > 1:
        listed = ", ".join(str(home) for _, home in homes)
        raise DataError(f"{path} holds more than one set of recordings: {listed}; give the path of one")
    if homes:
        ((kind, home),) = homes
        return kind.build(home)
    if (own := _class_folders(path)) is not None:
        return own
    raise DataError(f"{path} holds no event recordings in a form that is known: {FORMS}")


@dataclass(frozen=True)
class _Named:
    """A set that is told by ``marks``, patterns that all match in its home; ``build`` takes the home."""

    marks: tuple[str, ...]
    build: Callable[[Path], EventSet]

    def is_in(self, home: Path) -> bool:
        """Whether all the marks are there."""
        return all(any(not e.name.startswith(".") for e in home.glob(mark)) for mark in self.marks)


def _numbers(classes: int) -> tuple[str, ...]:
    return tuple(map(str, range(classes)))


def _nmnist_archive(path: Path) -> EventSet:
    """The few recordings of ``nmnist.npz``; its test part is too small to tell much, so both are put together."""

    def read(framing: Framing) -> Parts:
        train, test = nmnist(path)
        return Parts(train.frames(framing), test.frames(framing))

    return EventSet("N-MNIST", path, _numbers(10), NMNIST_SENSOR, 2, NMNIST_SECONDS, False, read)


def _nmnist_folders(home: Path) -> EventSet:
    digits = _numbers(10)
    read = partial(event_sets.train_and_test, home, NMNIST_SENSOR, names=digits)
    return EventSet("N-MNIST", home, digits, NMNIST_SENSOR, 2, NMNIST_SECONDS, True, read)


def _ncaltech(home: Path) -> EventSet:
    read = partial(event_sets.every_tenth, home, ATIS)
    return EventSet("N-Caltech101", home, event_sets.class_names(home), ATIS, 6, NMNIST_SECONDS, True, read)


def _class_folders(home: Path) -> EventSet | None:
    """Recordings of the user's own: folders of classes, in ``Train`` and ``Test`` or not."""
    split = event_sets.class_names(home / "Train")
    if not (names := split or event_sets.class_names(home)):
        return None
    sensor, pool, seconds = _camera(home / "Train" if split else home, names)
    read = partial(event_sets.train_and_test if split else event_sets.every_tenth, home, sensor)
    return EventSet(f"recordings in {home.resolve().name}", home, names, sensor, pool, seconds, True, read)


def _camera(folder: Path, names: tuple[str, ...]) -> tuple[Shape, int, float | None]:
    """Sensor, usual pooling and usual length of folders of classes, by their first recording."""
    first = event_sets.recordings_in(folder / names[0])[0]
    if first.suffix == ".aedat4":
        return aedat4_sensor(first), 1, None
    return (ATIS, 6, NMNIST_SECONDS) if first.suffix == ".bin" else (event_sets.DVS128, 4, None)


def _gestures(home: Path) -> EventSet:
    # Amir et al. 2017: a gesture lasts about 6 s.
    read = partial(event_sets.dvs_gesture, home)
    return EventSet("DVS128 Gesture", home, _numbers(11), event_sets.DVS128, 4, 6.0, True, read)


def _spoken_digits(home: Path) -> EventSet:
    # Cramer et al. 2020: the longest recording takes 1.4 s, most less than 1 s.
    return EventSet("SHD", home, _numbers(20), event_sets.SHD, 5, 1.0, True, partial(event_sets.shd, home))


def _cifar10_dvs(home: Path) -> EventSet:
    # Recordings last 1.2 to 1.3 s.
    read = partial(event_sets.cifar10_dvs, home)
    return EventSet("CIFAR10-DVS", home, event_sets.CIFAR10, event_sets.DVS128, 4, 1.2, True, read)


_NAMED = (
    _Named(("nmnist.npz",), lambda home: _nmnist_archive(home / "nmnist.npz")),
    _Named(("Train/0/*.bin", "Test/0/*.bin"), _nmnist_folders),
    _Named(("accordion/image_*.bin", "airplanes/image_*.bin", "yin_yang/image_*.bin"), _ncaltech),
    _Named(("trials_to_train.txt", "trials_to_test.txt"), _gestures),
    _Named(("shd_train.h5", "shd_test.h5"), _spoken_digits),
    _Named(tuple(f"{name}/*.aedat" for name in event_sets.CIFAR10), _cifar10_dvs),
)
