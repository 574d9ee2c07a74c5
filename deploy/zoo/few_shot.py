"""Many few-shot episodes at once, on features or hidden spike counts that were computed once for all samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.deploy.learning.costs import LearningCosts, epoch_costs
from spikeport.deploy.learning.engine import (
    ROUNDING_SEED,
    TRACE_MAX,
    Rounding,
    impulse_for,
    product,
    update,
    weight_range,
    weight_unit,
)
from spikeport.deploy.learning.layer import UNIT_SHIFT, PlasticLayer
from spikeport.deploy.learning.third_factor import THRESHOLD, errors, sent
from spikeport.deploy.on_chip_learning import rule_for, to_grid
from spikeport.errors import UnsupportedOnChipError
from spikeport.models.meta.episodes import Episodes

Floats: TypeAlias = NDArray[np.floating[Any]]

CHUNK = 100
"""Episodes at a time: all their weights are held."""


def right(weights: NDArray[Any], features: NDArray[Any], episodes: Episodes) -> float:
    """Share of query samples that heads (E, way, n) get right; of equal scores the lowest class wins."""
    scores = features[episodes.query] @ np.swapaxes(weights, 1, 2)
    return float(np.mean(scores.argmax(-1) == episodes.query_labels))


def adapted(head: Floats, features: Floats, episodes: Episodes, rate: float, steps: int) -> Floats:
    """Heads (E, way, n) in floats after ``steps`` gradient steps on all support samples, from ``head`` (way, n)."""
    support, labels = features[episodes.support].astype(np.float64), episodes.support_labels
    weights = np.repeat(head[None].astype(np.float64), len(support), 0)
    for _ in range(steps):
        error = errors(support @ np.swapaxes(weights, 1, 2), np.broadcast_to(labels, support.shape[:2]), 1.0)
        weights = weights + rate / len(labels) * np.swapaxes(error, 1, 2) @ support
    return weights


def prototypes(features: NDArray[Any], episodes: Episodes) -> Floats:
    """Imprinted heads (E, way, n): class means at unit length."""
    means = _means(features, episodes)
    lengths = np.linalg.norm(means, axis=-1, keepdims=True)
    return np.asarray(means / np.where(lengths > 0, lengths, 1.0))


def nearest_mean(features: NDArray[Any], episodes: Episodes) -> float:
    """Share of query samples whose nearest class mean is their own."""
    means = _means(features, episodes)
    scores = features[episodes.query] @ np.swapaxes(means, 1, 2) - (means**2).sum(-1)[:, None] / 2
    return float(np.mean(scores.argmax(-1) == episodes.query_labels))


def _means(features: NDArray[Any], episodes: Episodes) -> Floats:
    task = episodes.task
    support = features[episodes.support].astype(np.float64)
    return np.asarray(support.reshape(len(support), task.way, task.shots, -1).mean(2))


@dataclass(frozen=True)
class OnChip:
    """How the chip learns: ``bits`` of its weights, ``rate`` of one sample, ``passes``, error ``threshold``."""

    bits: int
    rate: float
    passes: int = 5
    threshold: float = THRESHOLD


def learnt(
    layer: PlasticLayer, start: Ints, spikes: Ints, episodes: Episodes, how: OnChip
) -> tuple[float, LearningCosts]:
    """Accuracy and costs of the chip's inner loop, all episodes alike: `spikeport.deploy.on_chip_learning.learn` on a
    layer that is a plain sum, with support samples in turns, one of each class.

    Args:
        layer: ``linear``, with room for any weights.
        start: (way, n) weights that every episode starts from.
        spikes: (B, T, n) hidden spikes of every sample.
    """
    costs, good = LearningCosts(), 0.0
    for part in _chunks(episodes):
        weights, spent = learn_episodes(layer, start, spikes, part, how)
        costs = costs.plus(spent)
        good += right_on_chip(layer, weights, spikes, part) * len(part.support)
    return good / len(episodes.support), costs


def learn_episodes(
    layer: PlasticLayer, start: Ints, spikes: Ints, episodes: Episodes, how: OnChip
) -> tuple[Ints, LearningCosts]:
    """Weights (E, way, n) of episodes, and what it took."""
    if not layer.linear:
        raise UnsupportedOnChipError(f"{layer.synapses.name}: its answers are no plain sums, so each has to be run")
    mode, steps = layer.synapses.sign_mode, spikes.shape[1]
    unit, impulse = weight_unit(how.bits, mode), impulse_for(steps)
    rate, rounding, costs = rule_for(how.rate, layer.unit, steps), Rounding(ROUNDING_SEED), LearningCosts()
    weights = np.repeat(to_grid(start, unit, layer)[None], len(episodes.support), 0)
    labels = np.broadcast_to(episodes.support_labels, episodes.support.shape)
    turns = np.arange(labels.shape[1]).reshape(episodes.task.way, -1).T.ravel()
    trains = spikes.sum(1)[episodes.support]
    x1 = np.minimum(impulse * trains, TRACE_MAX)
    for _ in range(how.passes):
        y1 = sent(errors(_scores(layer, weights, spikes, episodes.support), labels, steps), how.threshold)
        for i in turns:
            before, weights = weights, update(weights, product(x1[:, i], y1[:, i], rate), rounding.next(), unit, mode)
            costs = costs.plus(epoch_costs(before, weights, x1[:, i], y1[:, i], int(trains[:, i].sum()), 2))
    return weights, costs


def right_on_chip(layer: PlasticLayer, weights: Ints, spikes: Ints, episodes: Episodes) -> float:
    """Share of query samples that weights (E, way, n) get right on hidden spikes (B, T, n) of all samples."""
    return float(np.mean(_scores(layer, weights, spikes, episodes.query).argmax(-1) == episodes.query_labels))


def _scores(layer: PlasticLayer, weights: Ints, spikes: Ints, index: Ints) -> Floats:
    """Last readings (E, S, way) in trained units of the samples ``index`` (E, S): `PlasticLayer.sums` for many heads.

    In float64, which holds these integers exactly and multiplies them faster. Where nothing is shifted out, the steps
    add up before the product.
    """
    exponent = layer.synapses.weight_exp
    steps = [spikes.sum(1)] if exponent >= 0 else np.moveaxis(spikes, 1, 0)
    heads, total = np.swapaxes(weights, 1, 2).astype(np.float64), np.zeros(())
    for step in steps:
        total = total + np.floor(step[index].astype(np.float64) @ heads * 2.0**exponent)
    start, added = layer.bias
    return np.asarray((total * 2.0**UNIT_SHIFT + start + spikes.shape[1] * added) / layer.output.scale)


def imprinted_on_chip(layer: PlasticLayer, spikes: Ints, episodes: Episodes, bits: int = 8) -> float:
    """Accuracy of imprinted weights rounded to ``bits``, each episode's largest filling the format."""
    unit = weight_unit(bits, layer.synapses.sign_mode)
    _, high = weight_range(unit, layer.synapses.sign_mode)
    heads = prototypes(spikes.sum(1), episodes)
    largest = heads.max((1, 2), keepdims=True)
    scaled = heads * high / np.where(largest > 0, largest, 1.0)
    return right_on_chip(layer, to_grid(np.rint(scaled).astype(np.int64), unit, layer), spikes, episodes)


def _chunks(episodes: Episodes) -> Iterator[Episodes]:
    for first in range(0, len(episodes.support), CHUNK):
        chosen = slice(first, first + CHUNK)
        yield Episodes(episodes.support[chosen], episodes.query[chosen], episodes.task)
