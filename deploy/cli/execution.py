"""Running a model for the command line: in batches, with progress, as one result whatever the backend."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.circuit import READOUTS
from spikeport.converters.findings import Finding
from spikeport.converters.network import Network, Neuron, SigmaDelta
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.backends.simulator.memory import parse_size
from spikeport.deploy.cli.output import progress
from spikeport.deploy.cli.sources import make_codec
from spikeport.deploy.codec import Codec
from spikeport.deploy.compile import codec_for
from spikeport.deploy.data import Data
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.early_exit import EarlyExit, GivenSteps, parse_early_exit
from spikeport.deploy.encode import arrange
from spikeport.deploy.readings import other_readings
from spikeport.deploy.report.run_record import Layer, Result
from spikeport.errors import DataError

BATCH = 64
"""Samples run together: bounds the memory of the float network's spikes."""


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


def run_trained(
    path: Path, network: Network, data: Data, encode: str | None, decode: str | None, record: Collection[str]
) -> Result:
    """Run the trained network read from ``path`` on all of ``data``, as its framework would.

    Raises:
        DataError: shapes, names or codes do not fit; the network has several inputs or outputs.
    """
    encode = encode or network.encode
    codec = make_codec(encode, decode, network)
    check_labels(data, int(np.prod(network.shapes[network.outputs[0]])))
    names = _recorded(network, record)
    spiking = [name for name in (*network.neurons, *network.units) if _spikes(network, name)]
    outputs: list[NDArray[Any]] = []
    kept: dict[str, list[NDArray[Any]]] = {name: [] for name in names}
    counts = dict.fromkeys(spiking, 0)
    messages = dict.fromkeys(spiking, 0)
    findings: list[Finding] = []
    with progress(f"running {len(data.input)} samples") as report:
        for first in range(0, len(data.input), BATCH):
            inputs, clamped = _float_input(network, codec if encode else None, data.input[first : first + BATCH], first)
            findings += clamped if first else (*clamped, *other_readings(path, network, inputs))
            run = run_float(network, inputs, record=spiking)
            outputs.append(np.asarray(run.outputs[network.outputs[0]]))
            for name in spiking:
                sent = int(np.count_nonzero(run.spikes[name]))
                counts[name] += sent if name in network.units else int(run.spikes[name].sum())
                messages[name] += sent
            for name in names:
                kept[name].append(np.asarray(run.spikes[name]))
            report(min(first + BATCH, len(data.input)), len(data.input))
    output = np.concatenate(outputs)
    chosen = codec or codec_for(network)
    return Result(
        backend="float",
        output=output.reshape(*output.shape[:2], -1),
        decoded=chosen.decode(output),
        codec=chosen if encode else None,
        spikes={name: np.concatenate(parts) for name, parts in kept.items()},
        layers={name: Layer(int(np.prod(network.shapes[name])), counts[name], messages[name]) for name in spiking},
        synops=None,
        input_steps=output.shape[1],
        chip_steps=None,
        findings=(*network.findings, *dict.fromkeys(findings)),
    )


def check_labels(data: Data, classes: int) -> None:
    """Labels must name an output.

    Raises:
        DataError: one does not.
    """
    if data.labels is not None and not (data.labels.min() >= 0 and data.labels.max() < classes):
        raise DataError(
            f"labels run {data.labels.min()} .. {data.labels.max()}, the network has the outputs 0 .. {classes - 1}"
        )


def _float_input(
    network: Network, codec: Codec | None, batch: NDArray[Any], first: int
) -> tuple[NDArray[np.float32], tuple[Finding, ...]]:
    """(B, T, *shape): encoded where an encoder is named, else the data as they are."""
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise DataError(
            f"the command line runs networks with one input and one output, not {network.inputs}, {network.outputs}"
        )
    shape = network.shapes[network.inputs[0]]
    if codec is not None:
        encoded = codec.encode(batch, shape, first)
        return encoded.floats, encoded.findings
    values = arrange(batch, shape)
    if values.ndim != len(shape) + 2:
        raise DataError(
            f"one sample has the shape {batch.shape[1:]}: no time axis; static values need an encoder, "
            "for example --encode current:steps=16,low=0,high=1"
        )
    return values.astype(np.float32), ()


def _recorded(network: Network, record: Collection[str]) -> tuple[str, ...]:
    spiking = tuple(name for name in (*network.neurons, *network.units) if _spikes(network, name))
    if "all" in record:
        return spiking
    if unknown := sorted(set(record) - set(spiking)):
        raise DataError(f"no spiking layer {', '.join(unknown)} to record; there are {', '.join(spiking)}")
    return tuple(dict.fromkeys(record))


def _spikes(network: Network, name: str) -> bool:
    """Whether a neuron spikes, or a sigma-delta unit sends changes."""
    node = network.nodes[name]
    return node.spiking if isinstance(node, Neuron) else isinstance(node, SigmaDelta) and node.sends_changes
