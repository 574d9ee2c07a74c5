"""Training on few labelled event recordings, with or without static images beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from spikeport.converters.network import Network
from spikeport.errors import DataError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.data.recognise import EventFrames, event_frames, recognise
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.export import to_network
from spikeport.models.layers import convolutions
from spikeport.models.network import over_time
from spikeport.models.recipe import Recipe
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import LayeredConfig
from spikeport.models.training.evaluate import BATCH, accuracy
from spikeport.models.training.fit import Figures, Watch, fit
from spikeport.models.training.run_folder import RunFolder
from spikeport.models.transfer.losses import alignment_losses, linear_cka, sliding_probability, step_losses
from spikeport.models.transfer.net import VTH, TransferNet, neuron, small_body
from spikeport.models.transfer.static import check_known, static_frames, static_samples

COARSE: Mapping[str, int] = {"CIFAR10-DVS": 8, "N-Caltech101": 12}
"""Usual pooling of large sensors here: what the last layer of the small body hears has to fit a core."""
MORE = 400
"""Recordings beyond the test part that are judged, where the set has no parts of its own."""
Mode: TypeAlias = Literal["event", "finetune", "joint", "full"]


class TransferConfig(LayeredConfig):
    """Settings; an "epoch" is one batch.

    Attributes:
        epochs: batches, not passes over the data.
        pool: pixels a side that become one; None: as is usual for the set, and without layers 8 for CIFAR10-DVS and 12
            for N-Caltech101.
        mode: "event": the labelled recordings alone. "finetune": half of the batches static images, then the
            recordings. "joint": both at once. "full": the paper's method.
        labelled: event recordings to learn from, equally many per class.
        steps: T, time steps per sample.
        channels: of the first convolution, the second has twice as many; where ``layers`` does not say otherwise.
        hidden: neurons whose membranes are aligned.
        transfer: the paper's lambda_KT, weight of the alignment.
        images: static images to draw from.
        negative: whether they are shown as negatives, dark ink on a bright ground: further from what events look like.
    """

    epochs: int = Field(400, ge=2)
    batch: int = Field(32, ge=2)
    learning_rate: float = Field(2e-3, gt=0)
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    weight_decay: float = Field(0.01, ge=0)
    mode: Mode = "full"
    labelled: int = Field(50, ge=1)
    steps: int = Field(5, ge=1)
    channels: int = Field(16, ge=1)
    hidden: int = Field(128, ge=1)
    transfer: float = Field(0.5, ge=0)
    images: int = Field(2000, ge=10)
    negative: bool = False


@dataclass(frozen=True)
class _Given:
    """Labelled recordings (B, T, *shape) and static images (N, *shape) in [0, 1], as tensors, by class."""

    events: Tensor
    event_labels: Tensor
    images: Tensor
    of_class: tuple[Tensor, ...]


def samples(run: RunFolder[TransferConfig]) -> Parts:
    """The labelled recordings, and every recording of the test part."""
    return labelled(run, events(run))


def events(run: RunFolder[TransferConfig]) -> EventFrames:
    """The recordings in frames."""
    config, found = run.config, recognise(run.data)
    check_known(found)
    usual = None if config.layers else COARSE.get(found.name)
    return event_frames(run.data, config.steps, config.pool or usual, config.seconds)


def labelled(run: RunFolder[TransferConfig], given: EventFrames) -> Parts:
    """As many recordings per class as the settings say, drawn by the seed, to learn from.

    Judged is the set's own test part, or where it has none as many as that and up to `MORE` others.
    """
    everything, classes = given.divided(run.config.seed, len(given.parts.test)), given.source.classes
    if run.config.labelled % classes:
        raise DataError(f"labelled={run.config.labelled}: equally many of {classes} classes; give a multiple of that")
    fewest, each = int(np.bincount(everything.train.labels, minlength=classes).min()), run.config.labelled // classes
    if fewest < each:
        raise DataError(f"labelled={run.config.labelled}: of one class there are {fewest} recordings, not {each}")
    rows = _first_per_class(everything.train.labels, each)
    learnt = everything.train.take(rows)
    if given.source.own_split:
        return Parts(learnt, everything.test)
    rest = np.setdiff1d(np.arange(len(everything.train)), rows)
    return Parts(learnt, _joined(everything.test, everything.train.take(rest[:MORE])))


def _joined(one: Samples, other: Samples) -> Samples:
    frames, labels = (np.concatenate([getattr(one, what), getattr(other, what)]) for what in ("frames", "labels"))
    return Samples(frames, labels, one.findings)


def _first_per_class(labels: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    return np.sort(np.concatenate([np.flatnonzero(labels == c)[:each] for c in np.unique(labels)]))


def _given(run: RunFolder[TransferConfig]) -> _Given:
    recordings, learnt = events(run), samples(run).train
    everything = static_samples(recordings.source, run.data)
    drawn = np.random.default_rng(run.config.seed).permutation(len(everything))[: run.config.images]
    pictures = everything.take(drawn)
    frames, labels = learnt.tensors()
    of_class = tuple(torch.from_numpy(np.flatnonzero(pictures.labels == c)) for c in range(recordings.source.classes))
    if missing := [c for c, rows in enumerate(of_class) if not len(rows)]:
        drawn_of = f"images={run.config.images} of {len(everything)}"
        raise DataError(f"{drawn_of}: none of {recordings.source.names[missing[0]]} was drawn; draw more")
    images = static_frames(pictures.frames, recordings.shape, run.config.negative)
    return _Given(frames, labels, torch.from_numpy(images), of_class)


def train(run: RunFolder[TransferConfig], watch: Watch) -> Figures:
    """Accuracy on recordings not learnt from, and how alike both domains' features are."""
    config, given = run.config, _given(run)
    net = _new(run)
    fit(net, _LOSSES[config.mode](net, given, config), config, 1, run.stage("net"), watch)
    events_only_statistics(net, given.events)
    test = samples(run).test
    return {"accuracy": accuracy(net.event_branch(), test, "membrane-last"), "cka": _likeness(net, test, given)}


