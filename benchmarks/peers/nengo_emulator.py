"""nengo-loihi's emulator on a case: first sample only. It makes its own integers from floats, so spikes differ."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import nengo
import nengo_loihi
import numpy as np
from measuring import cpu_seconds, job, report
from network_file import load


def network(description: dict[str, Any], arrays: dict[str, Any]) -> nengo.Network:
    """Neuron-to-neuron connections with the trained weights in units of the threshold."""
    chip, sample = description["chip"], arrays["input"][0]
    sample = sample.reshape(len(sample), -1).astype(float)
    net = nengo.Network()
    with net:
        nengo_loihi.add_params(net)
        groups: dict[str, Any] = {}
        for p in chip["populations"]:
            if p["model"] == "input":
                process = nengo.processes.PresentInput(sample, presentation_time=0.001)
                groups[p["name"]] = nengo.Node(process, size_out=p["size"])
            else:
                groups[p["name"]] = _ensemble(p, arrays)
        for g in chip["groups"]:
            _connect(g, groups, chip, arrays)
    return net


def _ensemble(p: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """LIF neurons with the leak of the chip's; a bias current in units of the threshold."""
    tau = -0.001 / np.log(max(1 - p["dv"] / 4096, 1e-3))
    neurons = nengo_loihi.neurons.LoihiLIF(tau_rc=tau, tau_ref=0.001)
    bias = arrays[p["bias"]] / 64 / p["vth"] * tau / 0.001
    group = nengo.Ensemble(p["size"], 1, neuron_type=neurons, gain=np.ones(p["size"]), bias=bias)
    return group.neurons


def _connect(g: dict[str, Any], groups: dict[str, Any], chip: dict[str, Any], arrays: dict[str, Any]) -> None:
    target = next(p for p in chip["populations"] if p["name"] == g["target"])
    source = next(p for p in chip["populations"] if p["name"] == g["source"])
    weight = arrays[g["weight"]] * 2.0 ** g["exponent"] / target["vth"]
    if g["kind"] == "dense":
        transform: Any = weight
    else:
        places = np.stack([arrays[g["targets"]], arrays[g["sources"]]], axis=1)
        transform = nengo.Sparse((target["size"], source["size"]), indices=places, init=weight)
    nengo.Connection(groups[g["source"]], groups[g["target"]], transform=transform, synapse=None)


def main() -> None:
    """Measure the job."""
    wanted = job()
    description, arrays = load(wanted["folder"])
    steps = arrays["input"].shape[1]
    began = time.perf_counter()
    simulator = nengo_loihi.Simulator(network(description, arrays), target="sim", progress_bar=False)
    setup = time.perf_counter() - began
    with simulator:
        started, used = time.perf_counter(), cpu_seconds()
        simulator.run_steps(steps)
        wall, cpu = time.perf_counter() - started, cpu_seconds() - used
    report(wall_s=[wall], cpu_s=[cpu], samples=1, setup_s=setup, version=version("nengo-loihi"))


if __name__ == "__main__":
    main()
