"""Small conventional networks with random weights, for tests of their conversion."""

from __future__ import annotations

import numpy as np

from spikeport.converters.build import sequential
from spikeport.converters.network import (
    Activation,
    Array,
    Conv,
    Edge,
    Embed,
    Flatten,
    Input,
    Linear,
    MaxPool,
    Network,
    Node,
    Output,
    Pool,
    Scale,
)
from spikeport.converters.passes.infer import infer

POOL = MaxPool((2, 2), (2, 2), (0, 0))
AVERAGE = Pool("average", (2, 2), (2, 2), (0, 0))


def conv(rng: np.random.Generator, channels: int, width: int, padding: int = 1, groups: int = 1) -> Conv:
    """A 3x3 convolution with a bias, stride 1."""
    weight = rng.normal(0, 1.4 / np.sqrt(9 * channels / groups), (width, channels // groups, 3, 3)).astype(np.float32)
    bias = rng.normal(0, 0.1, width).astype(np.float32)
    return Conv(weight, bias, (1, 1), (padding,) * 2, (1, 1), groups)


def linear(rng: np.random.Generator, n_in: int, n_out: int) -> Linear:
    """A dense layer with a bias."""
    weight = rng.normal(0, 1.4 / np.sqrt(n_in), (n_out, n_in)).astype(np.float32)
    return Linear(weight, rng.normal(0, 0.1, n_out).astype(np.float32))


def norm(rng: np.random.Generator, width: int) -> Scale:
    """What batch norm is after training."""
    factor, bias = rng.uniform(0.5, 1.5, (width, 1, 1)), rng.normal(0, 0.2, (width, 1, 1))
    return Scale(factor.astype(np.float32), bias.astype(np.float32))


def plain(seed: int = 0, middle: Node = AVERAGE) -> Network:
    """conv, batch norm, relu, ``middle`` (6x6 to 3x3), conv, relu, dense; input (2, 6, 6), 5 classes."""
    rng = np.random.default_rng(seed)
    layers: list[tuple[str, Node]] = [
        ("conv1", conv(rng, 2, 4)), ("norm1", norm(rng, 4)), ("relu1", Activation()), ("pool", middle),
        ("conv2", conv(rng, 4, 6)), ("relu2", Activation()), ("flat", Flatten(0, 2)), ("fc", linear(rng, 54, 5)),
    ]  # fmt: skip
    return sequential(layers, (2, 6, 6), dt=1.0, dialect="nir")


def branched(seed: int = 0) -> Network:
    """A residual sum with an identity branch, then a concatenation of two branches; input (2, 6, 6), 5 classes."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, Node] = {
        "input": Input((2, 6, 6)), "conv1": conv(rng, 2, 4), "relu1": Activation(),
        "conv2": conv(rng, 4, 4), "relu2": Activation(), "conv3": conv(rng, 4, 4, groups=4), "relu3": Activation(),
        "left": Embed((8, 6, 6), (0, 0, 0)), "right": Embed((8, 6, 6), (4, 0, 0)),
        "conv4": conv(rng, 8, 4), "relu4": Activation(), "flat": Flatten(0, 2), "fc": linear(rng, 144, 5),
        "output": Output((5,)),
    }  # fmt: skip
    pairs = (
        "input conv1, conv1 relu1, relu1 conv2, conv2 relu2, relu2 conv3, conv3 relu3, relu1 relu3, relu3 left, "
        "relu2 right, left conv4, right conv4, conv4 relu4, relu4 flat, flat fc, fc output"
    )
    edges = tuple(Edge(*pair.split()) for pair in pairs.split(", "))
    return infer(Network(nodes, edges, {}, 1.0, "nir:dt=1")).result


def images(count: int = 40, seed: int = 1, low: float = 0.0) -> Array:
    """Random inputs (count, 2, 6, 6) between ``low`` and 1."""
    return np.random.default_rng(seed).uniform(low, 1, (count, 2, 6, 6)).astype(np.float32)
