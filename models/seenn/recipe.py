"""A dense network whose every prefix of time steps answers, and a policy that foresees how many steps it needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from spikeport.converters.network import Network, Shape
from spikeport.errors import DataError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.data.recognise import EventFrames, event_frames
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.export import to_network
from spikeport.models.layers import Body, convolutions
from spikeport.models.neurons import LIF, Integrator
from spikeport.models.recipe import Recipe
from spikeport.models.seenn.policy import Policy, policy_losses, read_policy
from spikeport.models.surrogate import Triangle
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import LayeredConfig
from spikeport.models.training.evaluate import accuracy, outputs
from spikeport.models.training.fit import Figures, Stage, Watch, fit
from spikeport.models.training.losses import batch_losses, batches_of, tet_loss
from spikeport.models.training.run_folder import RunFolder

PENALTIES = (1.0, 5.0, 20.0)
"""The paper's beta, what a wrong answer costs a policy: each gives one point of its curve."""


class SEENNConfig(LayeredConfig):
    """Settings.

    Attributes:
        steps: T, time steps per sample.
        hidden: neurons of the dense hidden layer, where ``layers`` does not say otherwise.
        held_out: samples for test, drawn by ``seed`` where the set has no parts of its own.
        calibration: samples held back from learning, on which exit thresholds are chosen.
        folds: parts into which the learning samples fall for the policy: what a network gets right is asked on samples
            it has not seen, or it would be right at once on all of them.
        policy_epochs: of the policies, one for each of `PENALTIES`; 0 for none.
    """

    learning_rate: float = Field(5e-3, gt=0)
    steps: int = Field(10, ge=2)
    hidden: int = Field(256, ge=1)
    held_out: int = Field(250, ge=1)
    calibration: int = Field(150, ge=1)
    folds: int = Field(3, ge=2)
    policy_epochs: int = Field(60, ge=0)


@dataclass(frozen=True)
class SEENNParts:
    """Samples to learn from, to choose thresholds on, and to be judged by."""

    train: Samples
    calibration: Samples
    test: Samples


def build(config: SEENNConfig, shape: Shape, classes: int, seed: int) -> nn.Module:
    """Dense inputs-hidden, or the ``layers`` given, and a read-out whose output is the running sum of the logits.

    Initial weights are drawn by ``seed``.
    """
    torch.manual_seed(seed)
    layers, features = convolutions(config.layers, shape, _neurons) if config.layers else _dense(config, shape)
    net = nn.Sequential()
    for name, layer in {**layers, "readout": nn.Linear(features, classes), "sum": Integrator()}.items():
        net.add_module(name, layer)
    return net


def _neurons() -> LIF:
    return LIF(0.5, 1.0, surrogate=Triangle())


def _dense(config: SEENNConfig, shape: Shape) -> Body:
    fc = nn.Linear(torch.Size(shape).numel(), config.hidden)
    return {"flatten": nn.Flatten(), "fc": fc, "lif": _neurons()}, config.hidden


def events(run: RunFolder[SEENNConfig]) -> EventFrames:
    """The recordings in frames."""
    return event_frames(run.data, run.config.steps, run.config.pool, run.config.seconds)


def parts(run: RunFolder[SEENNConfig]) -> SEENNParts:
    """Frames (B, steps, *shape), split by the seed."""
    config = run.config
    both = events(run).divided(config.seed, config.held_out)
    if len(both.train) - config.calibration < config.folds:
        kept = f"calibration={config.calibration} of {len(both.train)} samples"
        raise DataError(f"{kept} leaves too few to learn from in {config.folds} folds; set calibration lower")
    learnt, calibration = both.held_back(config.calibration)
    return SEENNParts(learnt.train, calibration, learnt.test)


def samples(run: RunFolder[SEENNConfig]) -> Parts:
    """What is learnt from, and the test."""
    found = parts(run)
    return Parts(found.train, found.test)


