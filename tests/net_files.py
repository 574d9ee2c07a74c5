"""Writes lava-dl ``.net`` files as SLAYER does, without any check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Layer = Mapping[str, Any]

CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1, "gradedSpike": False}
FAST = {**CUBA, "iDecay": 4096, "vDecay": 4096}
"""No memory from step to step: u = v = 64 times the sum that arrives."""
SDNN = {"type": "SDNN", "activation": "relu", "vThMant": 2}


def write_net(path: Path, layers: Sequence[Layer]) -> Path:
    """A file with ``layers``; a dict inside a layer becomes a group, texts are stored as SLAYER stores them."""
    with h5py.File(path, "w") as file:
        for index, layer in enumerate(layers):
            fill(file.create_group(f"layer/{index}"), layer)
    return path


def fill(group: h5py.Group, entries: Layer) -> None:
    """Fields, and groups of fields."""
    for key, value in entries.items():
        if isinstance(value, Mapping):
            fill(group.create_group(key), value)
        elif isinstance(value, str) and group.name.endswith("neuron"):
            group.create_dataset(key, data=value)
        elif isinstance(value, str):
            group.create_dataset(key, (1,), "S10", [value.encode()])
        else:
            group.create_dataset(key, data=value)


def dense(weight: Any, neuron: Layer | None = CUBA, **more: Any) -> Layer:
    """A dense layer; ``weight`` (out, in)."""
    weight = np.asarray(weight, np.float32)
    sizes = {"shape": np.array(weight.shape[:1]), "inFeatures": weight.shape[1], "outFeatures": weight.shape[0]}
    return {"type": "dense", **sizes, "weight": weight, **({} if neuron is None else {"neuron": neuron}), **more}


def conv(weight: Any, shape: Sequence[int], neuron: Layer = CUBA, **more: Any) -> Layer:
    """A convolution; ``weight`` (K, C / groups, kH, kW), ``shape`` its output's."""
    weight = np.asarray(weight, np.float32)
    geometry = {"stride": np.array([1, 1]), "padding": np.array([0, 0]), "dilation": np.array([1, 1]), "groups": 1}
    sizes = {"shape": np.array(shape), "kernelSize": np.array(weight.shape[2:4])}
    return {"type": "conv", **sizes, **geometry, "weight": weight, "neuron": neuron, **more}


def plain_input(*shape: int) -> Layer:
    """An input layer that is only a shape: spikes come in."""
    return {"type": "input", "shape": np.array(shape)}
