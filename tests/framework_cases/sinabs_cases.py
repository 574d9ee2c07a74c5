"""Nets of Sinabs: every layer, spike function, reset and layout; recurrent layers; converted nets; random nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import sinabs.layers as sl
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, MultiSpike, SingleSpike
from sinabs.from_torch import from_model
from torch import Tensor, nn

from framework_cases.case import BATCH, STEPS, Case, spikes, strengthened


def dense(neuron: Callable[[], nn.Module], size: float = 3.0) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        return strengthened(nn.Sequential(nn.Linear(8, 10), neuron(), nn.Linear(10, 6), neuron()), size), spikes(8)

    return make


def _squeezed(neuron: Callable[..., nn.Module], **layout: int) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            neuron(**layout),
            sl.SumPool2d(2),
            nn.Conv2d(4, 4, 3),
            neuron(**layout),
            nn.Flatten(),
            nn.Linear(16, 5),
            neuron(**layout),
        )
        return strengthened(net, 2.0), spikes(2, 8, 8)

    return make


def _converted() -> tuple[nn.Module, Tensor]:
    ann = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 5), nn.ReLU())
    return strengthened(from_model(ann, batch_size=BATCH), 2.0), spikes(1, 8, 8)


def _recurrent(kind: type[nn.Module], **options: Any) -> Any:
    def make() -> tuple[nn.Module, Tensor]:
        rec = nn.Sequential(nn.Flatten(), nn.Linear(10, 10))
        given = {"tau_mem": 8.0} if kind is sl.LIFRecurrent else {}
        net = nn.Sequential(nn.Linear(8, 10), kind(rec_connect=rec, **given, **options), nn.Linear(10, 4), sl.IAF())
        return strengthened(net, 2.0), spikes(8)

    return make


class Merged(nn.Module):
    """Two branches of which one is smaller, added by Merge; Repeat lets an image layer see every step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = sl.Repeat(nn.Conv2d(2, 3, 3, padding=1))
        self.side = sl.Repeat(nn.Conv2d(2, 3, 3))
        self.merge, self.iaf = sl.Merge(), sl.IAF(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.iaf(self.merge(self.conv(x), self.side(x)))


def _random(seed: int) -> Case:
    rng = np.random.default_rng(3000 + seed)
    kind = str(rng.choice(["LIF", "IAF", "LIFRecurrent", "IAFRecurrent", "LIFSqueeze", "IAFSqueeze"]))
    width = 10
    options: dict[str, Any] = {
        "spike_threshold": torch.tensor(float(rng.uniform(0.3, 1.2))),
        "spike_fn": [MultiSpike, SingleSpike, MaxSpike(2)][rng.integers(3)],
        "reset_fn": [MembraneSubtract(), MembraneReset(), MembraneReset(0.1)][rng.integers(3)],
        "min_v_mem": None if rng.random() < 0.5 else float(rng.uniform(-1.5, -0.2)),
        "tau_syn": None if rng.random() < 0.5 else float(rng.uniform(1.5, 6.0)),
    }
    if kind.startswith("LIF"):
        options |= {
            "tau_mem": torch.rand(width) * 10 + 2 if rng.random() < 0.5 else float(rng.uniform(2, 20)),
            "norm_input": bool(rng.random() < 0.5),
            "train_alphas": bool(rng.random() < 0.3),
        }
    if kind.endswith("Squeeze"):
        options |= {"batch_size": BATCH} if rng.random() < 0.5 else {"num_timesteps": STEPS}

    def neuron() -> nn.Module:
        more = {"rec_connect": nn.Linear(width, width)} if kind.endswith("Recurrent") else {}
        if more:
            # Multi-spike neurons that excite each other leave the range in which floats are exact.
            nn.init.uniform_(more["rec_connect"].weight, -0.05, 0.03)
        return getattr(sl, kind)(**options, **more)

    def make() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(8, width), neuron(), nn.Linear(width, width), neuron())
        return strengthened(net, 4.0), spikes(8, rate=0.5)

    return Case(kind, f"random net {seed}", make, "merged" if kind.endswith("Squeeze") else "BT")


def _bare(module: nn.Module, *shape: int) -> Any:
    return lambda: (module, spikes(*shape) * 1.3)


