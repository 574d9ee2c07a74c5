"""Nets of SpikingJelly: every neuron, both resets, both step modes, containers, its model zoo, random nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from spikingjelly.activation_based import functional, layer, neuron, rnn, surrogate
from spikingjelly.activation_based.model import sew_resnet, spiking_vgg
from torch import Tensor, nn

from framework_cases.case import Case, spikes, strengthened

NODES: dict[str, Callable[..., nn.Module]] = {
    "IFNode": lambda **o: neuron.IFNode(**o),
    "LIFNode": lambda **o: neuron.LIFNode(tau=3.0, **o),
    "ParametricLIFNode": lambda **o: neuron.ParametricLIFNode(init_tau=1.7, **o),
    "HalfThresholdIFNode": lambda **o: neuron.HalfThresholdIFNode(**_without_reset(o)),
    "SimpleIFNode": lambda **o: neuron.SimpleIFNode(**o),
    "SimpleLIFNode": lambda **o: neuron.SimpleLIFNode(tau=2.5, decay_input=True, **o),
}


def _without_reset(options: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in options.items() if k != "v_reset"}


def dense(node: Callable[[], nn.Module], mode: str, size: float = 2.0) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        net = nn.Sequential(layer.Linear(8, 10), node(), layer.Linear(10, 6), node())
        functional.set_step_mode(net, mode)
        return strengthened(net, size), spikes(8)

    return make


def _cuba(mode: str, v_reset: float | None) -> Any:
    return dense(lambda: neuron.CUBALIFNode(0.4, 0.7, v_reset=v_reset), mode, 1.5)


def conv_net(mode: str, **options: Any) -> tuple[nn.Module, Tensor]:
    node = lambda: neuron.LIFNode(v_threshold=0.5, **options)  # noqa: E731
    net = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        node(),
        layer.MaxPool2d(2),
        layer.Conv2d(4, 4, 3, padding="same"),
        node(),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Dropout(0.5),
        layer.Linear(16, 20),
        node(),
        layer.VotingLayer(4),
    )
    functional.set_step_mode(net, mode)
    net[1].running_var.uniform_(0.2, 1.0)
    return strengthened(net, 3.0), spikes(2, 8, 8)


class Repeated(nn.Module):
    """A static image, repeated by the net itself, as SpikingJelly's examples do; mean over time."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.conv = nn.Sequential(
            layer.Conv2d(1, 4, 3),
            neuron.IFNode(v_threshold=0.3),
            layer.MaxPool2d(2),
            layer.Flatten(),
            layer.Linear(36, 5),
            neuron.IFNode(),
        )
        functional.set_step_mode(self, "m")

    def forward(self, x: Tensor) -> Tensor:
        x_seq = x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1)
        return self.conv(x_seq).mean(0)


