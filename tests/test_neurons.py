from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spikeport.converters.network import Network
from spikeport.converters.read.nir import read_nir
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import compile_network
from spikeport.errors import DataError, ModelError, UnsupportedOnChipError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.export import to_network
from spikeport.models.network import over_time, spikes_of
from spikeport.models.neurons import DALIF, LIF, PLIF, CubaLIF, Integrator, PerStepDALIF, SteppedNeuron
from spikeport.models.surrogate import ArcTan, DSpike, FastSigmoid, Rectangle, Surrogate, Triangle

NEURONS: dict[str, Callable[[], SteppedNeuron]] = {
    "lif": lambda: LIF(0.9, 0.7),
    "lif subtract": lambda: LIF(0.8, reset="subtract", threshold=0.6),
    "lif without reset": lambda: LIF(0.5, reset="none"),
    "cuba": lambda: CubaLIF(0.8, 0.9, gain=0.3, current_gain=0.5),
    "plif": lambda: PLIF(3.0),
    "da-lif": lambda: DALIF(0.7, 0.4),
    "da-lif sigmoid": lambda: DALIF(0.7, 0.4, squash="sigmoid"),
}


def conv_net(neuron: Callable[[], SteppedNeuron]) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential()
    layers = (nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), neuron(), nn.AvgPool2d(2), nn.Flatten())
    for index, layer in enumerate((*layers, nn.Linear(6 * 16, 8), neuron(), nn.Linear(8, 3), Integrator())):
        net.add_module(f"layer{index}", layer)
    for parameter in net.parameters():
        # torch's initial weights are made for values around 1, spikes are sparser
        parameter.data.mul_(10.0 if parameter.ndim > 1 else 1.0)
    return net


