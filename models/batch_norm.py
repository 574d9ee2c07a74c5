"""Batch norm as it is deployed: part of the weights before it."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import Tensor, nn

from spikeport.errors import ModelError

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def without_batch_norm(net: nn.Module) -> nn.Module:
    """A copy for evaluation in which every batch norm went into the layer right before it in its ``nn.Sequential``.

    y = g · (W x + b - m) / sqrt(s + eps) + h is W' x + b' with k = g / sqrt(s + eps), W' = k W, b' = k (b - m) + h;
    computed in float64 and rounded once.

    Raises:
        ModelError: a batch norm that does not follow a dense layer or convolution, or keeps no statistics.
    """
    folded = deepcopy(net).eval()
    for sequence in [part for part in folded.modules() if isinstance(part, nn.Sequential)]:
        names = list(sequence._modules)
        for before, name in pairwise(names):
            layer, norm = sequence._modules[before], sequence._modules[name]
            if isinstance(norm, BatchNorm) and isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
                _fold(name, layer, norm)
                sequence._modules[name] = nn.Identity()
    if left := [name for name, part in folded.named_modules() if isinstance(part, BatchNorm)]:
        raise ModelError(
            f"batch norm '{left[0]}' does not follow a dense layer or convolution in the same nn.Sequential, so it "
            "cannot become part of its weights; put them side by side"
        )
    return folded


def _fold(name: str, layer: nn.Linear | nn.Conv1d | nn.Conv2d, norm: BatchNorm) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ModelError(f"batch norm '{name}' keeps no running statistics, so its effect depends on the batch")
    factor = 1.0 / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = torch.zeros_like(factor)
    if norm.affine:
        factor, shift = factor * norm.weight.double(), norm.bias.double()
    bias = torch.zeros_like(factor) if layer.bias is None else layer.bias.double()
    weight = layer.weight.double() * factor.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    layer.weight = _constant(weight)
    layer.bias = _constant(factor * (bias - norm.running_mean.double()) + shift)


def _constant(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().float(), requires_grad=False)
