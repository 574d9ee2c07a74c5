"""Meta-learning of a spiking network on few-shot episodes, and the supervised training it is compared with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from spikeport.converters.network import Network
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.export import to_network
from spikeport.models.meta.classes import Classes, Split, double_digit_classes, omniglot_classes
from spikeport.models.meta.episodes import Task, check_task, draw_episode, draw_episodes, labels_of
from spikeport.models.meta.learner import HEAD, Body, Learner, head_loss, inner_loop
from spikeport.models.neurons import Integrator
from spikeport.models.recipe import Recipe
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import TrainingConfig
from spikeport.models.training.fit import Figures, Watch, deterministic, fit
from spikeport.models.training.run_folder import RunFolder

Mode: TypeAlias = Literal["anil", "maml", "maml-first-order", "supervised", "random"]
STATIC_STEPS = 5
SEEN = 400
"""Samples of classes learnt from that a deployment can be calibrated with."""
ADAPTED_STEPS = 5
"""Inner steps of the head that is deployed."""


class MetaConfig(TrainingConfig):
    """Settings.

    Attributes:
        mode: "anil": the inner loop adapts the head; "maml", "maml-first-order": everything; "supervised": a body
            trained to tell all classes apart; "random": a body that learnt nothing.
        set: "omniglot" or "double-digits" (pairs of N-MNIST recordings).
        way: classes of an episode.
        shots: samples of each class to adapt to.
        queries: samples of each class to be asked about.
        held_back: whether the classes that settings are chosen on are kept from learning.
        tasks: episodes behind one outer step; the mean of their losses is the outer loss.
        outer_steps: per epoch. A supervised step sees as many images as an outer step does.
        inner_steps: gradient steps on the support samples.
        inner_rate: learning rate of these steps at the start; it is learnt.
        steps: T, time steps per sample.
        first: channels of the first convolution.
        second: channels of the second convolution.
        slope: of the surrogate derivative.
        gain: multiplies torch's initial convolution weights, which are too small to make these neurons fire.
    """

    epochs: int = Field(20, ge=1)
    learning_rate: float = Field(4e-3, gt=0)
    clip: float | None = Field(10.0, gt=0)
    mode: Mode = "anil"
    set: Literal["omniglot", "double-digits"] = "omniglot"
    held_back: bool = False
    way: int = Field(5, ge=2)
    shots: int = Field(1, ge=1)
    queries: int = Field(10, ge=1)
    tasks: int = Field(4, ge=1)
    outer_steps: int = Field(40, ge=1)
    inner_steps: int = Field(1, ge=1)
    inner_rate: float = Field(1.0, gt=0)
    steps: int = Field(STATIC_STEPS, ge=1)
    first: int = Field(16, ge=1)
    second: int = Field(32, ge=1)
    slope: float = Field(3.0, gt=0)
    gain: float = Field(3.0, gt=0)

    @property
    def task(self) -> Task:
        """The size of an episode."""
        return Task(self.way, self.shots, self.queries)


@lru_cache(maxsize=4)
def _split(data: Path, kind: str, steps: int, seed: int, held_back: bool) -> Split:
    if kind == "omniglot":
        return omniglot_classes(data, held_back=held_back)
    return double_digit_classes(data, steps, seed, held_back)


def split(run: RunFolder[MetaConfig]) -> Split:
    """Classes to learn from, to choose settings on, and to be judged by."""
    config = run.config
    return _split(run.data, config.set, config.steps, config.seed, config.held_back)


def build(config: MetaConfig, shape: tuple[int, ...]) -> Learner:
    """A learner for frames (channels, height, width), its initial weights drawn by the seed."""
    torch.manual_seed(config.seed)
    body = Body(shape[0], (config.first, config.second), config.slope, config.gain)
    with torch.no_grad():
        features = body(torch.zeros(1, 1, *shape)).shape[1]
    return Learner(body, features, config.way, config.inner_rate, config.mode.startswith("maml"))


def _episode_losses(learner: Learner, frames: Tensor, config: MetaConfig, per_class: int) -> Iterator[Tensor]:
    """Query losses after the inner loop, one outer step after another."""
    classes = len(frames) // per_class
    for _ in range(config.outer_steps):
        drawn = [draw_episode(classes, per_class, config.task) for _ in range(config.tasks)]
        yield _OUTER[config.mode](learner, frames, drawn, config)


def _anil_loss(learner: Learner, frames: Tensor, drawn: list[tuple[Tensor, Tensor]], config: MetaConfig) -> Tensor:
    """The body runs once on all images of all episodes; only heads are adapted."""
    support, query = labels_of(config.task)
    sizes = [len(index) for pair in drawn for index in pair]
    features = learner.body(frames[torch.cat([i for pair in drawn for i in pair])]).split(sizes)
    total = torch.zeros(())
    for given, asked in zip(features[::2], features[1::2], strict=True):
        head = inner_loop(learner.weights(), learner.rates(), head_loss(given, support), config.inner_steps, True)
        total = total + functional.cross_entropy(asked @ head[HEAD].T, query)
    return total / len(drawn)


def _maml_loss(learner: Learner, frames: Tensor, drawn: list[tuple[Tensor, Tensor]], config: MetaConfig) -> Tensor:
    """Body and head are adapted, for each episode anew."""
    support, query = labels_of(config.task)
    total = torch.zeros(())
    for given, asked in drawn:

        def loss_of(weights: Mapping[str, Tensor], index: Tensor = given) -> Tensor:
            return functional.cross_entropy(learner.logits(weights, frames[index]), support)

        second = config.mode == "maml"
        weights = inner_loop(learner.weights(), learner.rates(), loss_of, config.inner_steps, second)
        total = total + functional.cross_entropy(learner.logits(weights, frames[asked]), query)
    return total / len(drawn)


_OUTER: Mapping[Mode, Callable[[Learner, Tensor, list[tuple[Tensor, Tensor]], MetaConfig], Tensor]] = {
    "anil": _anil_loss,
    "maml": _maml_loss,
    "maml-first-order": _maml_loss,
}


class Classifier(nn.Module):
    """A body and a head that tells all classes apart."""

    def __init__(self, learner: Learner, classes: int) -> None:
        super().__init__()
        self.learner, self.all = learner, nn.Linear(learner.head.shape[1], classes)

    def forward(self, frames: Tensor) -> Tensor:
        """Logits (B, classes)."""
        logits: Tensor = self.all(self.learner.body(frames))
        return logits


def _supervised_losses(net: Classifier, frames: Tensor, config: MetaConfig, per_class: int) -> Iterator[Tensor]:
    labels = torch.arange(len(frames)) // per_class
    images = config.tasks * config.way * (config.shots + config.queries)
    for _ in range(config.outer_steps):
        chosen = torch.randint(len(frames), (images,))
        yield functional.cross_entropy(net(frames[chosen]), labels[chosen])


def train(run: RunFolder[MetaConfig], watch: Watch) -> Figures:
    """Train the learner; the learnt inner rate of the head, and processor seconds (a continued training: of the part
    done last, as if all epochs had taken as long).
    """
    config, parts = run.config, split(run)
    for part in (parts.train, parts.test):
        check_task(len(part), part.frames.shape[1], config.task)
    begun, done, classes = time.process_time(), 0, parts.train
    module = _module(config, classes)
    if config.mode != "random":
        frames, per_class = torch.from_numpy(classes.flat(config.steps)).float(), classes.frames.shape[1]

        def losses(_epoch: int) -> Iterator[Tensor]:
            nonlocal done
            done += 1
            if isinstance(module, Classifier):
                return _supervised_losses(module, frames, config, per_class)
            return _episode_losses(module, frames, config, per_class)

        fit(module, losses, config, config.outer_steps, run.stage("net"), watch)
    learner = module.learner if isinstance(module, Classifier) else module
    return {
        "inner_rate": learner.log_rates[0].exp().item(),
        "cpu_s": (time.process_time() - begun) * (config.epochs / done if done else 1.0),
    }


def _module(config: MetaConfig, classes: Classes) -> Learner | Classifier:
    learner = build(config, classes.frames.shape[-3:])
    return Classifier(learner, len(classes)) if config.mode == "supervised" else learner


def trained(run: RunFolder[MetaConfig]) -> Learner:
    """The learner of a finished run."""
    module = _module(run.config, split(run).train)
    if run.config.mode != "random":
        read_checkpoint(run.stage("net").path, module)
    learner = module.learner if isinstance(module, Classifier) else module
    return learner.eval()


def features_of(learner: Learner, frames: NDArray[Any], batch: int = 200) -> NDArray[np.float32]:
    """Rates (B, n) of the body's last layer for frames (B, T, C, H, W)."""
    with deterministic(), torch.no_grad():
        parts = [learner.body(torch.from_numpy(frames[i : i + batch]).float()) for i in range(0, len(frames), batch)]
    return np.asarray(torch.cat(parts).numpy())


