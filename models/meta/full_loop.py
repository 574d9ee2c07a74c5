"""The full inner loop in floats: every tensor of the body adapts, which no local rule on a chip can do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikeport.models.meta.episodes import Episodes
from spikeport.models.meta.learner import Learner, inner_loop
from spikeport.models.training.fit import deterministic


def full_accuracy(learner: Learner, frames: NDArray[Any], episodes: Episodes, steps: int = 1) -> float:
    """Share of query samples that are right after ``steps`` inner steps of all tensors; frames (B, T, C, H, W)."""
    images = torch.from_numpy(frames).float()
    labels = torch.from_numpy(episodes.support_labels)
    rates = {name: rate.detach() for name, rate in learner.rates().items()}
    good = []
    with deterministic():
        for support, query in zip(episodes.support, episodes.query, strict=True):
            given = images[torch.from_numpy(support)]

            def loss_of(weights: Mapping[str, Tensor], given: Tensor = given) -> Tensor:
                return functional.cross_entropy(learner.logits(weights, given), labels)

            weights = inner_loop(learner.weights(), rates, loss_of, steps, False)
            with torch.no_grad():
                answers = learner.logits(weights, images[torch.from_numpy(query)]).argmax(1).numpy()
            good.append(np.mean(answers == episodes.query_labels))
    return float(np.mean(good))
