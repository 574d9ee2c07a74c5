"""Conventional torch modules become Networks that compute the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeport.converters.network import Activation, Conv, Embed, MaxPool, Network, Pool, Scale
from spikeport.converters.read.modules.read import read_module
from spikeport.deploy.backends.float import run_float
from spikeport.errors import DataError, ModelError, UnsupportedNodeError


def output_of(network: Network, x: Tensor) -> np.ndarray:
    """The network's output for a batch of static inputs."""
    return run_float(network, x.numpy()[:, None]).outputs[network.outputs[0]][:, 0]


def assert_same(net: nn.Module, *shape: int, **options: Any) -> Network:
    torch.manual_seed(0)
    x = torch.randn(3, *shape)
    network = read_module(net, x, **options)
    with torch.no_grad():
        np.testing.assert_allclose(output_of(network, x), net.eval()(x).numpy(), rtol=1e-4, atol=1e-5)
    return network


class Forward(nn.Module):
    """A net whose forward is given, with a few layers to use."""

    def __init__(self, forward: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(64, 5)
        self.weight = nn.Parameter(torch.randn(4, 4))
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        return self._forward(self, x)


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 20),
        nn.ReLU6(),
        nn.Dropout(0.5),
        nn.Linear(20, 10),
    )


def test_layers_keep_their_names_and_compute_the_same() -> None:
    network = assert_same(lenet(), 1, 12, 12)
    assert list(network.nodes) == ["input", *["0", "1", "2", "3", "4", "5", "6", "7", "8", "10"], "output"]
    assert network.shapes["6"] == (16,)
    assert [type(network.nodes[n]) for n in "145"] == [Activation, Activation, MaxPool]


def test_batch_norm_becomes_a_scale_with_its_running_statistics() -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU())
    net[1].running_mean.uniform_(-1, 1)
    net[1].running_var.uniform_(0.5, 2)
    network = assert_same(net, 2, 6, 6)
    assert isinstance(network.nodes["1"], Scale)


FORWARDS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "residual": lambda m, x: functional.relu(m.a(x) + m.b(m.a(x).relu())),
    "in place": lambda m, x: functional.relu_(m.a(x)).add_(1.0).mul_(0.5),
    "concatenation": lambda m, x: torch.cat([m.a(x), x, functional.relu(m.b(m.a(x)))], dim=1),
    "channels split off by shape": lambda m, x: m.a(x).view(x.size(0), 2, 2, 4, 4).flatten(1, 2),
    "permute": lambda m, x: m.a(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1),
    "double transpose": lambda m, x: m.a(x).transpose(1, 2).transpose(1, 2),
    "arithmetic": lambda m, x: 1.0 - 2.0 * m.a(x) / 3.0 - m.b(m.a(x)) + torch.ones(4, 1, 1),
    "global average": lambda m, x: m.a(x).mean((2, 3)) @ m.weight,
    "adaptive average": lambda m, x: functional.adaptive_avg_pool2d(m.a(x), 2).flatten(1),
    "sum pooling": lambda m, x: functional.lp_pool2d(m.a(x), 1, 2),
    "divided by one": lambda m, x: functional.avg_pool2d(m.a(x), 2, divisor_override=1),
    "padding": lambda m, x: functional.pad(m.a(x), (1, 0, 2, 1)),
    "fully connected": lambda m, x: m.fc(m.a(x).clamp(min=0).view(-1, 64)),
    "added twice": lambda m, x: m.a(x) + m.a(x).relu() + m.a(x),
    "the same tensor twice": lambda m, x: (lambda y: y + y)(m.a(x)),
    "stacked and unstacked": lambda m, x: torch.stack([m.a(x), x.repeat(1, 1, 1, 1).new_zeros(x.size(0), 4, 4, 4)], 1),
    "indexing with None": lambda m, x: m.a(x)[:, None][:, 0],
    "one-dimensional pooling": lambda m, x: functional.avg_pool1d(m.a(x).flatten(2), 4),
    "max pooling of rows": lambda m, x: functional.max_pool1d(m.a(x).flatten(2), 2),
}


@pytest.mark.parametrize("name", FORWARDS)
def test_forward_of_the_users_own_computes_the_same(name: str) -> None:
    assert_same(Forward(FORWARDS[name]), 2, 4, 4)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_odd_padding_same_pads_one_more_pixel_at_the_end() -> None:
    network = assert_same(nn.Conv2d(1, 2, (4, 3), padding="same"), 1, 5, 5)
    assert sorted(type(n).__name__ for n in network.nodes.values()) == ["Conv", "Embed", "Input", "Output"]
    assert isinstance(next(n for n in network.nodes.values() if isinstance(n, Embed)), Embed)


@pytest.mark.parametrize("options", [{"groups": 2}, {"stride": 2}, {"dilation": 2}, {"bias": False}])
def test_options_of_convolutions_are_kept(options: dict[str, Any]) -> None:
    assert_same(nn.Sequential(nn.Conv2d(2, 4, 3, **options)), 2, 7, 7)
    assert_same(nn.Conv1d(2, 4, 3, **options), 2, 9)


def test_softmax_at_the_end_is_left_to_the_decoder() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    network = read_module(net, torch.zeros(2, 4))
    (finding,) = (f for f in network.findings if f.code == "readout-left-to-decoder")
    assert "softmax" in finding.message


