"""Training of a dense network with dual adaptive neurons on event recordings, and of what it is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import Literal, TypeAlias

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import nn

from spikeport.converters.network import Network, Shape
from spikeport.errors import DataError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.data.recognise import EventFrames, event_frames
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.export import to_network
from spikeport.models.layers import Body, convolutions
from spikeport.models.network import neurons_of
from spikeport.models.neurons import DALIF, LIF, PLIF, Integrator, PerStepDALIF, SteppedNeuron
from spikeport.models.recipe import Recipe
from spikeport.models.surrogate import Triangle
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import LayeredConfig
from spikeport.models.training.evaluate import accuracy
from spikeport.models.training.fit import Figures, Watch, fit
from spikeport.models.training.losses import batch_losses, batches_of, last_loss
from spikeport.models.training.run_folder import RunFolder

NeuronKind: TypeAlias = Literal["da-lif", "da-lif-sigmoid", "per-step", "plif", "lif"]


class DALIFConfig(LayeredConfig):
    """Settings.

    Attributes:
        neuron: "lif" takes ``decay`` and ``gain`` as they are, the others learn theirs.
        decay: what the past is multiplied with; where learnt, it starts there.
        gain: what the input is multiplied with; where learnt, it starts there.
        steps: T, time steps per sample.
        late: events fill only the first half of the steps, and the decision falls in the last step.
        hidden: neurons of each of the two dense layers, where ``layers`` does not say otherwise.
        neuron_rate: multiplies the learning rate of what neurons learn.
        held_out: samples for test, drawn by ``seed`` where the set has no parts of its own.
        validation: further samples kept from training, to choose settings on.
    """

    neuron: NeuronKind = "da-lif"
    decay: float = Field(0.5, gt=0, lt=1)
    gain: float = Field(0.5, gt=0, le=1)
    steps: int = Field(8, ge=1)
    late: bool = False
    hidden: int = Field(128, ge=1)
    neuron_rate: float = Field(1.0, gt=0)
    held_out: int = Field(300, ge=1)
    validation: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _half(self) -> DALIFConfig:
        if self.late and self.steps < 2:
            raise DataError(f"late=true fills the first half of the steps: steps={self.steps} must be 2 or more")
        return self


_NEURONS: Mapping[NeuronKind, Callable[[DALIFConfig], SteppedNeuron]] = {
    "da-lif": lambda c: DALIF(c.gain, c.decay, "tanh", surrogate=Triangle()),
    "da-lif-sigmoid": lambda c: DALIF(c.gain, c.decay, "sigmoid", surrogate=Triangle()),
    "per-step": lambda c: PerStepDALIF(c.steps, c.gain, c.decay, "tanh", surrogate=Triangle()),
    "plif": lambda c: PLIF(1.0 / (1.0 - c.decay), surrogate=Triangle()),
    "lif": lambda c: LIF(c.decay, c.gain, surrogate=Triangle()),
}


def build(config: DALIFConfig, shape: Shape, classes: int) -> nn.Module:
    """Dense inputs-hidden-hidden with batch norm, or the ``layers`` given, and a read-out that adds up the answer.

    Initial weights are drawn by the seed.

    Where the decision falls in the last step, the read-out holds that step alone, else the sum over all steps.
    """
    torch.manual_seed(config.seed)
    neurons = partial(_NEURONS[config.neuron], config)
    layers, features = convolutions(config.layers, shape, neurons) if config.layers else _dense(config, shape, neurons)
    layers |= {"readout": nn.Linear(features, classes), "sum": Integrator(0.0 if config.late else 1.0)}
    net = nn.Sequential()
    for name, layer in layers.items():
        net.add_module(name, layer)
    return net


def _dense(config: DALIFConfig, shape: Shape, neurons: Callable[[], SteppedNeuron]) -> Body:
    layers: dict[str, nn.Module] = {"flatten": nn.Flatten()}
    for number, size in ((1, torch.Size(shape).numel()), (2, config.hidden)):
        layers[f"fc{number}"] = nn.Linear(size, config.hidden, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm1d(config.hidden)
        layers[f"neurons{number}"] = neurons()
    return layers, config.hidden


def events(run: RunFolder[DALIFConfig]) -> EventFrames:
    """The recordings, in as many frames as are not silent."""
    config = run.config
    return event_frames(run.data, config.steps // 2 if config.late else config.steps, config.pool, config.seconds)


def samples(run: RunFolder[DALIFConfig]) -> Parts:
    """Frames (B, steps, *shape); those for validation belong to neither part."""
    parts, _ = split(run)
    return parts


def split(run: RunFolder[DALIFConfig]) -> tuple[Parts, Samples | None]:
    """See `samples`; and the samples for validation, None where none were asked for."""
    config = run.config
    parts = events(run).divided(config.seed, config.held_out)
    if config.late:
        parts = Parts(*(_silent_end(part, config.steps) for part in (parts.train, parts.test)))
    return parts.held_back(config.validation) if config.validation else (parts, None)


def _silent_end(part: Samples, steps: int) -> Samples:
    """The same frames, then silence up to ``steps``."""
    count, given, *shape = part.frames.shape
    silence = np.zeros((count, steps - given, *shape), part.frames.dtype)
    return replace(part, frames=np.concatenate([part.frames, silence], axis=1))


def train(run: RunFolder[DALIFConfig], watch: Watch) -> Figures:
    """Accuracy on the samples held out and on those for validation, and what the neurons learnt."""
    config, (parts, validation) = run.config, split(run)
    net = _new(run)
    scale = 1.0 if config.late else 1.0 / config.steps
    losses = batch_losses(net, parts.train, config.batch, partial(last_loss, scale=scale))
    fit(net, losses, config, batches_of(parts.train, config.batch), run.stage("net"), watch, partial(_rate, config))
    chosen_by = {} if validation is None else {"validation": accuracy(net, validation, "membrane-last")}
    return {"accuracy": accuracy(net, parts.test, "membrane-last"), **chosen_by, **_learnt(net)}


def _new(run: RunFolder[DALIFConfig]) -> nn.Module:
    given = events(run)
    return build(run.config, given.shape, given.source.classes)


def _rate(config: DALIFConfig, parameter: str) -> float:
    return config.neuron_rate if parameter.startswith("neurons") else 1.0


def _learnt(net: nn.Module) -> Figures:
    """Gain and decay of each spiking layer; the mean over steps where they differ."""
    found = {}
    for name, neuron in neurons_of(net):
        if neuron.spiking:
            constants = neuron.constants()
            found[f"{name}.decay"] = mean(c.membrane_decay.item() for c in constants)
            found[f"{name}.gain"] = mean(1.0 if c.input_gain is None else c.input_gain.item() for c in constants)
    return found


def trained(run: RunFolder[DALIFConfig]) -> nn.Module:
    """The net of a finished run."""
    net = _new(run)
    read_checkpoint(run.stage("net").path, net)
    return net.eval()


def network(run: RunFolder[DALIFConfig]) -> Network:
    """What is deployed.

    Raises:
        UnsupportedOnChipError: neurons whose constants change from step to step.
    """
    return to_network(without_batch_norm(trained(run)), events(run).shape)


def untrained(run: RunFolder[DALIFConfig]) -> Network:
    """What will be deployed, with its first weights; raises as `network`."""
    return to_network(without_batch_norm(_new(run)), events(run).shape)


RECIPE = Recipe(DALIFConfig, train, network, samples, untrained, "membrane-last")
