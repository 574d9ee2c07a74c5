"""Training of a chain of spiking layers with skips, on scikit-learn's digits or event recordings."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from spikeport.converters.findings import Finding
from spikeport.converters.network import Network, Shape
from spikeport.errors import DataError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.data.recognise import EventFrames, event_frames
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.digits import load_test, load_train
from spikeport.models.export import to_network
from spikeport.models.neurons import LIF, Integrator
from spikeport.models.recipe import Recipe
from spikeport.models.skips.blocks import LayerKind, SkipBlock
from spikeport.models.skips.matrix import Kind, SkipMatrix, parse_matrices, regular
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import EventConfig
from spikeport.models.training.evaluate import accuracy, mean_rate
from spikeport.models.training.fit import Figures, Watch, fit
from spikeport.models.training.losses import batch_losses, batches_of, last_loss
from spikeport.models.training.run_folder import RunFolder

DataSet = Literal["digits", "events"]
DIGITS_SHAPE: Shape = (1, 8, 8)
DIGITS = 10
UNREAD = Finding(
    "digits", "info", "", "scikit-learn's digits are learnt from; with data_set=events it is what --data holds."
)
WHITE = 16
"""The brightest pixel of scikit-learn's digits."""


class SkipsConfig(EventConfig):
    """Settings.

    Attributes:
        data_set: "digits" come with scikit-learn and need no file; "events" are read from the data given.
        steps: T, time steps per sample.
        layer: what the blocks consist of.
        matrix: skips, 1 concatenated and 2 added: row i is what leaves layer i, "/" between rows, "," between blocks;
            "" for ``kind`` and ``n_skip``.
        kind: of the skips where there is no matrix: concatenated (dsc) or added (asc).
        n_skip: how many at every layer that has as many layers before it, where there is no matrix.
        blocks: of layers, with pooling between them; a given matrix must agree.
        depth: layers of each block; a given matrix must agree.
        width: neurons or channels of each layer.
        decay: of all neurons.
        held_out: samples for test, drawn by ``seed`` where the set has no parts of its own.
        validation: further samples kept from training, for a search to look at.
    """

    epochs: int = Field(20, ge=1)
    data_set: DataSet = "digits"
    steps: int = Field(4, ge=1)
    layer: LayerKind = "dense"
    matrix: str = ""
    kind: Kind = "dsc"
    n_skip: int = Field(0, ge=0)
    blocks: int = Field(1, ge=1)
    depth: int = Field(6, ge=1)
    width: int = Field(48, ge=1)
    decay: float = Field(0.5, gt=0, lt=1)
    held_out: int = Field(400, ge=1)
    validation: int = Field(0, ge=0)

    @property
    def matrices(self) -> tuple[SkipMatrix, ...]:
        """One of each block."""
        if self.matrix:
            return parse_matrices(self.matrix)
        return (regular(self.depth, self.n_skip, self.kind),) * self.blocks

    @model_validator(mode="after")
    def _consistent(self) -> SkipsConfig:
        if self.data_set == "digits" and (self.pool or self.seconds):
            raise DataError("pool and seconds are for recordings; they go with data_set=events")
        depths = [matrix.depth for matrix in self.matrices]
        if depths != [self.depth] * self.blocks:
            raise DataError(f"matrices for blocks of {depths} layers; depth={self.depth}, blocks={self.blocks}")
        if self.layer == "dense" and self.blocks > 1:
            raise DataError(f"blocks={self.blocks}: dense layers make one block, nothing is pooled between them")
        return self


