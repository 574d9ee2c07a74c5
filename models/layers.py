"""Chains of convolutions from text such as "64,128,p,256": the VGG-like bodies of the papers at their full size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import TypeAlias

from torch import nn

from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.neurons import SteppedNeuron

Body: TypeAlias = tuple[dict[str, nn.Module], int]
"""Layers by name, and how many values they give."""
POOL = "p"
KNOWN: Mapping[str, str] = {"vgg-snn": "64,128,p,256,256,p,512,512,p,512,512,p"}
"""Bodies with a name: that for event recordings (2 x 48 x 48) in SEENN and in static-to-event transfer."""


def convolutions(text: str, shape: Shape, neurons: Callable[[], SteppedNeuron]) -> Body:
    """Layers by name, a flatten at their end, and how many values it gives.

    Args:
        text: a name in `KNOWN`, or with commas between: a number for so many channels of 3 x 3, padded by 1, batch norm
            and neurons; p for means of 2 x 2.
        shape: of a frame, (channels, height, width).
        neurons: makes a layer of them.

    Raises:
        DataError: another word, or more pools than the frame can be halved for.
    """
    layers: dict[str, nn.Module] = {}
    channels, height, width = shape
    words = [word.strip() for word in KNOWN.get(text, text).split(",")]
    for number, word in enumerate(words, 1):
        if word == POOL:
            layers[f"pool{number}"] = nn.AvgPool2d(2)
            height, width = height // 2, width // 2
        elif word.isdecimal() and int(word):
            layers[f"conv{number}"] = nn.Conv2d(channels, int(word), 3, padding=1, bias=False)
            channels = int(word)
            layers[f"norm{number}"] = nn.BatchNorm2d(channels)
            layers[f"neurons{number}"] = neurons()
        else:
            known = ", ".join(KNOWN)
            raise DataError(f"layers={text}: {word!r} is no number of channels, nor {POOL} for a pool, nor {known}")
        if not min(height, width):
            size = f"frames of {shape[1]} x {shape[2]} pixels"
            raise DataError(f"layers={text}: {size} cannot be halved {words.count(POOL)} times")
    if not any(word != POOL for word in words):
        raise DataError(f"layers={text}: nothing but pools has no neurons; name at least one number of channels")
    return {**layers, "flatten": nn.Flatten()}, prod((channels, height, width))