CASES: list[Case] = [
    *(
        Case(
            "LIF",
            f"{spike.__name__ if isinstance(spike, type) else 'MaxSpike'}, {type(reset).__name__}, "
            f"norm_input={norm}, tau_syn={syn}",
            dense(
                lambda spike=spike, reset=reset, norm=norm, syn=syn: sl.LIF(
                    6.0, tau_syn=syn, spike_fn=spike, reset_fn=reset, norm_input=norm, spike_threshold=torch.tensor(0.4)
                )
            ),
            "BT",
        )
        for spike in (MultiSpike, SingleSpike, MaxSpike(3))
        for reset in (MembraneSubtract(), MembraneReset())
        for norm, syn in ((True, None), (False, None), (True, 3.0), (False, 3.0))
    ),
    Case(
        "LIF",
        "min_v_mem, trained alphas",
        dense(lambda: sl.LIF(6.0, tau_syn=2.0, train_alphas=True, min_v_mem=-0.3, norm_input=False)),
        "BT",
    ),
    Case(
        "LIF",
        "MembraneReset to a value",
        dense(lambda: sl.LIF(6.0, reset_fn=MembraneReset(0.2), norm_input=False)),
        "BT",
    ),
    Case("LIF", "subtracts something else", _bare(sl.LIF(6.0, reset_fn=MembraneSubtract(0.5)), 6), "BT", "neither"),
    Case(
        "LIFSqueeze",
        "conv net, batch_size",
        _squeezed(lambda **o: sl.LIFSqueeze(tau_mem=10.0, norm_input=False, **o), batch_size=BATCH),
        "merged",
    ),
    Case("IAF", "lower bound", dense(lambda: sl.IAF(spike_threshold=torch.tensor(0.7), min_v_mem=-0.7)), "BT"),
    Case(
        "IAFSqueeze",
        "conv net, num_timesteps",
        _squeezed(lambda **o: sl.IAFSqueeze(min_v_mem=-1.0, **o), num_timesteps=STEPS),
        "merged",
    ),
    Case("IAFSqueeze", "from_model", _converted, "merged"),
    Case("LIFRecurrent", "rec_connect with a bias", _recurrent(sl.LIFRecurrent, norm_input=False), "BT"),
    Case(
        "LIFRecurrent", "single spikes, tau_syn", _recurrent(sl.LIFRecurrent, tau_syn=3.0, spike_fn=SingleSpike), "BT"
    ),
    Case("IAFRecurrent", "rec_connect with a bias", _recurrent(sl.IAFRecurrent), "BT"),
    Case(
        "ExpLeak",
        "after spikes",
        lambda: (nn.Sequential(nn.Linear(8, 6), sl.IAF(), nn.Linear(6, 4), sl.ExpLeak(5.0)), spikes(8)),
        "BT",
    ),
    Case(
        "ExpLeakSqueeze",
        "after spikes",
        lambda: (
            nn.Sequential(
                nn.Linear(8, 6),
                sl.IAFSqueeze(batch_size=BATCH),
                nn.Linear(6, 4),
                sl.ExpLeakSqueeze(tau_mem=5.0, batch_size=BATCH, norm_input=True),
            ),
            spikes(8),
        ),
        "merged",
    ),
    Case(
        "Merge",
        "of branches of different size, with Repeat",
        lambda: (strengthened(Merged(), 2.0), spikes(2, 6, 6)),
        "BT",
    ),
    Case(
        "ChannelShift",
        "zeros in front",
        lambda: (
            nn.Sequential(sl.ChannelShift(1), nn.Conv2d(3, 2, 3), sl.IAFSqueeze(batch_size=BATCH)),
            spikes(2, 6, 6),
        ),
        "merged",
    ),
    Case("ExpLeak", "min_v_mem", _bare(sl.ExpLeak(5.0, min_v_mem=-0.1), 6), "BT", "ignores min_v_mem"),
    Case("ALIF", "alone", _bare(sl.ALIF(5.0, 10.0), 6), "BT", "adapts"),
    Case("ALIFRecurrent", "alone", _bare(sl.ALIFRecurrent(5.0, 10.0, nn.Linear(6, 6)), 6), "BT", "adapts"),
    Case("SpikingMaxPooling2dLayer", "alone", _bare(sl.SpikingMaxPooling2dLayer(2), 2, 4, 4), "merged", "so far"),
    Case("NeuromorphicReLU", "alone", _bare(sl.NeuromorphicReLU(), 6), "merged", "rounds"),
    Case("Cropping2dLayer", "alone", _bare(sl.Cropping2dLayer(((1, 1), (1, 1))), 2, 5, 5), "merged", "slice"),
    *(_random(seed) for seed in range(36)),
]
