"""fit: the training loop. What is learnt and from which losses is the caller's; stopping and continuing is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, pi
from pathlib import Path

import torch
from torch import Tensor, nn

from spikeport.errors import ModelError
from spikeport.models.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from spikeport.models.training.config import TrainingConfig

Figures = Mapping[str, float]
Losses = Callable[[int], Iterator[Tensor]]
Progress = Callable[[int, int], None]

WARM_UP = 0.1
"""Share of a one-cycle training in which the learning rate rises."""
_OPTIMIZERS: Mapping[str, Callable[[list[dict[str, object]], TrainingConfig], torch.optim.Optimizer]] = {
    "adam": lambda groups, c: torch.optim.Adam(groups, c.learning_rate, weight_decay=c.weight_decay),
    "adamw": lambda groups, c: torch.optim.AdamW(groups, c.learning_rate, weight_decay=c.weight_decay),
    "sgd": lambda groups, c: torch.optim.SGD(groups, c.learning_rate, momentum=0.9, weight_decay=c.weight_decay),
}


@dataclass(frozen=True)
class Watch:
    """Who looks on while a network learns.

    Attributes:
        progress: called with (epochs done, in all).
        figures: computed after every epoch, for example the accuracy on held-out samples; kept in the history.
        log: called with (epoch, its figures, each under the stage's name where there is one: "net/loss").
    """

    progress: Progress | None = None
    figures: Callable[[], Figures] | None = None
    log: Callable[[int, Figures], None] | None = None


@dataclass(frozen=True)
class Stage:
    """A file that a training is saved to and continued from.

    Attributes:
        path: ``.safetensors``.
        every_s: seconds between two saves, at the end of an epoch; the last epoch is always saved.
    """

    path: Path
    every_s: float = 5.0


def fit(
    module: nn.Module,
    losses: Losses,
    config: TrainingConfig,
    batches: int,
    stage: Stage | None = None,
    watch: Watch | None = None,
    rate_of: Callable[[str], float] | None = None,
) -> tuple[Figures, ...]:
    """Train ``module`` in place; stopped and started again it ends with the same bits as without the stop.

    Args:
        module: all that is learnt and has to be kept, heads and coefficients included.
        losses: gives one loss () per optimiser step of an epoch; called with the epoch's number, after torch's
            generator was seeded for that epoch. Whatever it draws it must draw from that generator.
        config: optimiser, schedule, epochs, seed.
        batches: losses per epoch, which the schedule needs to know.
        stage: where to save, and to go on from if it exists.
        rate_of: what multiplies the learning rate of a parameter, by its name in ``module``; 1 if None.

    Returns:
        The history: for every epoch its mean loss and ``watch.figures``.

    Raises:
        ModelError: the loss is not finite, or the saved stage belongs to another network or other settings.
    """
    watch = watch or Watch()
    optimizer = _optimizer(module, config, rate_of)
    history: list[Figures] = []
    if stage is not None and stage.path.exists():
        history = list(read_checkpoint(stage.path, module, optimizer, config).history)
    saved = time.monotonic()
    with deterministic():
        for epoch in range(len(history), config.epochs):
            torch.manual_seed(epoch_seed(config.seed, epoch))
            module.train()
            mean = _epoch(module, losses(epoch), optimizer, config, epoch, batches)
            history.append({"loss": mean, **(watch.figures() if watch.figures else {})})
            last = epoch + 1 == config.epochs
            if stage is not None and (last or time.monotonic() - saved >= stage.every_s):
                write_checkpoint(stage.path, module, optimizer, Checkpoint(config.model_dump(), tuple(history)))
                saved = time.monotonic()
            if watch.log is not None:
                watch.log(epoch, {f"{stage.path.stem}/{k}" if stage else k: v for k, v in history[-1].items()})
            if watch.progress is not None:
                watch.progress(epoch + 1, config.epochs)
    module.eval()
    return tuple(history)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of one epoch: an epoch draws the same numbers whether or not the one before ran in this process."""
    return (seed + 1) * 1_000_003 + epoch


@contextmanager
def deterministic() -> Iterator[None]:
    """One thread and deterministic algorithms inside; afterwards as it was."""
    threads, before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(before)


def schedule(config: TrainingConfig, done: float) -> float:
    """What multiplies the learning rate after the share ``done`` (0..1) of all steps."""
    match config.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return 0.5 * (1.0 + cos(pi * done))
        case "one-cycle":
            if done < WARM_UP:
                return done / WARM_UP
            return 0.5 * (1.0 + cos(pi * (done - WARM_UP) / (1.0 - WARM_UP)))


def _optimizer(
    module: nn.Module, config: TrainingConfig, rate_of: Callable[[str], float] | None
) -> torch.optim.Optimizer:
    groups: list[dict[str, object]] = [
        {"params": [parameter], "factor": 1.0 if rate_of is None else rate_of(name)}
        for name, parameter in module.named_parameters()
    ]
    return _OPTIMIZERS[config.optimizer](groups, config)


def _epoch(
    module: nn.Module,
    losses: Iterator[Tensor],
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    epoch: int,
    batches: int,
) -> float:
    """One pass; the mean loss."""
    seen: list[float] = []
    for loss in losses:
        if not torch.isfinite(loss):
            raise ModelError(f"the loss became {loss.item()} in epoch {epoch + 1}; use a lower learning_rate or clip")
        rate = config.learning_rate * schedule(config, (epoch + len(seen) / batches) / config.epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.clip is not None:
            nn.utils.clip_grad_norm_(module.parameters(), config.clip)
        optimizer.step()
        seen.append(loss.item())
    return sum(seen) / max(len(seen), 1)
