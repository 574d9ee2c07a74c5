"""Nets of snnTorch: every neuron under every reset, the ways in which people write their loops, random nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import snntorch as snn
import torch
from snntorch import surrogate, utils
from torch import Tensor, nn
from torch.nn import functional

from framework_cases.case import BATCH, Case, spikes, strengthened

RESETS = [(r, d) for r in ("subtract", "zero", "none") for d in (True, False)]


class Loop(nn.Module):
    """Two layers, (T, B, 8); states are passed explicitly, as the tutorials do."""

    def __init__(self, neuron: Callable[[int], nn.Module], start: Callable[[nn.Module], Any]) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(8, 10), neuron(10)
        self.fc2, self.lif2 = nn.Linear(10, 6), neuron(6)
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.start(self.lif1), self.start(self.lif2)
        out = []
        for step in range(x.shape[0]):
            spk, *one = self.lif1(self.fc1(x[step]), *one)
            spk, *two = self.lif2(self.fc2(spk), *two)
            out.append(spk)
        return torch.stack(out)


def _start(neuron: nn.Module) -> Any:
    """RLeaky and RSynaptic begin their states with their spikes, which they also return."""
    states = neuron.reset_mem()
    if isinstance(neuron, snn.RSynaptic):
        # With reset_delay=False, 1.0.0 takes no empty ones.
        size = neuron.V.numel() if hasattr(neuron, "V") else neuron.linear_features
        return [torch.zeros(BATCH, size)] * 3
    return list(states) if isinstance(states, tuple) else [states]


class RecurrentLoop(Loop):
    def forward(self, x: Tensor) -> Tensor:
        one, two = self.start(self.lif1), self.start(self.lif2)
        out = []
        for step in range(x.shape[0]):
            one = self.lif1(self.fc1(x[step]), *one)
            two = self.lif2(self.fc2(one[0]), *two)
            out.append(two[0])
        return torch.stack(out)


class Hidden(nn.Module):
    """One step per call; states are kept in the neurons."""

    def __init__(self, beta: float = 0.8) -> None:
        super().__init__()
        grad = surrogate.fast_sigmoid()
        self.net = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.AvgPool2d(2),
            snn.Leaky(beta, spike_grad=grad, init_hidden=True),
            nn.Flatten(),
            nn.Linear(64, 5),
            snn.Leaky(beta, init_hidden=True, output=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        spk, mem = self.net(x)
        return spk, mem


class Static(nn.Module):
    """The same image at every step; returns spikes and membranes."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.conv1, self.lif1 = nn.Conv2d(1, 4, 3), snn.Leaky(0.9, threshold=0.5)
        self.fc2, self.lif2 = nn.Linear(36, 5), snn.Leaky(0.7)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk_rec, mem_rec = [], []
        for _ in range(self.steps):
            cur1 = functional.max_pool2d(self.conv1(x), 2)
            spk1, mem1 = self.lif1(cur1, mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1.view(x.size(0), -1)), mem2)
            spk_rec.append(spk2)
            mem_rec.append(mem2)
        return torch.stack(spk_rec, dim=0), torch.stack(mem_rec, dim=0)


class Branches(nn.Module):
    """A residual addition, a concatenation, a hand-made recurrence with a delay, batch norm; (B, T, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(16, 8)
        self.norm = nn.BatchNorm1d(8)
        self.norm.running_mean.uniform_(-0.2, 0.2)
        self.norm.running_var.uniform_(0.5, 2.0)
        self.rec = nn.Linear(8, 8)
        self.lifs = nn.ModuleList(snn.Leaky(b, init_hidden=True) for b in (0.5, 0.9, 0.7))

    def forward(self, x: Tensor) -> Tensor:
        utils.reset(self)
        for lif in self.lifs:
            lif.reset_mem()
        last = torch.zeros(x.shape[0], 8)
        out = torch.zeros(x.shape[0], x.shape[1], 8)
        for t in range(x.size(1)):
            one = self.lifs[0](self.norm(self.a(x[:, t])))
            two = self.lifs[1](self.b(one) + x[:, t] * 0.5 + self.rec(last))
            last = self.lifs[2](self.c(torch.cat([one, two], dim=1)) + one)
            out[:, t] = last
        return out


class OptionalFeedback(nn.Module):
    """Feedback that does not exist at the first step; the output is summed in the loop and divided."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.rec = nn.Linear(8, 8), nn.Linear(8, 8)
        self.lif = snn.Leaky(0.8)

    def forward(self, x: Tensor) -> Tensor:
        mem, spk, total = self.lif.init_leaky(), None, 0
        for x_t in x:
            cur = self.fc(x_t)
            if spk is not None:
                cur = cur + self.rec(spk)
            spk, mem = self.lif(cur, mem)
            total = total + spk
        return total / x.shape[0]


def _loop(neuron: Callable[[int], nn.Module], size: float = 2.0, kind: type[Loop] = Loop) -> Any:
    return lambda: (strengthened(kind(neuron, _start), size), spikes(8))


def _option_name(reset: str, late: bool) -> str:
    return f"{reset}, {'delayed' if late else 'at once'}"


def _resets(layer: str, neuron: Callable[..., nn.Module], size: float = 2.0, kind: type[Loop] = Loop) -> list[Case]:
    return [Case(layer, _option_name(r, d), _loop(lambda n, r=r, d=d: neuron(n, r, d), size, kind)) for r, d in RESETS]