def build(config: SkipsConfig, shape: Shape, classes: int) -> nn.Module:
    """The blocks and a read-out that adds up the answer; initial weights drawn by the seed.

    Raises:
        DataError: frames too small for so many blocks.
    """
    torch.manual_seed(config.seed)
    channels, height, width = shape
    if not min(height, width) >> (config.blocks - 1):
        side = min(height, width)
        raise DataError(f"blocks={config.blocks}: {side} pixels cannot be halved {config.blocks - 1} times")
    net = nn.Sequential()
    if config.layer == "dense":
        net.add_module("flatten", nn.Flatten())
        channels, height, width = channels * height * width, 1, 1
    for number, matrix in enumerate(config.matrices):
        if number:
            net.add_module(f"pool{number}", nn.AvgPool2d(2))
            height, width = height // 2, width // 2
        block = SkipBlock(matrix, config.layer, channels, config.width, partial(LIF, config.decay))
        net.add_module(f"block{number + 1}", block)
        channels = config.width
    if config.layer != "dense":
        net.add_module("flatten", nn.Flatten())
    net.add_module("readout", nn.Linear(channels * height * width, classes))
    net.add_module("sum", Integrator())
    return net


def _events(run: RunFolder[SkipsConfig]) -> EventFrames:
    return event_frames(run.data, run.config.steps, run.config.pool, run.config.seconds)


def _form(run: RunFolder[SkipsConfig]) -> tuple[Shape, int]:
    """Of a frame, and how many classes there are."""
    if run.config.data_set == "digits":
        return DIGITS_SHAPE, DIGITS
    return _events(run).shape, _events(run).source.classes


def _parts(run: RunFolder[SkipsConfig]) -> Parts:
    config = run.config
    if config.data_set == "events":
        return _events(run).divided(config.seed, config.held_out)
    train, test = (Samples(rate_spikes(images, config.steps), labels) for images, labels in (load_train(), load_test()))
    return Parts(replace(train, findings=(UNREAD,)), test).mixed(config.seed, config.held_out)


def rate_spikes(images: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
    """Spikes (B, steps, 1, 8, 8) of integrate-and-fire inputs that are fed their pixel 0..16 and start half full."""
    times = np.arange(steps + 1).reshape(1, -1, 1, 1, 1)
    so_far = (2 * images.astype(np.int64)[:, None] * times + WHITE) // (2 * WHITE)
    return np.diff(so_far, axis=1).astype(np.uint8)


def samples(run: RunFolder[SkipsConfig]) -> Parts:
    """Spikes (B, steps, *shape), split by the seed; those for validation belong to neither part."""
    parts, _ = split(run)
    return parts


def split(run: RunFolder[SkipsConfig]) -> tuple[Parts, Samples]:
    """See `samples`; and the samples for validation, which are those for test where none were asked for."""
    parts = _parts(run)
    return parts.held_back(run.config.validation) if run.config.validation else (parts, parts.test)


def train(run: RunFolder[SkipsConfig], watch: Watch) -> Figures:
    """Accuracy on both held-out parts, mean firing rate on the samples for validation, and the number of weights."""
    config, (parts, validation) = run.config, split(run)
    net = _new(run)
    losses = batch_losses(net, parts.train, config.batch, partial(last_loss, scale=1.0 / config.steps))
    fit(net, losses, config, batches_of(parts.train, config.batch), run.stage("net"), watch)
    return {
        "accuracy": accuracy(net, parts.test, "membrane-last"),
        "validation": accuracy(net, validation, "membrane-last"),
        "rate": mean_rate(net, validation.frames),
        "parameters": float(sum(p.numel() for p in without_batch_norm(net).parameters())),
    }


def _new(run: RunFolder[SkipsConfig]) -> nn.Module:
    return build(run.config, *_form(run))


def trained(run: RunFolder[SkipsConfig]) -> nn.Module:
    """The net of a finished run."""
    net = _new(run)
    read_checkpoint(run.stage("net").path, net)
    return net.eval()


def network(run: RunFolder[SkipsConfig]) -> Network:
    """What is deployed."""
    return to_network(without_batch_norm(trained(run)), _form(run)[0])


def untrained(run: RunFolder[SkipsConfig]) -> Network:
    """What will be deployed, with its first weights."""
    return to_network(without_batch_norm(_new(run)), _form(run)[0])


RECIPE = Recipe(SkipsConfig, train, network, samples, untrained, "membrane-last")
