"""finetune: train a deployed network through its own integers until it classifies as well as the trained one did.

Quantization-aware in the strict sense: the forward pass is the chip's, bit for bit, and the result is integers again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spikeport.converters.chain import Chain
from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.circuit import PLAIN_SPIKES
from spikeport.converters.findings import Finding
from spikeport.converters.network import Network
from spikeport.errors import DataError
from spikeport.hw_profiles.profile import Profile
from spikeport.models.finetuning.forward import Forward
from spikeport.models.finetuning.fractions import Fractions, fractions_of
from spikeport.models.finetuning.keep import Kept, digest, file_in
from spikeport.models.finetuning.parameters import ChipParameters
from spikeport.models.training.fit import deterministic

Progress = Callable[[int, int], None]

LOGIT_SPREAD = 10.0
"""Outputs are scaled so that their spread over classes is this before the cross entropy: of the order that trained
networks end up with; much less learns slowly, much more looks at single spikes."""
PROBED = 16
"""Samples whose outputs tell, with its weights and thresholds, a network from another."""
THRESHOLD_RATE = 0.1
"""Learning rate of the thresholds, which move in log units, over that of the weights."""
CHECKED_PART = 0.2
"""Share of the samples that judge, and do not teach."""


class Code(Protocol):
    """What fine-tuning needs of a codec."""

    def encode(self, data: NDArray[Any], shape: tuple[int, ...], first: int = 0) -> Any:
        """Chip input for data."""
        ...

    def decode(self, output: NDArray[Any]) -> Any:
        """Classes for the output of a run."""
        ...


class Deployed(Protocol):
    """What fine-tuning needs of a deployment; `spikeport.Deployment` is one."""

    @property
    def network(self) -> ChipNetwork:
        """The program."""
        ...

    @property
    def profile(self) -> Profile:
        """The chip."""
        ...

    @property
    def codec(self) -> Code:
        """How data become spikes."""
        ...

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is to be said of it."""
        ...

    def run(self, data: NDArray[Any]) -> Any:
        """Its output for data, as the chip gives it."""
        ...


_Deployed = TypeVar("_Deployed", bound=Deployed)


@dataclass(frozen=True)
class TuningOptions:
    """Choices of a fine-tuning.

    Attributes:
        epochs: passes over the data at most.
        batch: samples per update.
        learning_rate: in steps of the weights' grid per update (Adam); thresholds move by a tenth of it, in log units.
        patience: epochs without a better accuracy on the checked part after which it ends.
        seed: of the order of the samples.
        target: accuracy on the checked part, 0..1, with which it ends, be it before the first epoch; most often that
            of the trained network on the same samples (`parted` names them). None: no such end.
    """

    epochs: int = 5
    batch: int = 16
    learning_rate: float = 0.015
    patience: int = 3
    seed: int = 0
    target: float | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "learning_rate", "patience"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name}={getattr(self, name)} must be above 0")
        if self.target is not None and not 0 <= self.target <= 1:
            raise DataError(f"target={self.target} must be an accuracy between 0 and 1")


@dataclass(frozen=True)
class Epoch:
    """``loss`` on the teaching samples; ``accuracy`` and ``checked_loss`` on the others, after the epoch."""

    loss: float
    accuracy: float
    checked_loss: float

    @property
    def merit(self) -> tuple[float, float]:
        """What the best epoch has most of; few samples judge, and accuracies are often equal."""
        return self.accuracy, -self.checked_loss


def best_epoch(history: Sequence[Epoch]) -> int:
    """The epoch whose integers are kept; 0 is before the first."""
    return max(range(len(history)), key=lambda i: history[i].merit)


def target_met(history: Sequence[Epoch], target: float) -> int | None:
    """The first epoch after which the accuracy was ``target`` or more; 0 is before the first, None: never."""
    return next((i for i, epoch in enumerate(history) if epoch.accuracy >= target), None)


