"""finetune: train a deployed network through its own integers until it classifies as well as the trained one did.

Quantization-aware in the strict sense: the forward pass is the chip's, bit for bit, and the result is integers again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
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
from spikeport.models.finetuning.parameters import ChipParameters

Progress = Callable[[int, int], None]

LOGIT_SPREAD = 10.0
"""Outputs are scaled so that their spread over classes is this before the cross entropy: of the order that trained
networks end up with; much less learns slowly, much more looks at single spikes."""
CHECKED_PART = 0.2
"""Share of the samples that judge, and do not teach."""


class Code(Protocol):
    """What fine-tuning needs of a codec."""

    def encode(self, data: NDArray[Any], shape: tuple[int, ...], first: int = 0) -> Any:
        """Chip input for data."""
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
    """

    epochs: int = 5
    batch: int = 16
    learning_rate: float = 0.03
    patience: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "learning_rate", "patience"):
            if not getattr(self, name) > 0:
                raise DataError(f"{name}={getattr(self, name)} must be above 0")


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


def finetune(
    model: Network | None,
    deployment: _Deployed,
    data: NDArray[Any],
    labels: NDArray[np.integer],
    options: TuningOptions | None = None,
    progress: Progress | None = None,
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

    Returns:
        The deployment with the integers that classified the checked samples best (its own, if none did better), and
        the history; entry 0 is the accuracy before.

    Raises:
        DataError: shapes, labels or the number of samples do not fit.
        UnsupportedOnChipError: a neuron model that has no spikes to learn from.
    """
    options = options or TuningOptions()
    _check(deployment.network, data, labels)
    fractions: Fractions = {}
    if model is not None:
        fractions = fractions_of(Chain(deployment.profile).circuit(model, PLAIN_SPIKES), deployment.network)
    parameters = ChipParameters(deployment.network, fractions)
    tuner = _Tuner(deployment, Forward(deployment.network), parameters, data, np.asarray(labels, np.int64))
    best, history = tuner.run(options, progress)
    return replace(deployment, network=best, findings=(*deployment.findings, _said(history))), history  # type: ignore[type-var]


def _check(network: ChipNetwork, data: NDArray[Any], labels: NDArray[np.integer]) -> None:
    classes = network.populations[network.outputs[0]].size
    if len(data) != len(labels) or len(data) < 5:
        raise DataError(f"{len(data)} samples and {len(labels)} labels: fine-tuning needs 5 or more, one label each")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"labels run {labels.min()} .. {labels.max()}, the network has the outputs 0 .. {classes - 1}")


def _said(history: tuple[Epoch, ...]) -> Finding:
    best = history[best_epoch(history)].accuracy
    message = (
        f"weights and thresholds were fine-tuned; on the checked samples accuracy went from "
        f"{history[0].accuracy:.2%} to {best:.2%}. The quantization report describes the integers before."
    )
    return Finding("fine-tuned", "info", "", message, "Judge it on samples that fine-tuning has not seen.")


class _Tuner:
    """One fine-tuning: the parts that do not change from epoch to epoch."""

    def __init__(
        self,
        deployment: Deployed,
        forward: Forward,
        parameters: ChipParameters,
        data: NDArray[Any],
        labels: NDArray[np.int64],
    ) -> None:
        self._deployment, self._forward, self._parameters = deployment, forward, parameters
        self._data, self._labels = data, labels
        (source,) = deployment.network.inputs
        self._shape = deployment.network.populations[source].shape
        self._gain = 1.0

    def run(self, options: TuningOptions, progress: Progress | None) -> tuple[ChipNetwork, tuple[Epoch, ...]]:
        """The best network met, and what every epoch gave."""
        rng = np.random.default_rng(options.seed)
        teaching, checked = _parted(self._labels, rng)
        self._gain = self._spread(teaching[: options.batch])
        history = [Epoch(float("nan"), *self._judged(checked, options.batch))]
        best = self._parameters.network()
        groups = [
            {"params": list(self._parameters.latents), "lr": options.learning_rate},
            {"params": list(self._parameters.factors), "lr": options.learning_rate / 10},
        ]
        optimizer = torch.optim.Adam(groups)
        updates = -(-len(teaching) // options.batch)
        decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs * updates)
        for epoch in range(options.epochs):
            report = None if progress is None else _after(progress, epoch * updates, options.epochs * updates)
            loss = self._epoch(rng.permutation(teaching), options.batch, optimizer, decay, report)
            history.append(Epoch(loss, *self._judged(checked, options.batch)))
            if best_epoch(history) == len(history) - 1:
                best = self._parameters.network()
            if _stale(history, options.patience):
                break
        return best, tuple(history)

    def _epoch(
        self,
        order: NDArray[np.int64],
        size: int,
        optimizer: torch.optim.Optimizer,
        decay: torch.optim.lr_scheduler.LRScheduler,
        report: Callable[[int], None] | None,
    ) -> float:
        losses = []
        for number, first in enumerate(range(0, len(order), size), 1):
            rows = order[first : first + size]
            optimizer.zero_grad()
            loss = functional.cross_entropy(self._logits(rows), torch.from_numpy(self._labels[rows]))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            decay.step()
            losses.append(float(loss.detach()))
            if report is not None:
                report(number)
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
        """Accuracy and loss."""
        logits = torch.cat([self._logits(rows[i : i + size]) for i in range(0, len(rows), size)])
        labels = torch.from_numpy(self._labels[rows])
        right = (logits.argmax(1) == labels).double().mean()
        return float(right), float(functional.cross_entropy(logits, labels))


def _parted(labels: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that teach and rows that judge, each class in both as far as it goes."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    judges = np.zeros(len(labels), np.bool_)
    judges[:: round(1 / CHECKED_PART)] = True
    return order[~judges], order[judges]


def _after(progress: Progress, done: int, total: int) -> Callable[[int], None]:
    return lambda updates: progress(done + updates, total)


def _stale(history: list[Epoch], patience: int) -> bool:
    return len(history) - 1 - best_epoch(history) >= patience
