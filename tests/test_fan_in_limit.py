"""What a neuron hears, counted on the float circuit, is what its core must tell apart once there are integers."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikeport.converters.chain import Chain
from spikeport.converters.circuit import InputCode
from spikeport.converters.passes.core_load import sources_of
from spikeport.converters.passes.fan_in_limit import check_fan_in, most_sources
from spikeport.deploy.compile import compile_network
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import load_profile
from spikeport.models.export import to_network
from spikeport.models.neurons import LIF

SHAPE = (4, 9, 7)
BODIES: dict[str, list[nn.Module]] = {
    "dense": [nn.Flatten(), nn.Linear(252, 5)],
    "3 x 3": [nn.Conv2d(4, 6, 3, padding=1)],
    "strided": [nn.Conv2d(4, 6, 4, stride=3)],
    "dilated": [nn.Conv2d(4, 2, 3, dilation=3, padding=2)],
    "grouped": [nn.Conv2d(4, 8, 3, groups=2)],
    "larger than the image": [nn.Conv2d(4, 2, 7, padding=5)],
    "pooled": [nn.AvgPool2d(2), nn.Conv2d(4, 6, 3)],
    "pooled, odd border": [nn.AvgPool2d(2, padding=1), nn.Conv2d(4, 6, 2, padding=1)],
    "pooled, dense": [nn.AvgPool2d(3), nn.Flatten(), nn.Linear(24, 5)],
}


def net(layers: list[nn.Module]) -> Any:
    torch.manual_seed(0)
    return to_network(nn.Sequential(*layers, LIF(0.5, 1.0)), SHAPE)


@pytest.mark.parametrize("body", BODIES)
def test_sources_counted_before_are_those_counted_on_the_chip(body: str) -> None:
    network, profile = net(BODIES[body]), load_profile("loihi2")
    circuit = Chain(profile).circuit(network, InputCode(1.0, 1))
    ((name, connection),) = circuit.connections.items()
    deployment = compile_network(network, profile, (np.random.default_rng(0).random((2, 4, *SHAPE)) < 0.2))
    chip = deployment.network
    into, size = chip.into(connection.target), chip.populations[connection.target].size
    heard = [sum(int(mask.sum()) for mask in sources_of(into, ((i, i + 1),)).values()) for i in range(size)]
    assert most_sources(connection.weights) == max(heard), name


def test_neuron_that_hears_more_than_a_core_can_tell_apart_is_refused_before_weights_are_chosen() -> None:
    profile = load_profile("loihi2")
    axons = profile.limits.fan_in_axons_per_core.model_copy(update={"value": 251})
    limits = profile.limits.model_copy(update={"fan_in_axons_per_core": axons})
    small = profile.model_copy(update={"limits": limits})
    circuit = Chain(profile).circuit(net(BODIES["dense"]), InputCode(1.0, 1))
    check_fan_in(circuit, profile)
    with pytest.raises(DoesNotFitError, match=r"one of its neurons needs 252 axons \(fan-in axons\), .* has 251; pool"):
        check_fan_in(circuit, small)
