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
from spikeport.models.data.photographs import photographs
from spikeport.models.data.recognise import EventSet
from spikeport.models.data.samples import Samples
from spikeport.models.data.sets import cifar10, find, mnist

MARGIN = 3
"""Pixels around MNIST's 28 that make N-MNIST's 34 (Orchard et al. 2015)."""


def _digits(path: Path, _found: EventSet) -> Samples:
    read = mnist(find(path, "mnist.npz")).train
    return Samples(np.pad(read.frames, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))), read.labels)


def _pictures(path: Path, _found: EventSet) -> Samples:
    read = cifar10(path).train
    return Samples(read.frames.max(-1), read.labels)


def _objects(path: Path, found: EventSet) -> Samples:
    return photographs(path, found.names, (found.sensor[1], found.sensor[2]))


IMAGES: Mapping[str, tuple[str, Callable[[Path, EventSet], Samples]]] = {
    "N-MNIST": ("mnist.npz", _digits),
    "CIFAR10-DVS": ("CIFAR-10's data_batch_1.bin and so on", _pictures),
    "N-Caltech101": ("Caltech101's folders of pictures", _objects),
}
"""By the name of the recordings: what their images come as, and who reads them as V channels (N, H, W), uint8."""


def static_samples(found: EventSet, path: Path) -> Samples:
    """Images (N, H, W) uint8 with the classes of ``found``, from the folder ``path`` that holds both.

    V of HSV is the largest of red, green and blue: how He et al. (arXiv:2303.13077) bring colours to an event sensor.

    Raises:
        DataError: no images are known that go with these recordings, or there are none in ``path``.
    """
    if found.name not in IMAGES:
        raise DataError(f"no static images are known that go with {found.name}; there are for {', '.join(IMAGES)}")
    files, read = IMAGES[found.name]
    if path.is_file():
        raise DataError(f"{path} is one file; give a folder that holds the recordings and {files} as well")
    return read(path, found)


def static_frames(images: NDArray[Any], shape: Shape, negative: bool = False) -> NDArray[np.float32]:
    """Images (N, H, W) 0..255 as frames (N, *shape) in [0, 1], the same on both polarities; means where they shrink."""
    wanted = torch.from_numpy(images.astype(np.float32) / 255.0)[:, None]
    scaled = functional.adaptive_avg_pool2d(wanted, (shape[1], shape[2]))
    return (1.0 - scaled if negative else scaled).expand(-1, *shape).numpy()
