"""spikeport's own engines on a case; runs in spikeport's environment."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from measuring import job, report, timed

PART = 64
"""Samples whose trains are kept at a time, so that memory is that of a run without."""


def simulation(engine: str, case: Any) -> Any:
    """A function that runs inputs once and keeps the trains of some populations."""
    if engine == "reference":
        import torch

        from spikeport.deploy.backends.simulator.reference import simulate

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
        return lambda inputs, record: simulate(case.network, inputs, case.placement, record=record)
    from spikeport.deploy.backends.simulator.engines import simulator

    ready = simulator(case.network, case.placement, engine)
    return lambda inputs, record: ready.run(inputs, record=record)


def hashes(run: Any, case: Any) -> dict[str, list[str]]:
    """Of the trains of every sample, by population."""
    from cases import train_hashes

    found: dict[str, list[str]] = {name: [] for name in case.outputs}
    for first in range(0, case.batch, PART):
        part = run({name: data[first : first + PART] for name, data in case.inputs.items()}, case.outputs)
        for name in case.outputs:
            found[name] += train_hashes(part.spikes[name])
    return found


def operations(network: Any) -> int:
    """Multiplications and additions of one step, if every source spiked: two for each synapse."""
    from spikeport.converters.connectivity import fan_in

    return 2 * sum(int(fan_in(s.connectivity).sum()) for s in network.synapses.values())


def read(network: Any, synops: Any) -> int:
    """Bytes of weights that events read: one for each, and four more for the target where a layer is sparse."""
    from spikeport.converters.chip_network import Sparse

    each = {name: 5 if isinstance(s.connectivity, Sparse) else 1 for name, s in network.synapses.items()}
    return sum(int(counts.sum()) * each[name] for name, counts in synops.items())


def main() -> None:
    """Measure the job's case on the job's engine."""
    from cases import build

    wanted = job()
    case = build(wanted["case"], Path(wanted["data"]))
    began = time.perf_counter()
    run = simulation(wanted["engine"], case)
    trains = hashes(run, case)  # compiles and fills caches, too
    setup = time.perf_counter() - began
    result, wall, cpu = timed(lambda: run(case.inputs, case.network.outputs), least_s=wanted["least_s"])
    activity = result.activity
    report(
        wall_s=wall,
        cpu_s=cpu,
        samples=case.batch,
        setup_s=setup,
        spikes={name: int(p.spikes.sum()) for name, p in activity.populations.items()},
        synops=sum(int(counts.sum()) for counts in activity.synops.values()),
        trains=trains,
        weight_bytes=read(case.network, activity.synops),
        operations=operations(case.network) * activity.steps * activity.batch,
        engines={name: f"{c.engine} ({c.reason})" for name, c in result.engines.items()},
    )


if __name__ == "__main__":
    main()