def parted(labels: NDArray[np.integer], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that teach and rows that judge in a fine-tuning with this seed, each class in both as far as it goes."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    judges = np.zeros(len(labels), np.bool_)
    judges[:: round(1 / CHECKED_PART)] = True
    return order[~judges], order[judges]


def finetune(
    model: Network | None,
    deployment: _Deployed,
    data: NDArray[Any],
    labels: NDArray[np.integer],
    options: TuningOptions | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
) -> tuple[_Deployed, tuple[Epoch, ...]]:
    """Fine-tune the integers of a deployment.

    Weights move on their grids (8 bits or fewer, with the exponents and sign modes that `compile` chose) and
    thresholds within 17 bits; everything else stays, so that the network still fits where it was placed.

    Args:
        model: the trained network that was compiled; tells where between two integers each weight was. None: start
            on the integers.
        deployment: what to improve.
        data: (B, T, *shape), or (B, *shape) where the deployment's encoder makes the time axis.
        labels: (B,) classes.
        options: see `TuningOptions`.
        progress: called with (updates done, updates in all).
        folder: keeps the state after every epoch, and is gone on from where it holds one: stopped and called again
            it ends with the same bits as without the stop, for which it computes in one thread. Target and patience
            may differ from call to call.

    Returns:
        The deployment with the integers that classified the checked samples best (its own, if none did better), and
        the history; entry 0 is the accuracy before.

    Raises:
        DataError: shapes, labels or the number of samples do not fit.
        ModelError: what ``folder`` holds is damaged, or of another fine-tuning.
        OutputError: ``folder`` cannot be written.
        UnsupportedOnChipError: a neuron model that has no spikes to learn from.
    """
    options = options or TuningOptions()
    _check(deployment.network, data, labels)
    fractions: Fractions = {}
    if model is not None:
        fractions = fractions_of(Chain(deployment.profile).circuit(model, PLAIN_SPIKES), deployment.network)
    # The second holds the best that the first was: kept together, they are one file.
    now, best = (ChipParameters(deployment.network, fractions) for _ in range(2))
    tuner = _Tuner(deployment, Forward(deployment.network), now, best, data, np.asarray(labels, np.int64))
    with nullcontext() if folder is None else deterministic():
        history = tuner.run(options, progress, None if folder is None else file_in(folder))
    findings = (*deployment.findings, _said(history, options.target))
    return replace(deployment, network=best.network(), findings=findings), history  # type: ignore[type-var]


def _check(network: ChipNetwork, data: NDArray[Any], labels: NDArray[np.integer]) -> None:
    classes = network.populations[network.outputs[0]].size
    if len(data) != len(labels) or len(data) < 5:
        raise DataError(f"{len(data)} samples and {len(labels)} labels: fine-tuning needs 5 or more, one label each")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"labels run {labels.min()} .. {labels.max()}, the network has the outputs 0 .. {classes - 1}")


def _said(history: tuple[Epoch, ...], target: float | None) -> Finding:
    met = None if target is None else target_met(history, target)
    best = history[best_epoch(history)].accuracy
    message = (
        f"weights and thresholds were fine-tuned; on the checked samples accuracy went from "
        f"{history[0].accuracy:.2%} to {best:.2%}. The quantization report describes the integers before."
    )
    advice = "Judge it on samples that fine-tuning has not seen."
    if target is None:
        return Finding("fine-tuned", "info", "", message, advice)
    if len(history) == 1:
        reached = f"on the checked samples accuracy is {best:.2%}, the target {target:.2%}: there was nothing to train."
        return Finding("fine-tuned", "info", "", reached, advice)
    if met is not None:
        return Finding("fine-tuned", "info", "", f"{message} Epoch {met} met the target, {target:.2%}.", advice)
    missed = f"{message} The target, {target:.2%}, was not met in {len(history) - 1} epochs."
    return Finding("fine-tuned", "warning", "", missed, f"More samples, epochs or bits may meet it. {advice}")


