"""snnTorch's float simulation of the same network and batch, step by step, without gradients."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import snntorch
import torch
from measuring import job, report, timed
from network_file import load
from torch import nn
from torch.nn import functional

Module = Callable[[torch.Tensor], torch.Tensor]


class Neurons(nn.Module):
    """snnTorch neurons with reset to zero, and the weights of their own loop, if they have one."""

    def __init__(self, layer: dict[str, Any], arrays: dict[str, Any]) -> None:
        super().__init__()
        kinds = {"threshold": layer["threshold"], "reset_mechanism": "zero", "reset_delay": False}
        self.current = layer["alpha"] > 0
        if self.current:
            self.unit: Any = snntorch.Synaptic(alpha=layer["alpha"], beta=layer["beta"], **kinds)
        else:
            self.unit = snntorch.Leaky(beta=layer["beta"], **kinds)
        self.gain = layer.get("gain", 1.0)
        bias = torch.from_numpy(arrays[layer["bias"]].astype(np.float32))
        self.bias = bias if bool(bias.any()) else None
        self.loop = _loop(layer, arrays)
        self.size = layer["size"]
        self.restart()

    def restart(self) -> None:
        """Forget the sample before."""
        self.state, self.sent = (), None
        self.total = 0.0

    def forward(self, x: torch.Tensor | None) -> torch.Tensor:
        """One step."""
        x = 0.0 if x is None else x * self.gain
        if self.loop is not None and self.sent is not None:
            x = x + self.loop(self.sent)
        if self.bias is not None:
            x = x + self.bias
        if not self.state:
            first = torch.zeros_like(x)
            self.state = (first, first) if self.current else (first,)
        spikes, *state = self.unit(x, *self.state)
        self.state, self.sent = tuple(state), spikes
        self.total += float(spikes.sum())
        return spikes


def _loop(layer: dict[str, Any], arrays: dict[str, Any]) -> Module | None:
    if "dense" in layer:
        weight = torch.from_numpy(arrays[layer["dense"]].astype(np.float32))
        bias = layer["dense_bias"] and torch.from_numpy(arrays[layer["dense_bias"]].astype(np.float32))
        return lambda s: functional.linear(s, weight, bias)
    if "recurrent" in layer:
        n = layer["size"]
        starts, sources, values = (arrays[name] for name in layer["recurrent"])
        targets = np.repeat(np.arange(n), np.diff(starts))
        places = torch.from_numpy(np.stack([targets, sources]))
        matrix = torch.sparse_coo_tensor(places, torch.from_numpy(values.astype(np.float32)), (n, n)).coalesce()
        return lambda s: torch.sparse.mm(matrix, s.T).T
    return None


def module(layer: dict[str, Any], arrays: dict[str, Any]) -> Module:
    """A layer as torch computes it."""
    match layer["op"]:
        case "neuron":
            return Neurons(layer, arrays)
        case "flatten":
            return lambda x: x.flatten(1)
        case "sumpool":
            area = layer["kernel"][0] * layer["kernel"][1]
            return lambda x: functional.avg_pool2d(x, layer["kernel"], layer["stride"]) * area
    weight = torch.from_numpy(arrays[layer["weight"]].astype(np.float32))
    bias = layer.get("bias") and torch.from_numpy(arrays[layer["bias"]].astype(np.float32))
    if layer["op"] == "linear":
        return lambda x: functional.linear(x.flatten(1), weight, bias)
    where = (layer["stride"], layer["padding"], layer["dilation"], layer["groups"])
    return lambda x: functional.conv2d(x, weight, bias, *where)


@torch.no_grad()
def simulate(modules: list[Module], data: torch.Tensor) -> list[float]:
    """All steps of a batch (B, T, ...); spikes of each layer."""
    neurons = [m for m in modules if isinstance(m, Neurons)]
    for n in neurons:
        n.restart()
    for t in range(data.shape[1]):
        x: Any = data[:, t].float()
        for m in modules:
            x = m(x)
    return [n.total for n in neurons]


def main() -> None:
    """Measure the job."""
    wanted = job()
    description, arrays = load(wanted["folder"])
    torch.set_num_threads(wanted["threads"])
    modules = [module(layer, arrays) for layer in description["layers"]]
    data = torch.from_numpy(arrays["input"])
    if isinstance(modules[0], Neurons):  # nothing comes in but a bias
        data = torch.zeros(*data.shape[:2], modules[0].size)
    simulate(modules, data[:, :2])
    totals, wall, cpu = timed(lambda: simulate(modules, data), least_s=wanted["least_s"])
    names = [p["name"] for p in description["chip"]["populations"] if p["model"] != "input"]
    spikes = dict(zip(names, totals, strict=True))
    report(wall_s=wall, cpu_s=cpu, samples=len(data), spikes=spikes, version=version("snntorch"))


if __name__ == "__main__":
    main()