def train(run: RunFolder[SEENNConfig], watch: Watch) -> Figures:
    """The network by temporal efficient training, then the policies; accuracy after all steps, on the test samples."""
    config, data = run.config, parts(run)
    net = _fitted(run, "net", data.train, config.seed, watch)
    if config.policy_epochs:
        _fit_policies(run, data.train, watch)
    return {"accuracy": accuracy(net, data.test, "membrane-last")}


def _fitted(run: RunFolder[SEENNConfig], stage: str, learnt: Samples, seed: int, watch: Watch) -> nn.Module:
    net = _new(run, seed)
    losses = batch_losses(net, learnt, run.config.batch, _prefix_loss)
    fit(net, losses, run.config, batches_of(learnt, run.config.batch), run.stage(stage), watch)
    return net.eval()


def _new(run: RunFolder[SEENNConfig], seed: int) -> nn.Module:
    given = events(run)
    return build(run.config, given.shape, given.source.classes, seed)


def _prefix_loss(sums: Tensor, labels: Tensor) -> Tensor:
    """TET on the single steps' logits, which are the differences of the running sums."""
    return tet_loss(torch.diff(sums, dim=1, prepend=torch.zeros_like(sums[:, :1])), labels)


def _fit_policies(run: RunFolder[SEENNConfig], learnt: Samples, watch: Watch) -> None:
    """Policies on answers that networks gave to the fold they had not seen."""
    config = run.config
    correct = np.zeros((len(learnt), config.steps), np.bool_)
    for k, unseen in enumerate(_folds(learnt, config)):
        net = _fitted(run, f"fold{k}", learnt.take(~unseen), config.seed + 1 + k, watch)
        correct[unseen] = right_after(outputs(net, learnt.frames[unseen]), learnt.labels[unseen])
    setting = config.model_copy(update={"epochs": config.policy_epochs, "learning_rate": 1e-3})
    for penalty in PENALTIES:
        torch.manual_seed(config.seed)
        policy = Policy(learnt.frames[0, 0].size, config.steps)
        losses = policy_losses(policy, learnt.frames[:, 0], correct, config.batch, penalty)
        fit(policy, losses, setting, batches_of(learnt, config.batch), _policy_stage(run, penalty), watch)


def _folds(learnt: Samples, config: SEENNConfig) -> list[NDArray[np.bool_]]:
    """(B,) for each fold: the samples its network does not see."""
    return [np.arange(len(learnt)) % config.folds == k for k in range(config.folds)]


def fold_networks(run: RunFolder[SEENNConfig]) -> Iterator[tuple[Network, Samples]]:
    """The network of each fold of a finished run, and the samples it has not seen."""
    learnt = parts(run).train
    for k, unseen in enumerate(_folds(learnt, run.config)):
        net = _new(run, run.config.seed)
        read_checkpoint(run.stage(f"fold{k}").path, net)
        yield to_network(without_batch_norm(net), events(run).shape), learnt.take(unseen)


def _policy_stage(run: RunFolder[SEENNConfig], penalty: float) -> Stage:
    return run.stage(f"policy-{penalty:g}")


def right_after(sums: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(B, T): whether the answer after each step is right, from running sums (B, T, classes)."""
    return np.asarray(sums.argmax(-1) == labels[:, None])


def trained(run: RunFolder[SEENNConfig]) -> nn.Module:
    """The net of a finished run."""
    net = _new(run, run.config.seed)
    read_checkpoint(run.stage("net").path, net)
    return net.eval()


def trained_policy(run: RunFolder[SEENNConfig], penalty: float) -> Policy:
    """One of the policies of a finished run."""
    return read_policy(_policy_stage(run, penalty).path)


def network(run: RunFolder[SEENNConfig]) -> Network:
    """What is deployed: the running sums are an integrator's membrane."""
    return to_network(without_batch_norm(trained(run)), events(run).shape)


def untrained(run: RunFolder[SEENNConfig]) -> Network:
    """What will be deployed, with its first weights."""
    return to_network(without_batch_norm(_new(run, run.config.seed)), events(run).shape)


RECIPE = Recipe(SEENNConfig, train, network, samples, untrained, "membrane-last")
