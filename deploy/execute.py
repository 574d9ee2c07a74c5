"""Running a deployment: encode, simulate in batches, put outputs back on the input's clock and into trained units."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.converters.circuit import READOUTS
from spikeport.converters.findings import Finding
from spikeport.deploy.activity import Activity, PopulationActivity
from spikeport.deploy.backends.simulator.reference import Simulation, simulate
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.run import Run
from spikeport.errors import DataError

Progress = Callable[[int, int], None]
_Key = TypeVar("_Key")
_Number = TypeVar("_Number", bound=np.integer)


def _lava(*arguments: Any, **options: Any) -> Simulation:
    """See `run_on_lava`; loaded on first use, since the core works without Lava."""
    from spikeport.deploy.backends.lava.run import run_on_lava

    return run_on_lava(*arguments, **options)


BACKENDS: Mapping[str, Callable[..., Simulation]] = {"reference": simulate, "lava": _lava}
BATCH = 64
"""Samples simulated together: enough to fill matrix products, few enough for memory."""


def execute(
    deployment: Deployment,
    data: NDArray[Any],
    backend: str = "reference",
    record: Collection[str] = (),
    progress: Progress | None = None,
) -> Run:
    """See `Deployment.run`."""
    if backend not in BACKENDS:
        raise DataError(f"backend {backend!r} does not exist; a deployment runs on {', '.join(BACKENDS)}")
    network = deployment.network
    names = _recorded(deployment, record)
    (source,), output = network.inputs, network.outputs[0]
    parts: list[Simulation] = []
    findings: list[Finding] = []
    for first in range(0, len(data), BATCH):
        encoded = deployment.codec.encode(data[first : first + BATCH], network.populations[source].shape, first)
        findings += encoded.findings
        report = _share(progress, first, len(encoded.spikes), len(data))
        spiking = network.populations[output].model not in READOUTS
        parts.append(
            BACKENDS[backend](
                network,
                {source: encoded.spikes},
                deployment.placement,
                record=[*names, output] if spiking else names,
                record_states=[] if spiking else [output],
                progress=report,
            )
        )
    if not parts:
        raise DataError(f"the data are empty: shape {data.shape}")
    trains = {n: _shaped(deployment, n, np.concatenate([p.spikes[n] for p in parts])) for n in names}
    result = np.concatenate([_output(deployment, output, part) for part in parts])
    activity = _joined([p.activity for p in parts])
    said = tuple(dict.fromkeys((*findings, *_overflows(activity))))
    return Run(result, activity, trains, backend, result.shape[1], said)


def _overflows(activity: Activity) -> Iterator[Finding]:
    for name, layer in activity.populations.items():
        for register, count, what in (("u", layer.u_wraps, "wrapped around"), ("v", layer.v_clips, "was clipped")):
            if count:
                message = f"{register} left its 24 bits and {what} {count} time(s)."
                advice = "Recompile with calibration data that look like these."
                yield Finding("overflow", "warning", name, message, advice)


def _recorded(deployment: Deployment, record: Collection[str]) -> list[str]:
    populations = deployment.network.populations
    if "all" in record:
        return [n for n, p in populations.items() if p.model != "input" and p.model not in READOUTS]
    if unknown := sorted(set(record) - set(populations)):
        raise DataError(f"no population {', '.join(unknown)} to record; there are {', '.join(populations)}")
    return list(dict.fromkeys(record))


def _share(progress: Progress | None, first: int, size: int, total: int) -> Progress | None:
    """The progress of one batch as a part of the whole, counted in sample-steps."""
    if progress is None:
        return None
    return lambda done, steps: progress(first * steps + done * size, total * steps)


def _shaped(deployment: Deployment, name: str, train: Ints) -> Ints:
    return train.reshape(*train.shape[:2], *deployment.network.populations[name].shape)


def _output(deployment: Deployment, output: str, part: Simulation) -> NDArray[np.float64]:
    population = deployment.network.populations[output]
    if output in part.spikes:
        return part.spikes[output].astype(np.float64)
    return part.v[output] / population.scale + population.offset


def _joined(parts: list[Activity]) -> Activity:
    """One record of several batches."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Activity(
        batch=sum(p.batch for p in parts),
        steps=first.steps,
        populations={n: _joined_population([p.populations[n] for p in parts]) for n in first.populations},
        synops=_stacked([p.synops for p in parts]),
        core_synops=_stacked([p.core_synops for p in parts]),
        core_active=_stacked([p.core_active for p in parts]),
        core_spikes=np.concatenate([p.core_spikes for p in parts]),
        core_packets_out=np.concatenate([p.core_packets_out for p in parts]),
        core_packets_in=np.concatenate([p.core_packets_in for p in parts]),
        traffic=np.asarray(sum((p.traffic for p in parts), np.zeros_like(first.traffic))),
    )


def _stacked(parts: list[Mapping[_Key, NDArray[_Number]]]) -> dict[_Key, NDArray[_Number]]:
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def _joined_population(parts: list[PopulationActivity]) -> PopulationActivity:
    return PopulationActivity(
        parts[0].neurons,
        np.concatenate([p.spikes for p in parts]),
        np.concatenate([p.active for p in parts]),
        np.concatenate([p.per_neuron for p in parts]),
        sum(p.payload for p in parts),
        sum(p.u_wraps for p in parts),
        sum(p.v_clips for p in parts),
    )
