"""Running a deployment for the command line, with progress; see `trained` for the trained network."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from spikeport.converters.circuit import READOUTS
from spikeport.deploy.backends.simulator.memory import parse_size
from spikeport.deploy.cli.output import progress
from spikeport.deploy.data import Data
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.early_exit import EarlyExit, GivenSteps, parse_early_exit
from spikeport.deploy.report.run_record import Layer, Result
from spikeport.errors import DataError


def run_chip(
    deployment: Deployment,
    data: Data,
    backend: str,
    record: Collection[str],
    memory: str | None = None,
    early_exit: str | None = None,
) -> Result:
    """Run a deployment on all of ``data``.

    Raises:
        DataError: shapes, names, the backend or ``memory``, a size as text, do not fit.
    """
    populations = deployment.network.populations
    check_labels(data, populations[deployment.network.outputs[0]].size)
    limit = None if memory is None else parse_size(memory)
    stop = None if early_exit is None else make_exit(early_exit, deployment, data)
    with progress(f"running {len(data.input)} samples") as report:
        run = deployment.run(data.input, backend, record, report, stop, limit)
    layers = {
        name: Layer(activity.neurons, activity.payload, int(activity.spikes.sum()), activity.u_wraps, activity.v_clips)
        for name, activity in run.activity.populations.items()
        if populations[name].model not in READOUTS
    }
    synops = {name: int(counts.sum()) for name, counts in run.activity.synops.items()}
    return Result(
        backend=run.backend,
        output=run.output,
        decoded=deployment.codec.decode(run.output),
        codec=deployment.codec,
        spikes=run.spikes,
        layers=layers,
        synops=synops,
        input_steps=run.input_steps,
        chip_steps=run.activity.steps,
        findings=run.findings,
        engines=run.engines,
        memory=run.memory,
        steps_used=run.steps_used,
    )


def make_exit(text: str, deployment: Deployment, data: Data) -> EarlyExit | GivenSteps:
    """The rule written ``text``; a policy says at once how many steps each sample gets.

    Raises:
        DataError: no such rule, or a policy for other inputs.
        ModelError: no policy in that file.
    """
    kind, _, rest = text.partition(":")
    if kind.strip() != "policy":
        return parse_early_exit(text)
    from spikeport.models.seenn.policy import read_policy

    name, _, option = rest.partition(",drain=")
    policy = read_policy(Path(name))
    shape = deployment.network.populations[deployment.network.inputs[0]].shape
    if policy.inputs != int(np.prod(shape)) or (option and not option.isdecimal()):
        raise DataError(f"early exit {text!r}: a policy for {policy.inputs} inputs, the network has {shape}")
    first = deployment.codec.encode(data.input, shape).floats
    return GivenSteps(policy.steps(first), int(option or 0))


def check_labels(data: Data, classes: int) -> None:
    """Labels must name an output.

    Raises:
        DataError: one does not.
    """
    if data.labels is not None and not (data.labels.min() >= 0 and data.labels.max() < classes):
        raise DataError(
            f"labels run {data.labels.min()} .. {data.labels.max()}, the network has the outputs 0 .. {classes - 1}"
        )