def adapted_head(learner: Learner, features: NDArray[np.float32], labels: NDArray[np.int64], steps: int) -> Tensor:
    """The head (way, n) after ``steps`` inner steps on features (B, n)."""
    start = {HEAD: learner.head.detach().requires_grad_()}
    rates = {HEAD: learner.rates()[HEAD].detach()}
    loss_of = head_loss(torch.from_numpy(features), torch.from_numpy(labels))
    return inner_loop(start, rates, loss_of, steps, False)[HEAD].detach()


def shown(run: RunFolder[MetaConfig]) -> tuple[Samples, Samples]:
    """One fixed episode of unseen classes: its support samples, and all other samples of its classes."""
    classes, config = split(run).test, run.config
    per_class = classes.frames.shape[1]
    task = Task(config.way, config.shots, per_class - config.shots)
    episode = draw_episodes(len(classes), per_class, task, 1, config.seed)
    flat = classes.flat(config.steps)
    return (
        Samples(flat[episode.support[0]], episode.support_labels),
        Samples(flat[episode.query[0]], episode.query_labels),
    )


def network(run: RunFolder[MetaConfig]) -> Network:
    """What is deployed: body, a head adapted to the episode of `shown`, and running sums: T times the logits.

    The initial head says little about the weights that learning needs, and a random one nothing: quantisation has to
    see an adapted one.
    """
    learner, (support, _) = trained(run), shown(run)
    net = nn.Sequential()
    for name, layer in learner.body.net.named_children():
        net.add_module(name, layer)
    head = nn.Linear(learner.head.shape[1], learner.head.shape[0], bias=False)
    head.weight = nn.Parameter(
        adapted_head(learner, features_of(learner, support.frames), support.labels, ADAPTED_STEPS)
    )
    net.add_module(HEAD, head)
    net.add_module("sum", Integrator())
    return to_network(net.eval(), split(run).test.frames.shape[-3:])


def samples(run: RunFolder[MetaConfig]) -> Parts:
    """Samples of the classes learnt from (labels modulo ``way``), and of the episode of `shown`, support left out."""
    classes, config = split(run).train, run.config
    labels = np.arange(classes.frames.shape[0] * classes.frames.shape[1]) // classes.frames.shape[1] % config.way
    chosen = np.random.default_rng(config.seed).permutation(len(labels))[:SEEN]
    return Parts(Samples(classes.flat(config.steps)[chosen], labels[chosen].astype(np.int64)), shown(run)[1])


RECIPE = Recipe(MetaConfig, train, network, samples, decoder="membrane-last")