@pytest.mark.parametrize("kind", [nn.Softmax, nn.LogSoftmax])
def test_softmax_over_samples_is_no_readout(kind: type[nn.Softmax]) -> None:
    with pytest.raises(UnsupportedNodeError, match="softmax over samples or steps instead of classes"):
        read_module(nn.Sequential(nn.Linear(4, 3), kind(0)), torch.zeros(2, 4), axes="B")


def test_single_sample_is_enough() -> None:
    assert read_module(lenet(), torch.zeros(1, 1, 12, 12)).shapes["7"] == (20,)


def test_named_inputs_are_inputs_of_the_network() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 3)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.fc(left) + right

    network = read_module(Two(), {"left": torch.zeros(2, 4), "right": torch.zeros(2, 3)})
    assert network.inputs == ("left", "right")
    given = {"left": np.ones((2, 1, 4), np.float32), "right": np.ones((2, 1, 3), np.float32)}
    assert run_float(network, given).outputs["output"].shape == (2, 1, 3)


REFUSED: dict[str, tuple[Callable[[Any, Tensor], Any], str]] = {
    "an activation nobody has": (lambda m, x: functional.leaky_relu(m.a(x)), "'leaky_relu'"),
    "gates": (lambda m, x: m.a(x) * m.a(x).relu(), "a product of two signals"),
    "a branch on data": (lambda m, x: m.a(x) if m.a(x).sum() > 0 else x, "'bool' takes values of the signal out"),
    "a number taken out": (lambda m, x: m.a(x) * m.a(x).mean((2, 3)).tolist()[0][0], "'tolist' takes values"),
    "some channels": (lambda m, x: m.b(m.a(x)[:, :2].repeat(1, 2, 1, 1)), "a slice of an axis"),
    "one channel": (lambda m, x: m.a(x)[:, 0], "one slice of an axis that is not time"),
    "noise": (lambda m, x: m.a(x) + torch.randn(4, 4, 4), "random numbers"),
    "dropout that is always on": (lambda m, x: functional.dropout(m.a(x), 0.5), "dropout, which is random"),
    "mean over the batch": (lambda m, x: m.a(x) - m.a(x).mean(0), "takes the mean"),
    "batch and channels mixed": (lambda m, x: m.a(x).reshape(-1, 16), "mixes time or batch"),
    "circular padding": (lambda m, x: functional.pad(m.a(x), (1, 1, 1, 1), mode="circular"), "mode 'circular'"),
    "uneven windows": (lambda m, x: functional.adaptive_avg_pool2d(m.a(x), 3), "windows differ in size"),
    "half windows": (lambda m, x: functional.max_pool2d(m.a(x), 3, ceil_mode=True), "ceil_mode"),
    "compiled code": (lambda m, x: torch.jit.script(_square)(m.a(x)), "out of sight of torch's Python functions"),
    "matrix of the data": (lambda m, x: m.a(x) @ m.a(x), "matmul"),
}


def _square(x: Tensor) -> Tensor:
    return x * x


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_no_network_can_say_is_refused_by_name(name: str) -> None:
    forward, message = REFUSED[name]
    with pytest.raises(UnsupportedNodeError, match=message):
        read_module(Forward(forward), torch.randn(3, 2, 4, 4))


def test_unsupported_side_branch_does_not_matter() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        m.activity = m.a(x).abs().sum()
        return m.a(x)

    assert_same(Forward(forward), 2, 4, 4)


def test_output_that_ignores_the_input_is_refused() -> None:
    with pytest.raises(ModelError, match="nothing that the module returns depends on its input"):
        read_module(Forward(lambda m, x: m.weight), torch.zeros(2, 2, 4, 4))


def test_failing_module_is_named_as_such() -> None:
    with pytest.raises(DataError, match="the module fails on the sample: RuntimeError"):
        read_module(nn.Linear(3, 2), torch.zeros(2, 4))
    with pytest.raises(DataError, match="the sample is a str"):
        read_module(nn.Linear(3, 2), ("x",))


def test_module_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).train()
    net.register_buffer("calls", torch.zeros(()))
    net.notes = ["a"]
    net.register_forward_pre_hook(lambda m, x: (m.calls.add_(1), m.notes.append("b"), None)[-1])
    before = {k: v.clone() for k, v in net.state_dict().items()}
    read_module(net, torch.randn(3, 4))
    assert net.training
    assert net[1].training
    assert net.notes == ["a"]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def test_training_batch_norm_is_refused_where_it_has_no_statistics() -> None:
    with pytest.raises(UnsupportedNodeError, match="statistics of the batch"):
        read_module(nn.BatchNorm1d(4, track_running_stats=False), torch.zeros(3, 4))


def test_double_precision_is_said() -> None:
    network = read_module(nn.Linear(4, 2).double(), torch.zeros(2, 4, dtype=torch.float64))
    (finding,) = (f for f in network.findings if f.code == "read-as-float32")
    assert "float64" in finding.message


def test_depthwise_and_pointwise_convolutions_are_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.Conv2d(4, 8, 1), nn.AvgPool2d(2), nn.ReLU())
    network = assert_same(net, 4, 6, 6)
    kinds = [type(network.nodes[n]) for n in "012"]
    assert kinds == [Conv, Conv, Pool]
