"""Brian2Loihi's emulation of Loihi 1 on a case: first sample only, since it has no batches."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import brian2
import brian2_loihi
import numpy as np
from measuring import job, report, timed
from network_file import load


def network(description: dict[str, Any], arrays: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The network and its spike monitors."""
    chip, sample = description["chip"], arrays["input"][0]
    sample = sample.reshape(len(sample), -1)
    groups: dict[str, Any] = {}
    for p in chip["populations"]:
        if p["model"] == "input":
            times, lines = np.nonzero(sample)
            groups[p["name"]] = brian2_loihi.LoihiSpikeGeneratorGroup(p["size"], lines, times)
        else:
            decays = {"decay_v": p["dv"], "decay_I": p["du"] + 1}
            groups[p["name"]] = brian2_loihi.LoihiNeuronGroup(p["size"], threshold_v_mant=p["vth"], **decays)
    synapses = [_synapses(g, groups, arrays) for g in chip["groups"]]
    inside = [p["name"] for p in chip["populations"] if p["model"] != "input"]
    monitors = {name: brian2_loihi.LoihiSpikeMonitor(groups[name]) for name in inside}
    return brian2_loihi.LoihiNetwork(*groups.values(), *synapses, *monitors.values()), monitors


def _synapses(g: dict[str, Any], groups: dict[str, Any], arrays: dict[str, Any]) -> Any:
    found = brian2_loihi.LoihiSynapses(
        groups[g["source"]], groups[g["target"]], sign_mode=1, w_exp=g["exponent"], delay=g["delay"]
    )
    if g["kind"] == "dense":
        weight = arrays[g["weight"]]
        found.connect()
        found.w = weight.T.ravel().astype(np.int64)
    else:
        found.connect(i=arrays[g["sources"]], j=arrays[g["targets"]])
        found.w = arrays[g["weight"]].astype(np.int64)
    return found


def main() -> None:
    """Measure the job; its own set-up is not counted."""
    wanted = job()
    description, arrays = load(wanted["folder"])
    brian2.prefs.codegen.target = wanted.get("target", "auto")
    steps = arrays["input"].shape[1]
    began = time.perf_counter()
    net, monitors = network(description, arrays)
    net.store()
    net.run(steps - 1)  # its input arrives in the step it is sent: one step earlier than on the chip
    spikes = {name: int(m.num_spikes) for name, m in monitors.items()}
    setup = time.perf_counter() - began

    def once() -> None:
        net.restore()
        net.run(steps)

    _, wall, cpu = timed(once, least_s=wanted["least_s"], most=5)
    report(wall_s=wall, cpu_s=cpu, samples=1, setup_s=setup, spikes=spikes, version=version("brian2-loihi"))


if __name__ == "__main__":
    main()
