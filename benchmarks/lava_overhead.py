"""Start-up and per-step time of the Lava backend against the same network in plain Lava.

Usage: python benchmarks/lava_overhead.py model.spk [repetitions]

Plain Lava is the exported module with Lava's own sink on the output, run as a program of its own: what somebody
would write by hand. Both are timed from the outside, in turns, for a short and a long run on random spikes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.lava.export import export
from spikeport.deploy.backends.lava.plan import plan
from spikeport.deploy.backends.lava.run import run_on_lava
from spikeport.deploy.deployment import Deployment

SHORT, LONG = 50, 2000
RATE = 0.02
"""Input spikes per line and step."""

PLAIN = """
import sys
import network
import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.proc.io.sink import RingBuffer as Sink

source, output, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
processes = network.build({source: np.load("input.npy")[..., :steps]})
port = processes[output].s_out
sink = Sink(shape=port.shape, buffer=steps)
port.connect(sink.a_in)
try:
    sink.run(condition=RunSteps(num_steps=steps), run_cfg=network.run_config())
    print(int((sink.data.get() != 0).sum()))
finally:
    sink.stop()
"""


def main(model: str, repetitions: int = 5) -> None:
    """Print minimum, median and maximum of both, and the load of the machine."""
    deployment = Deployment.load(model)
    network, laid_out = deployment.network, plan(deployment.network)
    (source,), output = network.inputs, network.outputs[0]
    shape = network.populations[source].shape
    data = (np.random.default_rng(0).random((1, LONG, *shape)) < RATE).astype(np.int32)
    times: dict[tuple[str, int], list[float]] = {(who, n): [] for who in ("plain", "spikeport") for n in (SHORT, LONG)}
    with tempfile.TemporaryDirectory() as folder:
        _write_plain(deployment, model, data, Path(folder))
        for _ in range(repetitions):
            for steps in (SHORT, LONG):
                names = [laid_out.names[source], laid_out.names[output], str(steps)]
                times["plain", steps].append(_timed_plain(names, folder))
                began = time.perf_counter()
                run_on_lava(network, {source: data[:, :steps]}, deployment.placement, [output])
                times["spikeport", steps].append(time.perf_counter() - began)
    _report(times)


def _write_plain(deployment: Deployment, model: str, data: NDArray[np.int32], folder: Path) -> None:
    source = deployment.network.inputs[0]
    exported = export(deployment.network, model, "network.npz")
    view = exported.plan.views[source]
    np.save(folder / "input.npy", data[0].reshape(LONG, -1)[:, view.order].T.reshape(*view.shape, LONG))
    (folder / "network.py").write_text(exported.text)
    (folder / "plain.py").write_text(PLAIN)
    with (folder / "network.npz").open("wb") as file:
        exported.write_arrays(file)


def _timed_plain(arguments: list[str], folder: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "plain.py", *arguments], cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - began


def _report(times: dict[tuple[str, int], list[float]]) -> None:
    print("load average", *(f"{load:.1f}" for load in os.getloadavg()))
    for who in ("plain", "spikeport"):
        short, long = (np.array(times[who, n]) for n in (SHORT, LONG))
        for what, values in (("s start", short), ("ms/step", (long - short) / (LONG - SHORT) * 1e3)):
            print(f"{who:10} {what}: min {values.min():.3f} median {np.median(values):.3f} max {values.max():.3f}")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
