"""Episodes: N classes, K labelled samples of each to learn from, Q of each to be asked about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.errors import DataError


@dataclass(frozen=True)
class Task:
    """Size of an episode: ``way`` classes, ``shots`` and ``queries`` samples of each."""

    way: int = 5
    shots: int = 1
    queries: int = 10


@dataclass(frozen=True)
class Episodes:
    """``support`` (E, way · shots) and ``query`` (E, way · queries): indices of samples, class by class.

    Class ``c`` of an episode is its c-th; sample i of class k of a set has index k · samples + i.
    """

    support: NDArray[np.int64]
    query: NDArray[np.int64]
    task: Task

    @property
    def support_labels(self) -> NDArray[np.int64]:
        """(way · shots,) of every episode."""
        return np.repeat(np.arange(self.task.way), self.task.shots)

    @property
    def query_labels(self) -> NDArray[np.int64]:
        """(way · queries,) of every episode."""
        return np.repeat(np.arange(self.task.way), self.task.queries)


def draw_episodes(classes: int, samples: int, task: Task, episodes: int, seed: int) -> Episodes:
    """Seeded episodes from ``classes`` classes of ``samples`` samples.

    Raises:
        DataError: fewer classes or samples than an episode needs.
    """
    check_task(classes, samples, task)
    rng = np.random.default_rng(seed)
    keys = rng.random((episodes, classes))
    chosen = keys.argsort(1)[:, : task.way]
    order = rng.random((episodes, task.way, samples)).argsort(2)[:, :, : task.shots + task.queries]
    index = chosen[:, :, None] * samples + order
    support, query = index[:, :, : task.shots], index[:, :, task.shots :]
    return Episodes(support.reshape(episodes, -1), query.reshape(episodes, -1), task)


def draw_episode(classes: int, samples: int, task: Task) -> tuple[Tensor, Tensor]:
    """One episode from torch's generator (see `check_task`): indices of support and query samples."""
    chosen = torch.randperm(classes)[: task.way]
    order = torch.stack([torch.randperm(samples)[: task.shots + task.queries] for _ in range(task.way)])
    index = chosen[:, None] * samples + order
    return index[:, : task.shots].flatten(), index[:, task.shots :].flatten()


def labels_of(task: Task) -> tuple[Tensor, Tensor]:
    """Labels of support (way · shots,) and query (way · queries,), as `draw_episode` orders them."""
    ways = torch.arange(task.way)
    return ways.repeat_interleave(task.shots), ways.repeat_interleave(task.queries)


def check_task(classes: int, samples: int, task: Task) -> None:
    """Whether such episodes can be drawn.

    Raises:
        DataError: fewer classes or samples than an episode needs.
    """
    if task.way > classes or task.shots + task.queries > samples:
        raise DataError(
            f"episodes of {task.way} classes, {task.shots} + {task.queries} samples each, cannot be drawn from "
            f"{classes} classes of {samples} samples"
        )
