"""Running a deployment: encode, simulate in batches, put outputs back on the input's clock and into trained units."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints, Population
from spikeport.converters.circuit import READOUTS, SIGMA_DELTA
from spikeport.converters.findings import Finding
from spikeport.deploy.activity import Activity
from spikeport.deploy.backends.simulator.engines import ENGINES, run_on, simulator
from spikeport.deploy.backends.simulator.memory import DEFAULT, batch_for, portion_for
from spikeport.deploy.backends.simulator.simulation import Simulation
from spikeport.deploy.backends.simulator.simulator import threads
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.early_exit import EarlyExit, GivenSteps
from spikeport.deploy.encode import NOTHING_CLAMPED, Spikes, are_spikes, leading_axes
from spikeport.deploy.gather import Gathered, Room
from spikeport.deploy.run import Run
from spikeport.errors import DataError

Progress = Callable[[int, int], None]


def _reference(*arguments: Any, **options: Any) -> Simulation:
    """See `reference.simulate`; loaded on first use, since it brings torch."""
    from spikeport.deploy.backends.simulator.reference import simulate

    return simulate(*arguments, **options)


def _lava(*arguments: Any, **options: Any) -> Simulation:
    """See `run_on_lava`; loaded on first use, since the core works without Lava."""
    from spikeport.deploy.backends.lava.run import run_on_lava

    return run_on_lava(*arguments, **options)


BACKENDS: Mapping[str, Callable[..., Simulation]] = {
    **{engine: partial(run_on, engine) for engine in ENGINES},
    "reference": _reference,
    "lava": _lava,
}
BATCH = 64
"""Samples simulated together: enough to fill kernels and matrix products, few enough for memory."""
ENCODING = 24
"""Bytes that an encoder takes for each input and step, copies included; none for spikes that are spikes already."""


@dataclass(frozen=True)
class Cut:
    """How a run is cut so that it stays within its memory.

    Attributes:
        batch: samples at a time.
        options: what the backend is told.
        room: for what is gathered from several batches.
        bytes: what the run allocates at most; None where nobody knows.
    """

    batch: int
    options: Mapping[str, Any]
    room: Room
    bytes: int | None


def execute(
    deployment: Deployment,
    data: NDArray[Any],
    backend: str = "auto",
    record: Collection[str] = (),
    progress: Progress | None = None,
    stop: EarlyExit | GivenSteps | None = None,
    memory: int | None = None,
) -> Run:
    """See `Deployment.run`."""
    if backend not in BACKENDS:
        raise DataError(f"backend {backend!r} does not exist; a deployment runs on {', '.join(BACKENDS)}")
    if stop is not None and backend not in ENGINES:
        raise DataError(f"backend {backend} cannot stop a sample early; use {', '.join(ENGINES)}")
    if memory is not None and backend not in ENGINES:
        raise DataError(f"backend {backend} cannot bound its memory; leave that to {', '.join(ENGINES)}")
    if not len(data):
        raise DataError(f"the data are empty: shape {data.shape}")
    network = deployment.network
    names = _recorded(deployment, record)
    (source,), output = network.inputs, network.outputs[0]
    reads_states = network.populations[output].model in READOUTS
    kept = {"record": names if reads_states else [*names, output], "record_states": [output] if reads_states else []}
    cut = _cut(deployment, data, backend, kept, DEFAULT if memory is None else memory)
    gathered = Gathered(len(data), cut.room)
    findings: list[Finding] = []
    clamped = NOTHING_CLAMPED
    for first in range(0, len(data), cut.batch):
        part = data[first : first + cut.batch]
        encoded = deployment.codec.encode(part, network.populations[source].shape, first, narrow=True)
        findings += encoded.said
        clamped = encoded.clamped.plus(clamped)
        report = _share(progress, first, len(part), len(data))
        options: dict[str, Any] = {**kept, **cut.options, "progress": report}
        if stop is not None:
            options["stop"] = stop.on(network.populations[output], slice(first, first + len(part)))
        done = BACKENDS[backend](network, {source: encoded.spikes}, deployment.placement, **options)
        gathered.put_activity(first, done.activity)
        gathered.put(("output",), first, _held(_output(deployment, output, done), done, network.populations[output]))
        for name in names:
            gathered.put(("train", name), first, _shaped(deployment, name, done.spikes[name]))
        if done.steps_used is not None:
            gathered.put(("used",), first, done.steps_used)
    result, activity = gathered.array("output"), gathered.activity()
    used = None if stop is None else gathered.array("used")
    return Run(
        output=result,
        activity=replace(activity, used=used),
        spikes={name: gathered.array("train", name) for name in names},
        backend=backend,
        input_steps=result.shape[1],
        findings=tuple(dict.fromkeys((*clamped.findings, *findings, *_overflows(network, activity)))),
        engines=done.engines,
        memory=cut.bytes,
        steps_used=used,
    )


def _held(output: NDArray[np.float64], done: Simulation, population: Population) -> NDArray[np.float64]:
    """A read-out keeps its last reading after a sample was stopped, so that decoders see the one that decided."""
    if done.steps_used is None or population.model not in READOUTS:
        return output
    last = np.clip(done.steps_used - population.shift - 1, 0, output.shape[1] - 1)
    kept = np.minimum(np.arange(output.shape[1]), last[:, None])
    return np.take_along_axis(output, kept[:, :, None], axis=1)


def _cut(deployment: Deployment, data: NDArray[Any], backend: str, kept: Mapping[str, Any], memory: int) -> Cut:
    """See `Cut`; what is gathered from several batches gets a quarter of the memory."""
    if backend not in ENGINES:
        return Cut(BATCH, {}, Room(memory), None)
    network, (source,) = deployment.network, deployment.network.inputs
    shape, encoder = network.populations[source].shape, deployment.codec.encoder
    timed = leading_axes(data.shape, shape, data.shape) == 2
    length = data.shape[1] if timed or isinstance(encoder, Spikes) else encoder.steps
    needed = simulator(network, deployment.placement, backend).demand(length, **kept)
    uncopied = are_spikes(encoder, data) and data.flags.c_contiguous
    encoding = 0 if uncopied else ENCODING * length * network.populations[source].size
    needed = replace(needed, sample=needed.sample + encoding)
    room, work = memory // 4, memory - memory // 4
    batch = batch_for(needed, len(data), BATCH, work)
    portion = portion_for(needed, batch, length + network.depth, work, threads())
    gathered = needed.kept * len(data) if len(data) > batch else 0
    used = needed.within(batch, portion, threads()) + min(gathered, room)
    return Cut(batch, {"portion": portion}, Room(room), used)


_LEFT = ("u left its 24 bits and wrapped around", "v left its 24 bits and was clipped")
_LEFT_UNITS = (
    "sums left a chip's 24 bits (Lava and this simulator go on in 32)",
    "activations left a chip's 24 bits (Lava and this simulator go on in 32)",
)


def _overflows(network: ChipNetwork, activity: Activity) -> Iterator[Finding]:
    for name, layer in activity.populations.items():
        words = _LEFT_UNITS if network.populations[name].model in SIGMA_DELTA else _LEFT
        for what, count in zip(words, (layer.u_wraps, layer.v_clips), strict=True):
            if count:
                message = f"{what} {count} time(s)."
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