class StaticFirst(nn.Module):
    """The first layers see the static image once; a loop over time adds up the outputs."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.static = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
        self.net = nn.Sequential(
            neuron.IFNode(v_threshold=0.5), layer.AvgPool2d(2), layer.Flatten(), layer.Linear(36, 5), neuron.LIFNode()
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.static(x)
        out = self.net(x)
        for _ in range(1, self.steps):
            out += self.net(x)
        return out / self.steps


def _recurrent(mode: str) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        net = nn.Sequential(
            layer.Linear(8, 10),
            layer.LinearRecurrentContainer(neuron.LIFNode(v_reset=None), 10, 10, bias=True, step_mode=mode),
            layer.Linear(10, 6),
            layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda a, b: a + b, step_mode=mode),
        )
        for part in (net[0], net[2]):
            part.step_mode = mode
        return strengthened(net, 2.5), spikes(8)

    return make


def _sew(mode: str) -> tuple[nn.Module, Tensor]:
    net = sew_resnet.sew_resnet18(
        num_classes=4, cnf="ADD", spiking_neuron=neuron.IFNode, surrogate_function=surrogate.ATan()
    )
    functional.set_step_mode(net, mode)
    return strengthened(net, 3.0), spikes(3, 32, 32)[:1, :4]


def _vgg(mode: str) -> tuple[nn.Module, Tensor]:
    net = spiking_vgg.spiking_vgg11_bn(num_classes=4, spiking_neuron=neuron.LIFNode)
    functional.set_step_mode(net, mode)
    return strengthened(net, 3.0), spikes(3, 32, 32)[:1, :4]


def _random(seed: int) -> Case:
    rng = np.random.default_rng(2000 + seed)
    kind = str(rng.choice(["IFNode", "LIFNode", "ParametricLIFNode", "CUBALIFNode"]))
    mode = str(rng.choice(["s", "m"]))
    options: dict[str, Any] = {
        "v_threshold": float(rng.uniform(0.4, 1.2)),
        "v_reset": None if rng.random() < 0.5 else float(rng.uniform(-0.3, 0.2)),
    }
    decays = bool(rng.random() < 0.5)

    def node() -> nn.Module:
        if kind == "LIFNode":
            return neuron.LIFNode(tau=float(rng.uniform(1.1, 5.0)), decay_input=decays, **options)
        if kind == "ParametricLIFNode":
            return neuron.ParametricLIFNode(init_tau=float(rng.uniform(1.1, 5.0)), decay_input=decays, **options)
        if kind == "CUBALIFNode":
            return neuron.CUBALIFNode(float(rng.uniform(0, 0.9)), float(rng.uniform(0, 0.9)), **options)
        return neuron.IFNode(**options)

    return Case(kind, f"random net {seed}", dense(node, mode, 2.5), "step" if mode == "s" else "TB")


def _bare(module: nn.Module, *shape: int) -> Any:
    return lambda: (module, spikes(*shape) * 1.3)


CASES: list[Case] = [
    *(
        Case(
            name,
            f"{'soft reset' if reset is None else f'reset to {reset}'}, {'single' if mode == 's' else 'multi'} step",
            dense(lambda make=make, reset=reset: make(v_threshold=0.7, v_reset=reset), mode),
            "step" if mode == "s" else "TB",
        )
        for name, make in NODES.items()
        for reset in ((0.0,) if name == "SimpleLIFNode" else (None, 0.0, -0.2))
        for mode in ("s", "m")
    ),
    Case("LIFNode", "without decay_input", dense(lambda: neuron.LIFNode(tau=2.5, decay_input=False, v_reset=0.1), "m")),
    *(
        Case("CUBALIFNode", f"v_reset={r}, mode {m}", _cuba(m, r), "step" if m == "s" else "TB")
        for r in (None, 0.0)
        for m in ("s", "m")
    ),
    Case(
        "ActivationAwareIFNode",
        "threshold per channel",
        lambda: (
            nn.Sequential(
                layer.Conv2d(2, 3, 3), neuron.ActivationAwareIFNode(torch.tensor([0.2, 0.4, 0.6]), channel_dim=1)
            ),
            spikes(2, 6, 6),
        ),
        "step",
    ),
    Case("ActivationAwareIFNode", "v_offset", _bare(neuron.ActivationAwareIFNode(1.0, 0.3), 6), "step", "v_offset"),
    Case("NonSpikingIFNode", "all membranes", _bare(neuron.NonSpikingIFNode(), 6)),
    Case("NonSpikingLIFNode", "all membranes", _bare(neuron.NonSpikingLIFNode(), 6)),
    Case("LIFNode", "conv net, multi step", lambda: conv_net("m")),
    Case("LIFNode", "conv net, single step, soft reset", lambda: conv_net("s", v_reset=None), "step"),
    Case("LIFNode", "stores its membranes", dense(lambda: neuron.LIFNode(store_v_seq=True), "m", 4.0)),
    Case(
        "IFNode",
        "static image repeated by the net, mean over time",
        lambda: (strengthened(Repeated(12), 2.0), spikes(1, 8, 8, rate=0.5)),
        "static",
    ),
    Case(
        "IFNode",
        "static layers first, outputs added up in a loop",
        lambda: (strengthened(StaticFirst(12), 3.0), spikes(1, 8, 8, rate=0.5)),
        "static",
    ),
    Case("LinearRecurrentContainer", "and ElementWiseRecurrentContainer, multi step", _recurrent("m")),
    Case("LinearRecurrentContainer", "and ElementWiseRecurrentContainer, single step", _recurrent("s"), "step"),
    Case(
        "Delay",
        "between layers",
        lambda: (
            strengthened(
                nn.Sequential(
                    layer.Linear(8, 6, step_mode="m"),
                    neuron.IFNode(step_mode="m"),
                    layer.Delay(2, step_mode="m"),
                    layer.Linear(6, 4, step_mode="m"),
                    neuron.IFNode(step_mode="m"),
                ),
                3.0,
            ),
            spikes(8),
        ),
    ),
    Case(
        "MultiStepContainer",
        "and SeqToANNContainer",
        lambda: (
            strengthened(
                nn.Sequential(
                    layer.SeqToANNContainer(nn.Conv2d(2, 3, 3), nn.ReLU()),
                    layer.MultiStepContainer(neuron.LIFNode(), nn.Flatten(), nn.Linear(108, 4), neuron.IFNode()),
                ),
                3.0,
            ),
            spikes(2, 8, 8),
        ),
    ),
    Case("sew_resnet18", "ADD", lambda: _sew("m")),
    Case("spiking_vgg11_bn", "multi step", lambda: _vgg("m"), refused="windows differ in size"),
    Case("SynapseFilter", "alone", _bare(layer.SynapseFilter(5.0, step_mode="m"), 6), "TB", "multiplies its state"),
    Case("QIFNode", "alone", _bare(neuron.QIFNode(step_mode="m"), 6), "TB", "not linear"),
    Case("EIFNode", "alone", _bare(neuron.EIFNode(step_mode="m"), 6), "TB", "not linear"),
    Case("IzhikevichNode", "alone", _bare(neuron.IzhikevichNode(step_mode="m"), 6), "TB", "not linear"),
    Case("KLIFNode", "alone", _bare(neuron.KLIFNode(step_mode="m"), 6), "TB", "rectifies"),
    Case("PSN", "alone", _bare(neuron.PSN(12), 6), "TB", "all time steps at once"),
    Case("GatedLIFNode", "alone", _bare(neuron.GatedLIFNode(12, step_mode="m"), 6), "TB", "gates"),
    Case(
        "LIFNode",
        "surrogate that does not spike",
        _bare(neuron.LIFNode(surrogate_function=surrogate.ATan(spiking=False), step_mode="m"), 6),
        "TB",
        "counts no thresholds",
    ),
    Case("SpikingLSTM", "alone", _bare(rnn.SpikingLSTM(6, 6, 1), 6), "TB", "nothing a Network can say"),
    *(_random(seed) for seed in range(24)),
]