def frames() -> torch.Tensor:
    return (torch.rand(5, 7, 2, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.3).float()


def deployed(net: nn.Module) -> tuple[nn.Module, Network]:
    """The module without batch norm, and its Network."""
    with torch.no_grad():
        over_time(net, frames())  # statistics for batch norm
    plain = without_batch_norm(net)
    return plain, to_network(plain, (2, 8, 8))


@pytest.mark.parametrize("kind", NEURONS)
def test_exported_file_gives_the_spikes_of_every_layer(kind: str, tmp_path: Path) -> None:
    net, network = deployed(conv_net(NEURONS[kind]))
    write_nir(network, tmp_path / "model.nir")
    with torch.no_grad(), spikes_of(net) as seen:
        outputs = over_time(net, frames())
    run = run_float(read_nir(tmp_path / "model.nir"), frames().numpy(), record=network.neurons)
    for name in ("layer2", "layer6"):
        assert seen[name].sum() > 0, name
        np.testing.assert_array_equal(run.spikes[name], seen[name].numpy())
    np.testing.assert_array_equal(run.outputs["output"], outputs.numpy())


class Skipping(nn.Module):
    """A sum and a concatenation past a layer, as skip connections come."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(32, 3)
        self.lif1, self.lif2, self.lif3 = LIF(0.9), LIF(0.8), DALIF()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        early = self.lif1(self.first(x))
        late = self.lif2(self.second(early) + early)
        out: torch.Tensor = self.lif3(self.third(torch.cat([early, late], 1)))
        return out


def test_skips_of_both_kinds_export_exactly() -> None:
    torch.manual_seed(0)
    net = Skipping()
    for layer in (net.first, net.second, net.third):
        layer.weight.data.mul_(8.0)
    x = (torch.rand(5, 7, 12) < 0.3).float()
    with torch.no_grad(), spikes_of(net) as seen:
        over_time(net, x)
    network = to_network(net, (12,))
    run = run_float(network, x.numpy(), record=network.neurons)
    for name in ("lif1", "lif2", "lif3"):
        assert seen[name].sum() > 0
        np.testing.assert_array_equal(run.spikes[name], seen[name].numpy())


def test_folded_batch_norm_answers_as_the_trained_network() -> None:
    net = conv_net(NEURONS["da-lif"])
    plain, _ = deployed(net)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in plain.modules())
    with torch.no_grad():
        torch.testing.assert_close(over_time(net.eval(), frames()), over_time(plain, frames()))


def test_batch_norm_with_nothing_to_fold_into_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="batch norm '1' does not follow"):
        without_batch_norm(nn.Sequential(LIF(), nn.BatchNorm1d(4)))


def test_da_lif_is_a_plain_lif_with_alpha_in_its_weights() -> None:
    torch.manual_seed(0)
    dual = nn.Sequential(nn.Linear(8, 16, bias=False), DALIF(alpha=0.5, beta=0.75))
    plain = nn.Sequential(nn.Linear(8, 16, bias=False), LIF(decay=0.75))
    dual[1].alpha.learnt.data.fill_(np.arctanh(0.5))  # a power of two: the product is exact
    assert dual[1].alpha().item() == 0.5
    plain[1].decay = dual[1].beta().detach()
    plain[0].weight.data = 0.5 * dual[0].weight.data
    x = torch.randn(3, 20, 8)
    assert torch.equal(over_time(dual, 4 * x), over_time(plain, 4 * x))


def test_constants_that_change_from_step_to_step_are_refused_until_averaged() -> None:
    neuron = PerStepDALIF(steps=4)
    neuron.beta.learnt.data = torch.tensor([0.2, 0.4, 0.6, 0.8])
    with pytest.raises(UnsupportedOnChipError, match=r"gate: its membrane decay changes from step to step"):
        neuron.to_neuron("gate", (3,))
    mean = torch.tanh(neuron.beta.learnt).mean().item()
    assert neuron.averaged().to_neuron("gate", (3,)).membrane_decay == pytest.approx(mean)


def test_a_decay_below_zero_is_refused_when_compiled() -> None:
    net = nn.Sequential(nn.Linear(4, 3), DALIF(beta=-0.3), nn.Linear(3, 2), Integrator())
    with pytest.raises(UnsupportedOnChipError, match=r"membrane decay -0\.3"):
        compile_network(to_network(net, (4,)), "loihi2", np.ones((2, 5, 4)))


def test_samples_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), LIF(0.9))
    x = torch.randn(4, 6, 8)
    alone = torch.cat([over_time(net, sample[None]) for sample in x])
    assert torch.equal(over_time(net, x), alone)


def test_frames_that_are_no_whole_samples_are_refused() -> None:
    neuron = LIF()
    neuron.steps = 4
    with pytest.raises(DataError, match="10 frames are no whole samples of 4 steps"):
        neuron(torch.zeros(10, 3))


def test_learnt_constants_receive_gradients() -> None:
    for neuron in (PLIF(), DALIF(), PerStepDALIF(6)):
        net = nn.Sequential(nn.Linear(8, 4), neuron)
        over_time(net, 5 * torch.rand(3, 6, 8)).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in neuron.parameters())


SLOPES: list[tuple[Surrogate, float, float]] = [
    (FastSigmoid(10.0), 0.1, 0.25),
    (ArcTan(2.0), 0.0, 1.0),
    (Triangle(0.5), 0.25, 1.0),
    (Rectangle(0.5), 0.2, 2.0),
    (Rectangle(0.5), 0.3, 0.0),
    (DSpike(3.0), 0.6, 0.0),
    (DSpike(3.0), 0.0, 3.0 / (2.0 * np.tanh(1.5))),
]


@pytest.mark.parametrize(("surrogate", "distance", "slope"), SLOPES)
def test_surrogates_have_their_papers_slope(surrogate: Surrogate, distance: float, slope: float) -> None:
    for sign in (1.0, -1.0):
        x = torch.tensor(sign * distance, requires_grad=True)
        spike = surrogate(x)
        assert spike.item() == float(sign * distance > 0)
        spike.backward()
        assert x.grad is not None
        assert float(x.grad) == pytest.approx(slope)


@pytest.mark.parametrize("surrogate", [FastSigmoid(), ArcTan(), DSpike()])
def test_second_derivatives_exist_where_the_formula_has_them(surrogate: Surrogate) -> None:
    x = torch.tensor(0.1, requires_grad=True)
    (first,) = torch.autograd.grad(surrogate(x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert float(second) < 0
