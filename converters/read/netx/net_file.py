"""A ``.net`` file (HDF5) as plain frozen data: its layers in order, each with its type and its numbers.

The format (lava-dl 0.6.0, `slayer.block.base.*.export_hdf5`) has no attributes: ``/layer/<i>/<field>``, a group
``neuron`` inside, and ``/simulation/Ts``. Nothing here knows what a layer means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import h5py
import numpy as np

from spikeport.converters.read.hdf5 import Field, Hdf5, opened, read_bytes

MAX_LAYERS = 1000


@dataclass(frozen=True)
class RawLayer:
    """One layer as the file has it.

    Attributes:
        index: its place, 0, 1, ...
        type: "input", "dense", "conv", ...
        fields: numbers and texts by name; those of the group ``neuron`` as ``neuron/<name>``.
    """

    index: int
    type: str
    fields: Mapping[str, Field]

    @property
    def name(self) -> str:
        """How spikeport calls it, since the file gives no names: "3 conv"."""
        return f"{self.index} {self.type}"


@dataclass(frozen=True)
class RawNet:
    """A whole file.

    Attributes:
        file: its name, for messages.
        layers: in order.
        sampling_ms: ``simulation/Ts``, milliseconds per step, or None.
        sha256: of its bytes.
    """

    file: str
    layers: tuple[RawLayer, ...]
    sampling_ms: float | None
    sha256: str


def read_net_file(path: Path) -> RawNet:
    """Read a ``.net`` file without believing anything it says about itself.

    Raises:
        ModelError: no such file, not HDF5, no ``.net`` file, damaged, or too large.
    """
    data = read_bytes(path)
    with opened(path, data) as file:
        walk = Hdf5(path.name, "lava-dl .net file", data)
        group = walk.group(file, "layer")
        layers = tuple(_layer(walk, walk.group(group, str(i)), i) for i in range(_count(walk, group)))
        sampling = _sampling(walk, file)
    return RawNet(path.name, layers, sampling, hashlib.sha256(data).hexdigest())


def _count(walk: Hdf5, group: h5py.Group) -> int:
    names = walk.names(group)
    if not 1 <= len(names) <= MAX_LAYERS:
        raise walk.refuse(f"it has {len(names)} layers; spikeport reads 1 to {MAX_LAYERS}")
    if strange := sorted(set(names) - {str(i) for i in range(len(names))}):
        raise walk.refuse(f"its layers are not numbered 0 to {len(names) - 1}: there is {strange[0]!r}")
    return len(names)


def _layer(walk: Hdf5, group: h5py.Group, index: int) -> RawLayer:
    fields: dict[str, Field] = {}
    for name in walk.names(group):
        item = walk.item(group, name)
        if isinstance(item, h5py.Group):
            fields |= {f"{name}/{key}": walk.value(item, key) for key in walk.names(item)}
        elif name != "type":
            fields[name] = walk.value(group, name)
    return RawLayer(index, walk.text(group, "type"), MappingProxyType(fields))


def _sampling(walk: Hdf5, file: h5py.File) -> float | None:
    if "simulation" not in file or "Ts" not in (group := walk.group(file, "simulation")):
        return None
    value = walk.value(group, "Ts")
    if isinstance(value, str) or value.size != 1 or not 0 < float(value.item()) < np.inf:
        raise walk.refuse("simulation/Ts should be one number above 0, milliseconds per step")
    return float(value.item())
