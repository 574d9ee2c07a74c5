"""One trained network in floats and on chips: accuracy, agreement and counts, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Network
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.deployment import Deployment

BATCH = 20


@dataclass(frozen=True)
class Samples:
    """``spikes`` (B, T, *shape) and ``labels`` (B,)."""

    spikes: NDArray[Any]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Row:
    """One executor's result; counts are means per sample, None where floats do not count."""

    where: str
    classes: NDArray[np.int64]
    accuracy: float
    spikes: float | None = None
    synops: float | None = None
    cores: int | None = None


def float_row(network: Network, test: Samples, deployment: Deployment) -> Row:
    """The network as its framework runs it, decoded as the deployment decodes."""
    parts = []
    for first in range(0, len(test.labels), BATCH):
        run = run_float(network, test.spikes[first : first + BATCH].astype(np.float32))
        (output,) = run.outputs.values()
        parts.append(deployment.codec.decode(np.asarray(output)).classes)
    classes = np.concatenate(parts)
    return Row("float", classes, float(np.mean(classes == test.labels)))


def chip_row(where: str, deployment: Deployment, test: Samples) -> Row:
    """The deployment on the chip simulator."""
    run = deployment.run(test.spikes)
    classes = deployment.codec.decode(run.output).classes
    sent = sum(float(p.spikes.sum()) for p in run.activity.populations.values())
    synops = sum(float(counts.sum()) for counts in run.activity.synops.values())
    samples, cores = len(test.labels), len(deployment.placement.cores)
    return Row(where, classes, float(np.mean(classes == test.labels)), sent / samples, synops / samples, cores)


def rows(
    network: Network,
    calibration: Samples,
    test: Samples,
    targets: Sequence[str] = ("loihi1", "loihi2"),
    options: CompileOptions | None = None,
) -> list[Row]:
    """Float first, then each chip."""
    compiled = {name: compile_network(network, name, calibration.spikes, options=options) for name in targets}
    chips = [chip_row(name, deployment, test) for name, deployment in compiled.items()]
    return [float_row(network, test, next(iter(compiled.values()))), *chips]


def show(found: Sequence[Row]) -> None:
    """Print rows as a Markdown table; ``same class``: share of samples with the float network's class."""
    print("| executor | accuracy | same class | spikes / sample | SynOps / sample | cores |")
    print("|---|---|---|---|---|---|")
    for row in found:
        same = float(np.mean(row.classes == found[0].classes))
        counts = [f"{row.spikes:.0f}", f"{row.synops:.0f}"] if row.spikes is not None else ["", ""]
        cells = [row.where, f"{row.accuracy:.2%}", f"{same:.2%}", *counts, str(row.cores or "")]
        print("| " + " | ".join(cells) + " |")
