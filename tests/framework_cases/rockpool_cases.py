"""Nets of Rockpool's torch backend: every neuron, leak modes, combinators, its own network classes, random nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rockpool.nn.combinators import Residual, Sequential
from rockpool.nn.modules import (
    ExpSynTorch,
    LIFBitshiftTorch,
    LIFNeuronTorch,
    LIFTorch,
    LinearTorch,
    RateTorch,
    UpDownTorch,
    aLIFTorch,
)
from torch import Tensor, nn

from framework_cases.case import Case, spikes

SIZE = (8, 10, 6)


def dense(neuron: Callable[[int], nn.Module], bias: bool = True, size: float = 3.0) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        net = Sequential(
            LinearTorch((8, 10), has_bias=bias), neuron(10), LinearTorch((10, 6), has_bias=bias), neuron(6)
        )
        return stronger(net, size), spikes(8)

    return make


def stronger(net: nn.Module, size: float) -> nn.Module:
    with torch.no_grad():
        for name, parameter in nn.Module.named_parameters(net):
            if name.endswith("weight"):
                parameter.mul_(size)
    return net


def _residual() -> tuple[nn.Module, Tensor]:
    block = Residual(LinearTorch((8, 8)), LIFTorch(8, tau_mem=0.01, tau_syn=0.005, bias=0.0))
    return stronger(Sequential(block, LinearTorch((8, 4)), ExpSynTorch(4)), 3.0), spikes(8)


class TorchApi(nn.Module):
    """Rockpool's layers in a plain torch module."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 6)
        self.lif = LIFTorch(6, has_rec=True, bias=0.05, max_spikes_per_dt=2).to_torch()

    def forward(self, x: Tensor) -> Tensor:
        return self.lif(self.fc(x) * 5.0)


def _random(seed: int) -> Case:
    rng = np.random.default_rng(4000 + seed)
    kind = [LIFTorch, LIFBitshiftTorch, LIFNeuronTorch][rng.integers(3)]
    recurrent = bool(rng.random() < 0.5) and kind is not LIFNeuronTorch
    mode = str(rng.choice(["taus", "decays", "bitshifts"])) if kind is LIFTorch else "taus"
    dt = float(rng.choice([0.001, 0.01]))
    most = [1, 3, 2**16][rng.integers(3)]

    def neuron(n: int) -> nn.Module:
        options: dict[str, Any] = {
            "threshold": torch.rand(n) + 0.4 if rng.random() < 0.5 else float(rng.uniform(0.4, 1.2)),
            "bias": torch.rand(n) * 0.2 - 0.1,
            "max_spikes_per_dt": most,
            "dt": dt,
        }
        if mode == "decays":
            options |= {"leak_mode": mode, "alpha": torch.rand(n) * 0.9, "beta": torch.rand(n, 1) * 0.9}
        elif mode == "bitshifts":
            options |= {"leak_mode": mode, "dash_mem": torch.rand(n) * 3 + 1, "dash_syn": torch.rand(n, 1) * 3 + 1}
        else:
            options |= {"tau_mem": torch.rand(n) * 20 * dt + 2 * dt}
            options |= {} if kind is LIFNeuronTorch else {"tau_syn": torch.rand(n, 1) * 10 * dt + 2 * dt}
        if recurrent:
            options |= {"has_rec": True, "w_rec": (torch.rand(n, n) - 0.5)}
        return kind(n, **options)

    def make() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(seed)
        return dense(neuron)()

    return Case(kind.__name__, f"random net {seed}", make, "BT")


def _bare(make: Callable[[], nn.Module], *shape: int) -> Any:
    return lambda: (make(), spikes(*shape) * 1.3)


def _syn_net() -> tuple[nn.Module, Tensor]:
    from rockpool.nn.networks import SynNet

    hidden = {"size_hidden_layers": [10, 8], "time_constants_per_layer": [2, 3]}
    return stronger(SynNet(n_channels=8, n_classes=3, dt=0.001, **hidden), 3.0), spikes(8)


def _wave_sense() -> tuple[nn.Module, Tensor]:
    from rockpool.nn.networks import WaveSenseNet

    sizes = {"n_channels_in": 8, "n_channels_res": 6, "n_channels_skip": 6, "n_hidden": 6}
    net = WaveSenseNet(dilations=[1, 2], n_classes=3, kernel_size=2, neuron_model=LIFTorch, **sizes)
    return stronger(net, 6.0), spikes(8)


CASES: list[Case] = [
    *(
        Case(
            "LIFTorch",
            f"max_spikes_per_dt={most}, bias={bias}, recurrent={rec}",
            dense(
                lambda n, most=most, bias=bias, rec=rec: LIFTorch(
                    n, tau_mem=0.01, tau_syn=0.005, bias=bias, threshold=0.5, has_rec=rec, max_spikes_per_dt=most
                )
            ),
            "BT",
        )
        for most in (1, 3, 2**16)
        for bias in (0.0, 0.1)
        for rec in (False, True)
    ),
    Case(
        "LIFTorch",
        "two synapses per neuron, one time constant",
        lambda: (
            stronger(Sequential(LinearTorch((8, 12)), LIFTorch((12, 6), tau_syn=0.01, has_rec=True)), 4.0),
            spikes(8),
        ),
        "BT",
    ),
    Case(
        "LIFTorch",
        "two synapses per neuron, two time constants",
        _bare(lambda: LIFTorch((12, 6), tau_syn=torch.tensor([[0.01, 0.02]]), has_rec=True), 12),
        "BT",
    ),
    Case("LIFTorch", "in a plain torch module", lambda: (TorchApi(), spikes(8)), "BT"),
    Case("LIFTorch", "Residual and ExpSynTorch", _residual, "BT"),
    Case("LIFBitshiftTorch", "two layers", dense(lambda n: LIFBitshiftTorch(n, tau_mem=0.01, tau_syn=0.006)), "BT"),
    Case(
        "LIFNeuronTorch",
        "two layers",
        dense(lambda n: LIFNeuronTorch(n, tau_mem=0.01, bias=0.05, max_spikes_per_dt=1)),
        "BT",
    ),
    Case("ExpSynTorch", "alone", _bare(lambda: ExpSynTorch(6), 6), "BT"),
    Case("aLIFTorch", "alone", _bare(lambda: aLIFTorch(6), 6), "BT", "after-hyperpolarisation"),
    Case("RateTorch", "alone", _bare(lambda: RateTorch(6), 6), "BT", "rate neuron"),
    Case("UpDownTorch", "alone", _bare(lambda: UpDownTorch((6,)), 6), "BT", "encoder"),
    Case("SynNet", "Rockpool's own net", _syn_net, "BT"),
    Case("WaveSenseNet", "Rockpool's own net, two dilations", _wave_sense, "BT"),
    *(_random(seed) for seed in range(30)),
]
