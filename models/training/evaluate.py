"""What a trained module gives on samples it is judged by."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikeport.models.data.samples import Samples
from spikeport.models.network import neurons_of, over_time, spikes_of

Score: TypeAlias = Literal["count", "membrane", "membrane-last"]
"""How outputs over time become one score per class, as decoders of deployments are called."""
BATCH = 200


def outputs(net: nn.Module, frames: NDArray[Any]) -> NDArray[np.float32]:
    """Outputs (B, T, *out) in evaluation mode for frames (B, T, *shape)."""
    net.eval()
    with torch.no_grad():
        parts = [
            over_time(net, torch.from_numpy(frames[first : first + BATCH].astype(np.float32))).numpy()
            for first in range(0, len(frames), BATCH)
        ]
    return np.concatenate(parts)


def accuracy(net: nn.Module, samples: Samples, score: Score = "count") -> float:
    """Share of samples whose true class has the best score (the lowest class of equals wins)."""
    given = outputs(net, samples.frames)
    scores = given[:, -1] if score == "membrane-last" else given.sum(1)
    return float(np.mean(scores.argmax(1) == samples.labels))


def firing_rates(net: nn.Module, frames: NDArray[Any]) -> dict[str, float]:
    """Spikes per neuron and step of every spiking layer, by name, on frames (B, T, *shape)."""
    return {name: spikes / places for name, (spikes, places) in _spike_counts(net, frames).items()}


def mean_rate(net: nn.Module, frames: NDArray[Any]) -> float:
    """Spikes per neuron and step over all spiking layers, on frames (B, T, *shape)."""
    spikes, places = map(sum, zip(*_spike_counts(net, frames).values(), strict=True))
    return spikes / places


def _spike_counts(net: nn.Module, frames: NDArray[Any]) -> dict[str, tuple[int, int]]:
    """Of every spiking layer its spikes, and how many there could have been."""
    net.eval()
    counts = {name: (0, 0) for name, neuron in neurons_of(net) if neuron.spiking}
    with torch.no_grad(), spikes_of(net) as seen:
        for first in range(0, len(frames), BATCH):
            over_time(net, torch.from_numpy(frames[first : first + BATCH].astype(np.float32)))
            for name, (spikes, places) in counts.items():
                counts[name] = (spikes + int(seen[name].sum(dtype=torch.int64)), places + seen[name].numel())
    return counts
