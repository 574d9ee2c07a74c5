"""Training of a chain of spiking layers with skips, on scikit-learn's digits or N-MNIST."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import nn

from spikeport.converters.network import Network, Shape
from spikeport.errors import DataError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.data.sets import nmnist_frames
from spikeport.models.digits import load_test, load_train
from spikeport.models.export import to_network
from spikeport.models.network import neurons_of, over_time, spikes_of
from spikeport.models.neurons import LIF, Integrator
from spikeport.models.recipe import Recipe
from spikeport.models.skips.blocks import LayerKind, SkipBlock
from spikeport.models.skips.matrix import Kind, SkipMatrix, parse_matrices, regular
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import TrainingConfig
from spikeport.models.training.evaluate import accuracy
from spikeport.models.training.fit import Figures, Watch, fit
from spikeport.models.training.losses import batch_losses, batches_of, last_loss
from spikeport.models.training.run_folder import RunFolder

DataSet = Literal["digits", "nmnist"]
SHAPES: Mapping[DataSet, Shape] = {"digits": (1, 8, 8), "nmnist": (2, 17, 17)}
CLASSES = 10
WHITE = 16
"""The brightest pixel of scikit-learn's digits."""


class SkipsConfig(TrainingConfig):
    """Settings.

    Attributes:
        data_set: "digits" come with scikit-learn and need no file; "nmnist" is read from the data given.
        steps: T.
        layer: what the blocks consist of.
        matrix: skips, as `spikeport.models.skips.matrix.parse_matrices` reads them; "" for ``kind`` and ``n_skip``.
        kind, n_skip: that many skips of one kind at every layer, where there are as many layers before it.
        blocks, depth: blocks, with pooling between them, and layers of each; a given matrix must agree.
        width: neurons or channels of each layer.
        decay: of all neurons.
        held_out: samples for test, drawn by ``seed``.
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
        depths = [matrix.depth for matrix in self.matrices]
        if depths != [self.depth] * self.blocks:
            raise DataError(f"matrices for blocks of {depths} layers; depth={self.depth}, blocks={self.blocks}")
        if self.layer == "dense" and self.blocks > 1:
            raise DataError(f"blocks={self.blocks}: dense layers make one block, nothing is pooled between them")
        side = min(SHAPES[self.data_set][1:])
        if not side >> (self.blocks - 1):
            raise DataError(f"blocks={self.blocks}: {side} pixels cannot be halved {self.blocks - 1} times")
        return self


def build(config: SkipsConfig) -> nn.Module:
    """The blocks and a read-out that adds up the answer; initial weights drawn by the seed."""
    torch.manual_seed(config.seed)
    channels, height, width = SHAPES[config.data_set]
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
    net.add_module("readout", nn.Linear(channels * height * width, CLASSES))
    net.add_module("sum", Integrator())
    return net


def _digits(run: RunFolder[SkipsConfig]) -> Parts:
    steps = run.config.steps
    return Parts(*(Samples(rate_spikes(images, steps), labels) for images, labels in (load_train(), load_test())))


def rate_spikes(images: NDArray[np.float32], steps: int) -> NDArray[np.uint8]:
    """Spikes (B, steps, 1, 8, 8) of integrate-and-fire inputs that are fed their pixel 0..16 and start half full."""
    times = np.arange(steps + 1).reshape(1, -1, 1, 1, 1)
    so_far = (2 * images.astype(np.int64)[:, None] * times + WHITE) // (2 * WHITE)
    return np.diff(so_far, axis=1).astype(np.uint8)


_SETS: Mapping[DataSet, Callable[[RunFolder[SkipsConfig]], Parts]] = {
    "digits": _digits,
    "nmnist": lambda run: nmnist_frames(run.data, run.config.steps),
}


def samples(run: RunFolder[SkipsConfig]) -> Parts:
    """Spikes (B, steps, *shape), split by the seed; those for validation belong to neither part."""
    parts, _ = split(run)
    return parts


def split(run: RunFolder[SkipsConfig]) -> tuple[Parts, Samples]:
    """See `samples`; and the samples for validation, which are those for test where none were asked for."""
    config = run.config
    parts = _SETS[config.data_set](run).mixed(config.seed, config.held_out)
    if not config.validation:
        return parts, parts.test
    if config.validation >= len(parts.train):
        raise DataError(f"validation={config.validation}: only {len(parts.train)} samples are left to learn from")
    kept, learnt = slice(config.validation), slice(config.validation, None)
    return Parts(parts.train.take(learnt), parts.test), parts.train.take(kept)


def train(run: RunFolder[SkipsConfig], watch: Watch) -> Figures:
    """Accuracy on both held-out parts, mean firing rate on the samples for validation, and the number of weights."""
    config, (parts, validation) = run.config, split(run)
    net = build(config)
    losses = batch_losses(net, parts.train, config.batch, partial(last_loss, scale=1.0 / config.steps))
    fit(net, losses, config, batches_of(parts.train, config.batch), run.stage("net"), watch)
    return {
        "accuracy": accuracy(net, parts.test, "membrane-last"),
        "validation": accuracy(net, validation, "membrane-last"),
        "rate": mean_rate(net, validation),
        "parameters": float(sum(p.numel() for p in without_batch_norm(net).parameters())),
    }


def mean_rate(net: nn.Module, judged: Samples) -> float:
    """Spikes per neuron and step over all spiking layers: the paper's second objective."""
    net.eval()
    with torch.no_grad(), spikes_of(net) as seen:
        over_time(net, judged.tensors()[0])
    spikes = [seen[name] for name, neuron in neurons_of(net) if neuron.spiking]
    return float(sum(s.sum() for s in spikes)) / sum(s.numel() for s in spikes)


def trained(run: RunFolder[SkipsConfig]) -> nn.Module:
    """The net of a finished run."""
    net = build(run.config)
    read_checkpoint(run.stage("net").path, net)
    return net.eval()


def network(run: RunFolder[SkipsConfig]) -> Network:
    """What is deployed."""
    return to_network(without_batch_norm(trained(run)), SHAPES[run.config.data_set])


RECIPE = Recipe(SkipsConfig, train, network, samples, "membrane-last")
