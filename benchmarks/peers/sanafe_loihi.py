"""SANA-FE's Loihi architecture on a case: one sample after the other, since it has no batches."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import numpy as np
import sanafe
from measuring import cpu_seconds, job, report
from network_file import load

SAMPLES = 10
"""At most; SANA-FE needs about 80 ms of CPU for each on the smallest network."""


def populate(description: dict[str, Any], arrays: dict[str, Any]) -> Any:
    """The network on the chip, one core for each 1,024 neurons."""
    architecture, network = sanafe.load_loihi(), sanafe.Network()
    cores, used, groups = architecture.cores(), 0, {}
    chip = description["chip"]
    fed = {g["source"] for g in chip["groups"]}
    for p in chip["populations"]:
        if p["model"] == "input" and p["name"] not in fed:
            continue
        groups[p["name"]] = group = _group(network, p, arrays)
        for i, neuron in enumerate(group):
            neuron.map_to_core(cores[used + i // 1024])
        used += -(-p["size"] // 1024)
    for g in chip["groups"]:
        source, target = groups[g["source"]], groups[g["target"]]
        weights = arrays[g["weight"]] * 2.0 ** g["exponent"]
        if g["kind"] == "dense":
            source.connect_neurons_dense(target, {"weight": weights.T.ravel().tolist()})
        else:
            pairs = list(zip(arrays[g["sources"]].tolist(), arrays[g["targets"]].tolist(), strict=True))
            source.connect_neurons_sparse(target, {"weight": weights.tolist()}, pairs)
    loihi = sanafe.SpikingChip(architecture)
    loihi.load(network)
    return loihi


def _group(network: Any, p: dict[str, Any], arrays: dict[str, Any]) -> Any:
    if p["model"] == "input":
        group = network.create_neuron_group(p["name"], p["size"], soma_hw_name="loihi_inputs[0]")
        for i, neuron in enumerate(group):
            neuron.set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": []})
        return group
    rule = {"threshold": float(p["vth"]), "leak_decay": 1 - p["dv"] / 4096, "reset_mode": "hard", "reset": 0.0}
    group = network.create_neuron_group(p["name"], p["size"], soma_hw_name="loihi_lif", model_attributes=rule)
    bias = arrays[p["bias"]] / 64
    if bias.any():
        for neuron, value in zip(group, bias.tolist(), strict=True):
            neuron.set_attributes(model_attributes={"bias": value})
    return group


def feed(loihi: Any, name: str, sample: Any) -> None:
    """Set the input spikes of one sample (T, n)."""
    for i, neuron in enumerate(loihi.mapped_neuron_groups[name]):
        neuron.set_attributes(model_attributes={"spikes": sample[:, i].astype(bool).tolist()})


def main() -> None:
    """Measure the job."""
    wanted = job()
    description, arrays = load(wanted["folder"])
    chip, data = description["chip"], arrays["input"]
    entry = next(p["name"] for p in chip["populations"] if p["model"] == "input")
    fed = any(g["source"] == entry for g in chip["groups"])
    began = time.perf_counter()
    loihi = populate(description, arrays)
    setup = time.perf_counter() - began
    wall, cpu, fired, events = [], [], [], []
    for sample in data[:SAMPLES] if fed else data[:1]:
        started, used = time.perf_counter(), cpu_seconds()
        if fed:
            feed(loihi, entry, sample.reshape(len(sample), -1))
        run = loihi.sim(len(sample), timing_model="simple", processing_threads=1, scheduler_threads=0)
        fired.append(int(run["neurons_fired"]))
        events.append(int(run["spikes"]))
        loihi.reset()
        wall.append(time.perf_counter() - started)
        cpu.append(cpu_seconds() - used)
        if sum(wall) > wanted["limit_s"]:
            break
    report(
        wall_s=wall, cpu_s=cpu, samples=1, setup_s=setup, fired=fired[0], synops=float(np.mean(events)),
        first_synops=events[0], version=version("sanafe"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
