"""Nets of Norse: cells, sequence layers, recurrent layers, containers, random parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import norse.torch as norse
import numpy as np
import torch
from norse.torch.functional.iaf import IAFParameters
from norse.torch.functional.leaky_integrator import LIParameters
from norse.torch.functional.lif import LIFParameters
from norse.torch.functional.lif_box import LIFBoxParameters
from norse.torch.functional.reset import reset_subtract, reset_value
from norse.torch.module import coba_lif, conv, exp_filter, leaky_integrator, leaky_integrator_box, lif_adex, lsnn
from norse.torch.module.iaf import IAF, IAFCell
from norse.torch.module.lif_box import LIFBoxCell
from norse.torch.module.lif_refrac import LIFRefracCell
from norse.torch.module.sequential import RecurrentSequential
from torch import Tensor, nn

from framework_cases.case import Case, spikes, strengthened


def lif_parameters(**more: Any) -> LIFParameters:
    values = {"tau_syn_inv": 300.0, "tau_mem_inv": 150.0, "v_th": 0.4} | more
    return LIFParameters(**{k: v if k in ("method",) else torch.as_tensor(v) for k, v in values.items()})


def _pair(neuron: Callable[[], nn.Module], size: float = 3.0, width: int = 8) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        net = norse.SequentialState(nn.Linear(8, width), neuron(), nn.Linear(width, 6), neuron())
        return strengthened(net, size), spikes(8)

    return make


class Loop(nn.Module):
    """Cells in a loop with their states, (T, B, 8); a residual connection."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.one = nn.Linear(8, 8), norse.LIFRecurrentCell(8, 8, lif_parameters())
        self.fc2, self.two = nn.Linear(8, 5), norse.LIFCell(lif_parameters(v_leak=0.1, v_reset=-0.2), dt=0.002)
        self.out = leaky_integrator.LICell(LIParameters(tau_mem_inv=torch.as_tensor(200.0)), dt=0.002)

    def forward(self, x: Tensor) -> Tensor:
        one = two = three = None
        given = []
        for t in range(x.shape[0]):
            z, one = self.one(self.fc1(x[t]), one)
            z, two = self.two(self.fc2(z + x[t]), two)
            v, three = self.out(z, three)
            given.append(v)
        return torch.stack(given)


def _loop() -> tuple[nn.Module, Tensor]:
    net = strengthened(Loop(), 3.0)
    net.one.dt = 0.002
    return net, spikes(8)


def _conv() -> tuple[nn.Module, Tensor]:
    net = norse.SequentialState(
        norse.Lift(nn.Conv2d(2, 4, 3, padding=1)),
        norse.LIF(lif_parameters()),
        norse.Lift(nn.AvgPool2d(2)),
        nn.Flatten(2),
        nn.Linear(64, 5),
        norse.LIF(lif_parameters(v_th=0.3)),
    )
    return strengthened(net, 4.0), spikes(2, 8, 8)


def _random(seed: int) -> Case:
    rng = np.random.default_rng(1000 + seed)
    kind = rng.choice(["LIFCell", "LIF", "LIFRecurrentCell", "LIFRecurrent", "LIFBoxCell", "IAFCell", "LICell"])
    p = {
        "tau_syn_inv": float(rng.uniform(100, 700)),
        "tau_mem_inv": float(rng.uniform(50, 400)),
        "v_th": float(rng.uniform(0.2, 0.8)),
        "v_leak": float(rng.uniform(-0.1, 0.1)),
        "v_reset": float(rng.uniform(-0.2, 0.1)),
        "method": str(rng.choice(["super", "heaviside", "tanh", "triangle", "circ", "heavi_erfc"])),
    }
    dt = float(rng.choice([0.0005, 0.001]))

    def neuron() -> nn.Module:
        if kind == "LIFBoxCell":
            given = {k: torch.as_tensor(v) for k, v in p.items() if k not in ("tau_syn_inv", "method")}
            reset = reset_subtract if rng.random() < 0.5 else reset_value
            return LIFBoxCell(LIFBoxParameters(**given, method=p["method"], reset_method=reset), dt=dt)
        if kind == "IAFCell":
            return IAFCell(IAFParameters(torch.as_tensor(p["v_th"]), torch.as_tensor(p["v_reset"])), dt=dt)
        if kind == "LICell":
            return norse.LICell(
                LIParameters(*(torch.as_tensor(p[k]) for k in ("tau_syn_inv", "tau_mem_inv", "v_leak"))), dt=dt
            )
        if "Recurrent" in kind:
            return getattr(norse, kind)(6, 6, lif_parameters(**p), dt=dt, autapses=bool(rng.random() < 0.5))
        return getattr(norse, kind)(lif_parameters(**p), dt=dt)

    def make() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(seed)
        net = norse.SequentialState(nn.Linear(8, 6), neuron(), nn.Linear(6, 6), neuron())
        return strengthened(net, 3.0), spikes(8, rate=0.5)

    step = kind.endswith("Cell")
    return Case(kind, f"random net {seed}", make, "step" if step else "TB", state=step)


