"""SEENN-II's policy: from the first frame of a sample to the number of steps it is given.

The loss is that of the authors' public code (Intelligent-Computing-Lab-Yale/SEENN): an expectation, nothing is sampled.

Runs on the host beside the chip; its cost is its multiply-accumulates, once per sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from spikeport.errors import ModelError
from spikeport.models.training.checkpoint import read_checkpoint

HIDDEN = 64


class Policy(nn.Module):
    """Scores (B, T) of giving a sample 1 .. T steps, from its first frame (B, *shape)."""

    def __init__(self, inputs: int, steps: int) -> None:
        super().__init__()
        self.inputs = inputs
        """Values of a frame."""
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, steps))

    def forward(self, frames: Tensor) -> Tensor:
        """See above."""
        scores: Tensor = self.layers(frames)
        return scores

    @torch.no_grad()
    def steps(self, frames: NDArray[Any]) -> NDArray[np.int64]:
        """(B,) steps for samples (B, T, *shape)."""
        chosen: NDArray[np.int64] = self(torch.from_numpy(frames[:, 0].astype(np.float32))).argmax(-1).numpy() + 1
        return chosen

    @property
    def operations(self) -> int:
        """Multiply-accumulates per sample."""
        return sum(layer.weight.numel() for layer in self.layers if isinstance(layer, nn.Linear))


def read_policy(path: Path) -> Policy:
    """A policy that `spikeport zoo train seenn` wrote (``policy-<penalty>.safetensors``).

    Raises:
        ModelError: not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            first, last = (file.get_slice(f"module/layers.{layer}.weight").get_shape() for layer in (1, 3))
            policy = Policy(first[1], last[0])
    except (SafetensorError, OSError, IndexError, RuntimeError) as problem:
        raise ModelError(f"{path} is no policy of spikeport zoo train seenn: {problem}") from problem
    read_checkpoint(path, policy)
    policy.eval()
    return policy


def policy_losses(
    policy: Policy, first: NDArray[Any], correct: NDArray[np.bool_], batch: int, penalty: float
) -> Callable[[int], Iterator[Tensor]]:
    """For `fit`: the expected cost of shuffled batches.

    Args:
        policy: what learns.
        first: (B, *shape) first frames.
        correct: (B, T) whether the answer after each number of steps is right.
        batch: samples per loss.
        penalty: the paper's beta.
    """
    frames, right = torch.from_numpy(first.astype(np.float32)), torch.from_numpy(correct.astype(np.float32))
    at_once = float(right[:, 0].mean())
    weight = torch.where(right[:, 0] > 0, 1.0, at_once / max(1.0 - at_once, 1e-6))

    def epoch(_number: int) -> Iterator[Tensor]:
        for chosen in torch.split(torch.randperm(len(frames)), batch):
            chance = torch.softmax(policy(frames[chosen]), -1)
            yield (expected_cost(chance, right[chosen], penalty) * weight[chosen]).mean()

    return epoch


def expected_cost(chance: Tensor, right: Tensor, penalty: float) -> Tensor:
    """(B,): sum over k of chance_k · (penalty where wrong, -2^-k where right), k = 0 .. T - 1."""
    reward = 2.0 ** -torch.arange(chance.shape[-1], dtype=chance.dtype)
    return (chance * (penalty * (1.0 - right) - reward * right)).sum(-1)
