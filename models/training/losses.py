"""Losses of classifiers on outputs over time (B, T, classes), and the losses of an epoch of shuffled batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeport.models.data.samples import Samples
from spikeport.models.network import over_time

Loss = Callable[[Tensor, Tensor], Tensor]


def rate_loss(outputs: Tensor, labels: Tensor, scale: float = 1.0) -> Tensor:
    """Cross-entropy of the outputs' sum over time, times ``scale``, as logits; ()."""
    return functional.cross_entropy(scale * outputs.sum(1), labels)


def last_loss(outputs: Tensor, labels: Tensor, scale: float = 1.0) -> Tensor:
    """Cross-entropy of the last step's outputs, times ``scale``, as logits; ()."""
    return functional.cross_entropy(scale * outputs[:, -1], labels)


def tet_loss(logits: Tensor, labels: Tensor, weight: float = 1e-3, target: float = 1.0) -> Tensor:
    """Temporal efficient training: (1 - weight) · mean over t of CE(o_t, y) + weight · MSE(o, target); ().

    Deng et al. 2022, arXiv:2202.11946, eq. 12. ``logits`` are those of every single step, not running sums.
    """
    every = functional.cross_entropy(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
    return (1.0 - weight) * every + weight * ((logits - target) ** 2).mean()


def batch_losses(net: nn.Module, samples: Samples, batch: int, loss: Loss) -> Callable[[int], Iterator[Tensor]]:
    """For `fit`: losses of all samples once, in an order drawn from torch's generator, ``batch`` at a time.

    ``loss`` takes outputs (B, T, classes) and labels (B,).
    """

    def epoch(_number: int) -> Iterator[Tensor]:
        for chosen in torch.split(torch.randperm(len(samples)), batch):
            frames, labels = samples.tensors(chosen)
            yield loss(over_time(net, frames), labels)

    return epoch


def batches_of(samples: Samples, batch: int) -> int:
    """How many losses `batch_losses` gives per epoch."""
    return ceil(len(samples) / batch)
