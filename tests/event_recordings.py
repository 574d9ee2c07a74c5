"""Sets of event recordings in the forms their authors distribute, with made-up events, small enough for seconds.

The class of a recording is where its events fall, so that a network can learn it.
"""

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def atis(*events: Sequence[int]) -> bytes:
    """N-MNIST's format; x, y, p, t."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in events)


def aedat2(*events: Sequence[int]) -> bytes:
    """CIFAR10-DVS's format; x, y, p, t."""
    words = (struct.pack(">II", y << 8 | (127 - x) << 1 | (1 - p), t) for x, y, p, t in events)
    return b"#!AER-DAT2.0\n" + b"".join(words)


def aedat3(*events: Sequence[int], kind: int = 1, capacity: int | None = None) -> bytes:
    """One packet of DVS128 Gesture's format; x, y, p, valid, t."""
    body = b"".join(struct.pack("<II", x << 17 | y << 2 | p << 1 | ok, t) for x, y, p, ok, t in events)
    count = len(events)
    return struct.pack("<hhiiiiii", kind, 0, 8, 4, 0, count if capacity is None else capacity, count, count) + body


def drawn(label: int, classes: int, side: int, seconds: float, seed: int, count: int = 60) -> list[tuple[int, ...]]:
    """Events (x, y, p, t), sorted in time, in the rows of a class on a sensor of ``side`` x ``side``."""
    rng = np.random.default_rng(seed)
    y = label * side // classes + rng.integers(0, max(side // classes, 1), count)
    t = np.sort(rng.integers(0, int(seconds * 1e6), count))
    return [tuple(map(int, e)) for e in zip(rng.integers(0, side, count), y, rng.integers(0, 2, count), t, strict=True)]


def write_class_folders(
    folder: Path, names: Iterable[str], each: int, suffix: str, side: int, seconds: float, stem: str = ""
) -> None:
    """One folder per class, ``.bin`` or ``.aedat``; file names are ``stem`` and a number."""
    names = tuple(names)
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(each):
            events = drawn(label, len(names), side, seconds, 100 * label + index)
            encoded = atis(*events) if suffix == ".bin" else aedat2(*events)
            (folder / name / f"{stem}{index:05}{suffix}").write_bytes(encoded)


def write_nmnist_folders(folder: Path, each: int = 6) -> None:
    """Train and Test with ten folders each."""
    for part in ("Train", "Test"):
        write_class_folders(folder / part, map(str, range(10)), each, ".bin", 34, 0.3)


def write_cifar10_dvs(folder: Path, each: int = 10) -> None:
    """Ten folders of version 2."""
    write_class_folders(folder, CIFAR10, each, ".aedat", 128, 1.2)


def write_cifar10_images(folder: Path, each: int = 3) -> None:
    """The binary version: bright rows tell the class."""
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        records = np.zeros((10 * each, 3073), np.uint8)
        records[:, 0] = np.arange(10 * each) % 10
        for record in records:
            record[1:].reshape(3, 32, 32)[:, 3 * record[0] : 3 * record[0] + 3] = 200
        records.tofile(folder / name)


def write_ncaltech(folder: Path, each: int = 10) -> None:
    """Three of its classes."""
    write_class_folders(folder, ("accordion", "airplanes", "yin_yang"), each, ".bin", 180, 0.3, "image_")


def write_gestures(folder: Path, persons: int = 6) -> None:
    """Trials of version 3.1 with all eleven gestures in each; the last two persons are for test."""
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(persons):
        events, lines = [], ["class,startTime_usec,endTime_usec"]
        for gesture in range(11):
            start = 10_000_000 * (gesture + 1)
            found = drawn(gesture, 11, 128, 6.0, 100 * person + gesture)
            events += [(x, y, p, 1, start + t) for x, y, p, t in found]
            lines.append(f"{gesture + 1},{start},{start + 6_000_000}")
        name = f"user{person:02}_led"
        (folder / f"{name}.aedat").write_bytes(b"#!AER-DAT3.1\n" + aedat3(*events))
        (folder / f"{name}_labels.csv").write_text("\n".join(lines))
    for part, chosen in (("train", range(persons - 2)), ("test", range(persons - 2, persons))):
        (folder / f"trials_to_{part}.txt").write_text("\n".join(f"user{person:02}_led.aedat" for person in chosen))


def write_shd(folder: Path, samples: int = 60) -> None:
    """Twenty classes, told by their channels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        labels = np.arange(samples) % 20
        with h5py.File(folder / f"shd_{part}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (samples,), dtype=h5py.vlen_dtype(np.float16))
            units = file.create_dataset("spikes/units", (samples,), dtype=h5py.vlen_dtype(np.uint16))
            for index, label in enumerate(labels):
                times[index] = np.sort(rng.random(80) * 0.9)
                units[index] = 35 * label + rng.integers(0, 35, 80)
            file["labels"] = labels
