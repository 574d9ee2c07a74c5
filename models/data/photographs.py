"""Photographs in folders of classes, Caltech101's for one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, DataError
from spikeport.models.data.samples import Samples

SUFFIXES = (".jpg", ".jpeg", ".png")


def photographs(path: Path, names: Sequence[str], size: tuple[int, int]) -> Samples:
    """V channels (N, height, width) uint8 of pictures in one folder per class, at any depth under ``path``.

    A picture becomes as large as fits ``size`` without being distorted, from the upper left; the rest is black. That is
    how N-Caltech101 showed them (Orchard et al. 2015). V of HSV is the largest of red, green and blue.

    Args:
        path: holds a folder with the folders of the classes.
        names: of the classes, in the order of their labels.
        size: (height, width).

    Raises:
        DataError: a class has no pictures, or one cannot be read.
        BackendError: the package Pillow is not installed.
    """
    home = _home(path, names[0])
    found = [(label, picture) for label, name in enumerate(names) for picture in _pictures(home / name)]
    return Samples(np.stack([_value(p, size) for _, p in found]), np.array([label for label, _ in found]))


def _home(path: Path, name: str) -> Path:
    for folder in sorted(path.rglob(name)):
        if folder.is_dir() and any(entry.suffix.lower() in SUFFIXES for entry in folder.iterdir()):
            return folder.parent
    raise DataError(f"{path} holds no folders of classes with {', '.join(SUFFIXES)} pictures, such as {name}")


def _pictures(folder: Path) -> list[Path]:
    if folder.is_dir() and (found := sorted(e for e in folder.iterdir() if e.suffix.lower() in SUFFIXES)):
        return found
    raise DataError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")


def _value(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise BackendError(f"{path}: pictures need the package Pillow: pip install 'spikeport[zoo]'") from error
    height, width = size
    try:
        with Image.open(path) as picture:
            fitting = np.asarray(ImageOps.contain(picture.convert("RGB"), (width, height))).max(-1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    value = np.zeros(size, np.uint8)
    value[: fitting.shape[0], : fitting.shape[1]] = fitting
    return value
