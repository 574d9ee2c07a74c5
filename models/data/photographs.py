"""Pictures in folders of classes: Caltech101's photographs, Omniglot's characters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError, DataError
from spikeport.models.data.samples import Samples
from spikeport.models.data.walk import entries, folders

BOX = 4
"""Pillow's ``Resampling.BOX``: means over areas."""
DRAWERS = 20
SUFFIXES = (".jpg", ".jpeg", ".png")


@lru_cache(maxsize=1)
def photographs(
    path: Path, names: tuple[str, ...], size: tuple[int, int], without: frozenset[tuple[str, int]] = frozenset()
) -> Samples:
    """V channels (N, height, width) uint8 of pictures in one folder per class, at any depth under ``path``.

    A picture becomes as large as fits ``size`` without being distorted, from the upper left; the rest is black. That is
    how N-Caltech101 showed them (Orchard et al. 2015). V of HSV is the largest of red, green and blue.

    Args:
        path: holds a folder with the folders of the classes.
        names: of the classes, in the order of their labels.
        size: (height, width).
        without: pictures to leave out, as (class, number in the file's name).

    Raises:
        DataError: a class has no pictures, one cannot be read, or one that is to be left out is not there.
        BackendError: the package Pillow is not installed.
    """
    home, (height, width) = _home(path, names[0]), size
    every = [(label, name, picture) for label, name in enumerate(names) for picture in _pictures(home / name)]
    if missing := sorted(without - {(name, number_of(picture)) for _, name, picture in every}):
        name, number = missing[0]
        raise DataError(f"{home / name} has no picture {number}, though there is a recording of it: do names agree?")
    found = [(label, picture) for label, name, picture in every if (name, number_of(picture)) not in without]
    values = np.zeros((len(found), height, width), np.uint8)
    for value, (_, picture) in zip(values, found, strict=True):
        with _opened(picture) as (opened, tools):
            fitting = np.asarray(tools.contain(opened.convert("RGB"), (width, height))).max(-1)
        value[: fitting.shape[0], : fitting.shape[1]] = fitting
    return Samples(values, np.array([label for label, _ in found]))


def characters(home: Path, side: int = 28) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Omniglot (Lake et al. 2015) as its authors distribute it: images (characters, 20 drawers, side, side), and names.

    Ink is bright, as in MNIST; a name is alphabet/character.

    Args:
        home: ``images_background`` or ``images_evaluation``.
        side: pixels.

    Raises:
        DataError: no folders of alphabets with 20 drawings of every character, or a drawing that cannot be read.
        BackendError: the package Pillow is not installed.
    """
    homes = [folder for alphabet in entries(home) for folder in entries(alphabet) if folder.is_dir()]
    images = np.zeros((len(homes), DRAWERS, side, side), np.uint8)
    for drawn, folder in zip(images, homes, strict=True):
        if len(found := _pictures(folder)) != DRAWERS:
            raise DataError(f"{folder} holds {len(found)} drawings; Omniglot has {DRAWERS} of every character")
        for drawing, path in zip(drawn, found, strict=True):
            with _opened(path) as (opened, tools):
                drawing[:] = np.asarray(tools.invert(opened.convert("L")).resize((side, side), BOX))
    if not homes:
        raise DataError(f"{home} holds no alphabets with folders of characters")
    return images, np.array([f"{folder.parent.name}/{folder.name}" for folder in homes])


def number_of(path: Path) -> int:
    """The number at the end of a file's name, before its suffix; -1 where there is none."""
    digits = re.search(r"\d+$", path.stem)
    return int(digits[0]) if digits else -1


def _home(path: Path, name: str) -> Path:
    for home in folders(path):
        if any(entry.suffix.lower() in SUFFIXES for entry in entries(home / name)):
            return home
    raise DataError(f"{path} holds no folders of classes with {', '.join(SUFFIXES)} pictures, such as {name}")


def _pictures(folder: Path) -> list[Path]:
    if found := [entry for entry in entries(folder) if entry.suffix.lower() in SUFFIXES]:
        return found
    raise DataError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """The picture, and Pillow's ``ImageOps``."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise BackendError(f"{path}: pictures need the package Pillow: pip install 'spikeport[zoo]'") from error
    try:
        with Image.open(path) as picture:
            yield picture, ImageOps
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
