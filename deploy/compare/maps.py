"""Linear maps in float64. On whole numbers below 2^53 every sum is exact, in any order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch.nn import functional

from spikeport.converters.circuit import ConvMap, DenseMap, FloatMap, SparseWeights
from spikeport.deploy.compare.program import Floats

Apply: TypeAlias = Callable[[Floats], Floats]

FRAMES = 64
"""Frames that a convolution unfolds at once: bounds the memory of its patches."""


def ready(weights: FloatMap) -> Apply:
    """The map from frames (F, n_source) to sums (F, n_target)."""
    match weights:
        case DenseMap(weight):
            columns = np.ascontiguousarray(weight.T, dtype=np.float64)
            return lambda frames: np.asarray(frames @ columns)
        case SparseWeights(matrix):
            rows = matrix.astype(np.float64)
            return lambda frames: np.ascontiguousarray((rows @ frames.T).T)
        case ConvMap():
            return lambda frames: np.concatenate(
                [_correlate(weights, frames[i : i + FRAMES]) for i in range(0, len(frames), FRAMES)]
            )


def _correlate(conv: ConvMap, frames: Floats) -> Floats:
    """Unfolded by hand: a library's convolution may go through transforms whose sums are not exact."""
    image = torch.from_numpy(np.ascontiguousarray(frames)).reshape(len(frames), *conv.source_shape)
    patches = functional.unfold(image, conv.weight.shape[2:], conv.dilation, conv.padding, conv.stride)
    kernels = torch.from_numpy(np.asarray(conv.weight, dtype=np.float64))
    kernels = kernels.reshape(conv.groups, conv.weight.shape[0] // conv.groups, -1)
    sums = kernels @ patches.reshape(len(frames), conv.groups, kernels.shape[2], -1)
    return np.asarray(sums.reshape(len(frames), -1).numpy())