def _vector(n: int) -> Tensor:
    return torch.linspace(0.2, 0.95, n)


def _random(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    kind = rng.choice(["Leaky", "Synaptic", "RLeaky", "RSynaptic", "Lapicque"])
    reset, late = RESETS[rng.integers(6)]
    recurrent = kind.startswith("R")

    def neuron(n: int) -> nn.Module:
        options: dict[str, Any] = {"reset_mechanism": reset, "threshold": float(rng.uniform(0.3, 1.5))}
        if rng.random() < 0.5:
            options["threshold"] = torch.rand(n) + 0.5
        if kind == "Lapicque":
            return snn.Lapicque(R=float(rng.uniform(0.5, 2)), C=float(rng.uniform(2, 6)), time_step=1, **options)
        options |= {"beta": _vector(n) if rng.random() < 0.5 else float(rng.uniform(0, 1.1)), "reset_delay": late}
        if "Synaptic" in kind:
            options["alpha"] = float(rng.uniform(0, 0.9))
        if recurrent:
            options |= {"linear_features": n} if rng.random() < 0.5 else {"all_to_all": False, "V": torch.rand(n) - 0.5}
        return getattr(snn, kind)(**options)

    def make() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(seed)
        return strengthened((RecurrentLoop if recurrent else Loop)(neuron, _start), 3.0), spikes(8, rate=0.5)

    return Case(kind, f"random net {seed}", make)


def _bare(neuron: nn.Module, *shape: int) -> Any:
    return lambda: (neuron, spikes(*shape) * 1.5)


CASES: list[Case] = [
    *_resets("Leaky", lambda n, r, d: snn.Leaky(_vector(n), threshold=0.7, reset_mechanism=r, reset_delay=d)),
    *_resets("Synaptic", lambda n, r, d: snn.Synaptic(0.6, 0.8, reset_mechanism=r, reset_delay=d)),
    *_resets(
        "RLeaky",
        lambda n, r, d: snn.RLeaky(0.8, linear_features=n, reset_mechanism=r, reset_delay=d),
        3.0,
        RecurrentLoop,
    ),
    *_resets(
        "RSynaptic",
        lambda n, r, d: snn.RSynaptic(0.5, 0.8, linear_features=n, reset_mechanism=r, reset_delay=d),
        2.0,
        RecurrentLoop,
    ),
    *(
        Case("Lapicque", f"reset {r}", _loop(lambda n, r=r: snn.Lapicque(R=1.5, C=3.0, reset_mechanism=r), 6.0))
        for r in ("subtract", "zero", "none")
    ),
    Case(
        "RLeaky",
        "one-to-one recurrence",
        _loop(lambda n: snn.RLeaky(0.8, all_to_all=False, V=torch.linspace(-1, 1, n)), 3.0, RecurrentLoop),
    ),
    Case(
        "RLeaky",
        "convolutional recurrence",
        lambda: (snn.RLeaky(0.8, conv2d_channels=2, kernel_size=3, init_hidden=True), spikes(2, 5, 5)),
        "step",
    ),
    Case("Leaky", "graded spikes", _loop(lambda n: snn.Leaky(0.8, graded_spikes_factor=0.5, reset_delay=False), 3.0)),
    Case(
        "Leaky",
        "states in the neurons, one step per call",
        lambda: (strengthened(Hidden(), 4.0), spikes(2, 8, 8)),
        "step",
    ),
    Case(
        "Leaky",
        "static image, returns membranes too",
        lambda: (strengthened(Static(12), 2.0), spikes(1, 8, 8, rate=0.5)),
        "static",
    ),
    Case(
        "Leaky",
        "residual, concatenation, feedback, batch norm, filled tensor",
        lambda: (strengthened(Branches(), 2.0), spikes(8)),
        "BT",
    ),
    Case(
        "Leaky",
        "feedback from the second step on, mean of outputs",
        lambda: (strengthened(OptionalFeedback(), 3.0), spikes(8)),
    ),
    Case("Leaky", "alone", _bare(snn.Leaky(0.7, init_hidden=True), 6), "step"),
    Case("StateLeaky", "alone", _bare(snn.StateLeaky(0.7, channels=6), 6), rounding=0.01),
    Case("LinearLeaky", "alone", _bare(strengthened(snn.LinearLeaky(0.7, 6, 5), 4.0), 6), rounding=0.01),
    Case("LeakyParallel", "alone", _bare(snn.LeakyParallel(6, 5, beta=0.6, threshold=0.3), 6)),
    Case("Alpha", "alone", _bare(snn.Alpha(0.9, 0.8, init_hidden=True), 6), "step", "difference of two currents"),
    Case("DeltaLeaky", "alone", _bare(snn.DeltaLeaky(0.5, 0.8, init_hidden=True), 6), "step", "fires on changes"),
    Case("AssociativeLeaky", "alone", _bare(snn.AssociativeLeaky(6, 2, 2, 4), 6), "TB", "matrix"),
    Case("SLSTM", "alone", _bare(snn.SLSTM(6, 6, init_hidden=True), 6), "step", "LSTM"),
    Case("SConv2dLSTM", "alone", _bare(snn.SConv2dLSTM(1, 1, 3, init_hidden=True), 1, 5, 5), "step", "LSTM"),
    *(_random(seed) for seed in range(24)),
]