def _bare(module: nn.Module, *shape: int) -> Any:
    return lambda: (module, spikes(*shape))


CASES: list[Case] = [
    Case("LIFCell", "SequentialState", _pair(lambda: norse.LIFCell(lif_parameters())), "step", state=True),
    Case(
        "LIFCell",
        "v_leak and v_reset",
        _pair(lambda: norse.LIFCell(lif_parameters(v_leak=0.2, v_reset=-0.3))),
        "step",
        state=True,
    ),
    Case(
        "LIFCell",
        "in Lift",
        lambda: (
            strengthened(norse.SequentialState(nn.Linear(8, 6), norse.Lift(norse.LIFCell(lif_parameters()))), 3.0),
            spikes(8),
        ),
    ),
    Case("LIF", "convolutions in Lift", _conv),
    Case("LIFRecurrentCell", "loop with a residual connection and a membrane readout", _loop),
    Case(
        "LIFRecurrent",
        "two layers",
        lambda: (
            norse.SequentialState(
                norse.LIFRecurrent(8, 10, lif_parameters()), norse.LIFRecurrent(10, 6, lif_parameters())
            ),
            spikes(8),
        ),
    ),
    Case(
        "LIFBoxCell",
        "reset to a value",
        _pair(lambda: LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(0.2)))),
        "step",
        state=True,
    ),
    Case(
        "LIFBoxCell",
        "reset by subtraction",
        _pair(lambda: LIFBoxCell(LIFBoxParameters(v_th=torch.tensor(0.1), reset_method=reset_subtract)), 6.0),
        "step",
        state=True,
    ),
    Case("IAFCell", "v_reset", _pair(lambda: IAFCell(IAFParameters(v_reset=torch.tensor(-0.3)))), "step", state=True),
    Case("IAF", "sequence", _pair(lambda: IAF())),
    Case(
        "LICell",
        "after spikes",
        lambda: (
            strengthened(
                norse.SequentialState(
                    nn.Linear(8, 6), norse.LIFCell(lif_parameters()), nn.Linear(6, 4), norse.LICell()
                ),
                3.0,
            ),
            spikes(8),
        ),
        "step",
        state=True,
    ),
    Case(
        "LI",
        "after spikes",
        lambda: (
            strengthened(
                norse.SequentialState(nn.Linear(8, 6), norse.LIF(lif_parameters()), nn.Linear(6, 4), norse.LI()), 3.0
            ),
            spikes(8),
        ),
    ),
    Case("LILinearCell", "alone", _bare(leaky_integrator.LILinearCell(8, 4), 8), "step", state=True),
    Case("LIBoxCell", "alone", _bare(leaky_integrator_box.LIBoxCell(), 8), "step", state=True),
    Case("ExpFilter", "alone", _bare(exp_filter.ExpFilter(8, 4, tau_filter_inv=223.0), 8)),
    Case(
        "RecurrentSequential",
        "feedback from the second step on",
        lambda: (strengthened(RecurrentSequential(nn.Linear(8, 8), norse.LIFCell(lif_parameters())), 3.0), spikes(8)),
        "step",
        state=True,
    ),
    Case(
        "LConv2d",
        "convolution of every step",
        lambda: (
            norse.SequentialState(conv.LConv2d(2, 3, 3, padding=1), norse.LIF(lif_parameters(v_th=0.1))),
            spikes(2, 6, 6),
        ),
    ),
    Case("LIFRefracCell", "alone", _bare(LIFRefracCell(), 8), "step", "refractory", state=True),
    Case("LIFAdExCell", "alone", _bare(lif_adex.LIFAdExCell(), 8), "step", "not linear", state=True),
    Case("LSNNCell", "alone", _bare(lsnn.LSNNCell(), 8), "step", "adaptation", state=True),
    Case("CobaLIFCell", "alone", _bare(coba_lif.CobaLIFCell(8, 4), 8), "step", "conductances", state=True),
    Case("PoissonEncoder", "alone", _bare(norse.PoissonEncoder(5), 8), "step", "encoder"),
    *(_random(seed) for seed in range(24)),
]
