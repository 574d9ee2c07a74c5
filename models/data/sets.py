"""The data sets the zoo learns from, each read from a file or folder that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import DataError
from spikeport.models.data.npz import Archive
from spikeport.models.data.photographs import characters
from spikeport.models.data.recordings import Recordings
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.data.walk import folders

NMNIST_SENSOR = (2, 34, 34)
NMNIST_SECONDS = 0.3
"""Three saccades of 100 ms: Orchard et al. 2015, Frontiers in Neuroscience 9:437."""

CIFAR_RECORD = 1 + 3 * 32 * 32
"""Bytes of one image of CIFAR-10's binary version: its label, then red, green and blue, row by row."""


def find(path: Path, *names: str) -> Path:
    """``path`` itself if it is a file, else the first of ``names`` under the folder ``path``, at any depth.

    Raises:
        DataError: neither; the message lists the names.
    """
    if path.is_file():
        return path
    for name in names:
        if found := next((home / name for home in folders(path) if (home / name).exists()), None):
            return found
    raise DataError(f"{path} is no file{', and no folder that holds' if path.is_dir() else ':'} {' or '.join(names)}")


def nmnist(path: Path) -> tuple[Recordings, Recordings]:
    """N-MNIST (Orchard et al. 2015): recordings to train and to test with.

    Args:
        path: an ``.npz`` with ``<part>_events``, ``_offsets`` and ``_labels`` for the parts train and test (and, for
            transfer, ``_ids``: the numbers of MNIST's images), or a folder that holds ``nmnist.npz``.

    Raises:
        DataError: not found, or not of that form.
    """
    archive = Archive(find(path, "nmnist.npz"))
    return _recordings(archive, "train"), _recordings(archive, "test")


def _recordings(archive: Archive, part: str) -> Recordings:
    events, offsets, labels = (array(archive, f"{part}_{what}") for what in ("events", "offsets", "labels"))
    return Recordings(events, offsets.astype(np.int64), labels.astype(np.int64), NMNIST_SENSOR)


def mnist(path: Path) -> Parts:
    """MNIST digits (LeCun et al.): images (B, 28, 28) uint8 of ``mnist.npz``."""
    archive = Archive(find(path, "mnist.npz"))
    train, test = (
        Samples(array(archive, part), array(archive, f"{part}_y").astype(np.int64)) for part in ("train", "test")
    )
    return Parts(train, test)


def cifar10(path: Path) -> Parts:
    """CIFAR-10 (Krizhevsky 2009), the binary version: images (B, 32, 32, 3) uint8.

    Args:
        path: a folder that holds ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin`` at any depth.

    Raises:
        DataError: not found, or no whole records of a label and 3 x 32 x 32 bytes.
    """
    home = find(path, "data_batch_1.bin").parent
    train = [_cifar_batch(home / f"data_batch_{number}.bin") for number in range(1, 6)]
    return Parts(
        Samples(np.concatenate([s.frames for s in train]), np.concatenate([s.labels for s in train])),
        _cifar_batch(home / "test_batch.bin"),
    )


def _cifar_batch(path: Path) -> Samples:
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if not len(raw) or len(raw) % CIFAR_RECORD or raw[::CIFAR_RECORD].max() > 9:
        raise DataError(f"{path} is no batch of CIFAR-10: no whole records of a label 0..9 and 3 x 32 x 32 bytes")
    records = raw.reshape(-1, CIFAR_RECORD)
    return Samples(records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0].astype(np.int64))


def japanese_vowels(path: Path) -> Parts:
    """Japanese vowels (UCI): cepstra (B, 29, 12) float32, zeros after the end of an utterance; 9 speakers."""
    archive = Archive(find(path, "japanese_vowels.npz"))
    train, test = (
        Samples(array(archive, part), array(archive, f"{part}_y").astype(np.int64)) for part in ("train", "test")
    )
    return Parts(train, test)


def braille(path: Path) -> Parts:
    """Braille letters under a robot's fingertip (Zenodo 6556273): taxels (B, 76, 12) uint8; repetitions 40..49 test."""
    archive = Archive(find(path, "braille_v1.npz"))
    both = Samples(array(archive, "taxel"), array(archive, "label").astype(np.int64))
    is_test = array(archive, "repetition") >= 40
    return Parts(both.take(~is_test), both.take(is_test))


def omniglot(path: Path) -> tuple[NDArray[Any], NDArray[np.str_]]:
    """Omniglot (Lake et al. 2015): images (characters, 20 drawers, 28, 28), and names alphabet/character.

    Args:
        path: ``omniglot_small.npz``, or a folder that holds it or the authors' ``images_background``.
    """
    found = find(path, "omniglot_small.npz", "images_background")
    if found.is_dir():
        return characters(found)
    archive = Archive(found)
    return array(archive, "images"), array(archive, "names")


def array(archive: Archive, name: str) -> NDArray[Any]:
    """One array of a data set's file.

    Raises:
        DataError: the file has no such array.
    """
    if name not in archive.names:
        raise DataError(f"{archive.path} has no array {name}; it holds {', '.join(archive.names) or 'nothing'}")
    return archive.array(name)