def _new(run: RunFolder[TransferConfig]) -> TransferNet:
    config, given = run.config, events(run)
    torch.manual_seed(config.seed)
    if config.layers:
        body = convolutions(config.layers, given.shape, neuron)
    else:
        body = small_body(given.shape, config.channels)
    return TransferNet(body, config.hidden, given.source.classes, config.steps)


def _events(given: _Given, size: int) -> tuple[Tensor, Tensor]:
    rows = torch.randint(len(given.events), (size,))
    return given.events[rows], given.event_labels[rows]


def _partners(given: _Given, labels: Tensor, steps: int) -> Tensor:
    """A random static image of each label's class, the same in every step."""
    rows = [given.of_class[int(c)][torch.randint(len(given.of_class[int(c)]), ())] for c in labels]
    return given.images[torch.stack(rows)][:, None].expand(-1, steps, *given.images.shape[1:])


def _event(net: TransferNet, given: _Given, config: TransferConfig) -> Callable[[int], Iterator[Tensor]]:
    def epoch(_done: int) -> Iterator[Tensor]:
        frames, labels = _events(given, config.batch)
        yield step_losses(net.domain(frames, static=False)[0], labels, VTH).mean()

    return epoch


def _finetune(net: TransferNet, given: _Given, config: TransferConfig) -> Callable[[int], Iterator[Tensor]]:
    """Static images for the first half of the batches, through the head that is deployed."""
    events = _event(net, given, config)

    def epoch(done: int) -> Iterator[Tensor]:
        if 2 * done >= config.epochs:
            yield from events(done)
            return
        labels = torch.randint(len(given.of_class), (config.batch,))
        yield step_losses(net.domain(_partners(given, labels, config.steps), static=False)[0], labels, VTH).mean()

    return epoch


def _joint(net: TransferNet, given: _Given, config: TransferConfig) -> Callable[[int], Iterator[Tensor]]:
    """Both classification losses; neither alignment nor sliding."""

    def epoch(_done: int) -> Iterator[Tensor]:
        frames, labels = _events(given, config.batch)
        static = net.domain(_partners(given, labels, config.steps), static=True)[0]
        event = net.domain(frames, static=False)[0]
        yield step_losses(static, labels, VTH).mean() + step_losses(event, labels, VTH).mean()

    return epoch


def _full(net: TransferNet, given: _Given, config: TransferConfig) -> Callable[[int], Iterator[Tensor]]:
    """L = L_static + L_event + lambda_KT · L_KT, with sliding from static images to events."""

    def epoch(done: int) -> Iterator[Tensor]:
        frames, labels = _events(given, config.batch)
        slid = torch.rand(config.batch) < sliding_probability(done, config.epochs)
        static_frames = _partners(given, labels, config.steps)
        mixed = torch.where(slid[:, None, None, None, None], frames, static_frames)
        static, static_membranes = net.domain(mixed, static=True)
        event, event_membranes = net.domain(frames, static=False)
        share = torch.sigmoid(net.eta)
        alignment = (share * alignment_losses(static_membranes, event_membranes)).mean()
        kept = ((1.0 - share) * step_losses(event, labels, VTH)).mean()
        yield step_losses(static, labels, VTH).mean() + kept + config.transfer * alignment

    return epoch


_LOSSES: dict[Mode, Callable[[TransferNet, _Given, TransferConfig], Callable[[int], Iterator[Tensor]]]] = {
    "event": _event,
    "finetune": _finetune,
    "joint": _joint,
    "full": _full,
}


@torch.no_grad()
def events_only_statistics(net: TransferNet, events: Tensor) -> None:
    """Batch-norm means and variances of the event domain alone: the static branch has no part in what is deployed.

    Of more than `BATCH` recordings they are means over groups of so many, as batch norm's own running figures are.
    """
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    net.train()
    for part in torch.split(events, BATCH):
        over_time(net.features, part)
    net.eval()


@torch.no_grad()
def _likeness(net: TransferNet, test: Samples, given: _Given) -> float:
    """Mean CKA over steps between test recordings and static images of the same class."""
    torch.manual_seed(0)
    frames, labels = test.tensors(slice(100))
    steps = frames.shape[1]
    event = net.domain(frames, static=False)[1]
    static = net.domain(_partners(given, labels, steps), static=True)[1]
    return float(torch.stack([linear_cka(static[:, t], event[:, t]) for t in range(steps)]).mean())


def trained(run: RunFolder[TransferConfig]) -> TransferNet:
    """The net of a finished run."""
    net = _new(run)
    read_checkpoint(run.stage("net").path, net)
    events_only_statistics(net, samples(run).train.tensors()[0])
    return net.eval()


def network(run: RunFolder[TransferConfig]) -> Network:
    """The event branch, batch norm in its weights; no static head."""
    return to_network(without_batch_norm(trained(run).event_branch()), events(run).shape)


def untrained(run: RunFolder[TransferConfig]) -> Network:
    """What will be deployed, with its first weights."""
    return to_network(without_batch_norm(_new(run).event_branch()), events(run).shape)


RECIPE = Recipe(TransferConfig, train, network, samples, untrained, "membrane-last")
