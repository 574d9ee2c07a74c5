"""Composed torch modules: running them over time, and turning them into a Network.

A module is written for single frames, with plain ``torch.nn`` around neurons of `spikeport.models.neurons`: layers
take (N, *shape), skips are additions and concatenations as usual. `over_time` runs it on all steps of all samples at
once, so that each convolution is one call; only the neurons walk through the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spikeport.models.neurons import SteppedNeuron


def over_time(net: nn.Module, frames: Tensor) -> Tensor:
    """Outputs (B, T, *out) of a per-frame module for frames (B, T, *shape), every sample from rest."""
    batch, steps = frames.shape[:2]
    try:
        _set_steps(net, steps)
        outputs: Tensor = net(frames.flatten(0, 1))
    finally:
        _set_steps(net, 1)
    return outputs.reshape(batch, steps, *outputs.shape[1:])


def _set_steps(net: nn.Module, steps: int) -> None:
    for _, neuron in neurons_of(net):
        neuron.steps = steps


def neurons_of(net: nn.Module) -> tuple[tuple[str, SteppedNeuron], ...]:
    """All layers of neurons with their names."""
    return tuple((name, part) for name, part in net.named_modules() if isinstance(part, SteppedNeuron))


@contextmanager
def spikes_of(net: nn.Module) -> Iterator[dict[str, Tensor]]:
    """While open, the dict holds what each layer of neurons gave last: (B, T, *shape), with gradients, by name."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, neuron: SteppedNeuron) -> torch.utils.hooks.RemovableHandle:
        def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
            seen[name] = output.reshape(-1, neuron.steps, *output.shape[1:])

        return neuron.register_forward_hook(hook)

    handles = [keep(name, neuron) for name, neuron in neurons_of(net)]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
