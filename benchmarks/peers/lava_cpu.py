"""Lava's CPU backend under its fixed-point configuration; time per step from a short and a long run."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from measuring import cpu_seconds, job, report

SHORT = 5
MORE = 4
"""Times as many samples, while the long run does not outlast the short one by enough."""


def main() -> None:
    """Measure the first sample of the job's case; Lava runs one sample after the other."""
    from cases import build, train_hashes

    from spikeport.deploy.backends.lava.run import run_on_lava

    wanted = job()
    case = build(wanted["case"], Path(wanted["data"]))
    sample = {name: data[:1] for name, data in case.inputs.items()}
    steps = next(iter(sample.values())).shape[1]

    def run(data: dict[str, Any]) -> Any:
        began, used = time.perf_counter(), cpu_seconds()
        result = run_on_lava(case.network, data, case.placement, case.outputs)
        return result, time.perf_counter() - began, cpu_seconds() - used

    _, short_wall, short_cpu = run({name: data[:, :SHORT] for name, data in sample.items()})
    # The start takes a second, now more, now less: the sample is repeated until the steps outweigh that.
    repeats = 1
    result, wall, cpu = run(sample)
    while wall - short_wall < wanted["lava_s"]:
        repeats *= MORE
        result, wall, cpu = run({name: data.repeat(repeats, axis=0) for name, data in sample.items()})
    share = steps / (repeats * (steps + case.network.depth) - SHORT - case.network.depth)
    spikes = {name: int(p.spikes[:1].sum()) for name, p in result.activity.populations.items()}
    report(
        wall_s=[(wall - short_wall) * share],
        cpu_s=[(cpu - short_cpu) * share],
        samples=1,
        setup_s=short_wall,
        spikes=spikes,
        trains={name: train_hashes(result.spikes[name][:1]) for name in case.outputs},
        version="0.10.0",
    )


if __name__ == "__main__":
    main()