class _Tuner:
    """One fine-tuning: the parts that do not change from epoch to epoch."""

    def __init__(
        self,
        deployment: Deployed,
        forward: Forward,
        parameters: ChipParameters,
        best: ChipParameters,
        data: NDArray[Any],
        labels: NDArray[np.int64],
    ) -> None:
        self._deployment, self._forward, self._parameters, self._best = deployment, forward, parameters, best
        self._data, self._labels = data, labels
        (source,) = deployment.network.inputs
        self._shape = deployment.network.populations[source].shape
        self._gain = 1.0

    def run(self, options: TuningOptions, progress: Progress | None, path: Path | None) -> tuple[Epoch, ...]:
        """What every epoch gave; the best network met is in ``best``."""
        teaching, checked = parted(self._labels, options.seed)
        self._gain = self._spread(teaching[: options.batch])
        groups = self._parameters.latents, self._parameters.factors
        optimizer = torch.optim.Adam([{"params": list(group)} for group in groups])
        kept = None if path is None else self._kept(path, optimizer, options)
        rows = () if kept is None else kept.read()
        history = [Epoch(**{"loss": math.nan, **row}) for row in rows]
        if not history:
            history.append(Epoch(math.nan, *self._judged(checked, options.batch)))
        updates = -(-len(teaching) // options.batch)
        rates = _Rates(optimizer, options.learning_rate, options.epochs * updates)
        while len(history) <= options.epochs and not _over(history, options):
            # Each epoch draws its own numbers, whether or not the one before ran in this process.
            order = np.random.default_rng([options.seed, len(history)]).permutation(teaching)
            loss = self._epoch(order, options.batch, rates, (len(history) - 1) * updates, progress)
            history.append(Epoch(loss, *self._judged(checked, options.batch)))
            if best_epoch(history) == len(history) - 1:
                self._best.load_state_dict(self._parameters.state_dict())
            if kept is not None:
                kept.write([_row(epoch) for epoch in history])
        return tuple(history)

    def _kept(self, path: Path, optimizer: torch.optim.Optimizer, options: TuningOptions) -> Kept:
        with torch.no_grad():
            start = [x.detach().numpy() for x in (*self._parameters.latents, *self._parameters.thresholds().values())]
            # What the network gives stands for all of it that is not learnt.
            start.append(self._outputs(np.arange(min(PROBED, len(self._labels)))).numpy())
        settings = {name: getattr(options, name) for name in ("epochs", "batch", "learning_rate", "seed")}
        settings["network_and_samples"] = digest((*start, self._data, self._labels))
        return Kept(path, nn.ModuleList([self._parameters, self._best]), optimizer, settings)

    def _epoch(self, order: NDArray[np.int64], size: int, rates: _Rates, done: int, progress: Progress | None) -> float:
        losses = []
        for number, first in enumerate(range(0, len(order), size), done):
            rows = order[first : first + size]
            rates.optimizer.zero_grad()
            loss = functional.cross_entropy(self._logits(rows), torch.from_numpy(self._labels[rows]))
            loss.backward()  # type: ignore[no-untyped-call]
            rates.set(number)
            rates.optimizer.step()
            losses.append(float(loss.detach()))
            if progress is not None:
                progress(number + 1, rates.updates)
        return float(np.mean(losses))

    def _outputs(self, rows: NDArray[np.int64]) -> Tensor:
        """(B, n): what each output adds up to over the steps."""
        encoded = self._deployment.codec.encode(self._data[rows], self._shape, 0).spikes
        spikes = torch.from_numpy(encoded.reshape(*encoded.shape[:2], -1).astype(np.float32))
        given = self._forward(spikes, self._parameters.weights(), self._parameters.thresholds())
        return given.double().sum(1)

    def _logits(self, rows: NDArray[np.int64]) -> Tensor:
        return self._outputs(rows) * self._gain

    @torch.no_grad()
    def _spread(self, rows: NDArray[np.int64]) -> float:
        spread = float((self._outputs(rows).amax(1) - self._outputs(rows).amin(1)).mean())
        return LOGIT_SPREAD / max(spread, 1.0)

    @torch.no_grad()
    def _judged(self, rows: NDArray[np.int64], size: int) -> tuple[float, float]:
        """Accuracy, as the deployment's decoder reads a run of it, and loss."""
        deployed = replace(self._deployment, network=self._parameters.network())  # type: ignore[type-var]
        classes = deployed.codec.decode(deployed.run(self._data[rows]).output).classes
        logits = torch.cat([self._logits(rows[i : i + size]) for i in range(0, len(rows), size)])
        loss = functional.cross_entropy(logits, torch.from_numpy(self._labels[rows]))
        return float(np.mean(classes == self._labels[rows])), float(loss)


@dataclass(frozen=True)
class _Rates:
    """Learning rates that fall to 0 along a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts).

    A function of the updates done alone, so that nothing of it has to be kept.
    """

    optimizer: torch.optim.Optimizer
    rate: float
    updates: int

    def set(self, done: int) -> None:
        """Rates of the update after ``done``."""
        share = (1 + math.cos(math.pi * done / self.updates)) / 2
        for group, part in zip(self.optimizer.param_groups, (1.0, THRESHOLD_RATE), strict=True):
            group["lr"] = self.rate * part * share


def _row(epoch: Epoch) -> Mapping[str, float]:
    """As it is kept: JSON has no NaN, which the loss before the first epoch is."""
    return {name: value for name, value in asdict(epoch).items() if not math.isnan(value)}


def _over(history: list[Epoch], options: TuningOptions) -> bool:
    met = options.target is not None and target_met(history, options.target) is not None
    return met or len(history) - 1 - best_epoch(history) >= options.patience
