"""Running the trained network for the command line: in batches, with progress, as the same result as a deployment's."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Network, Neuron, SigmaDelta
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.cli.execution import check_labels
from spikeport.deploy.cli.output import progress
from spikeport.deploy.cli.sources import make_codec
from spikeport.deploy.codec import Codec
from spikeport.deploy.compile import check_code, codec_for
from spikeport.deploy.data import Data
from spikeport.deploy.encode import arrange
from spikeport.deploy.readings import other_readings
from spikeport.deploy.report.run_record import Layer, Result
from spikeport.errors import DataError

BATCH = 64
"""Samples run together: bounds the memory of the float network's spikes."""


def run_trained(
    path: Path, network: Network, data: Data, encode: str | None, decode: str | None, record: Collection[str]
) -> Result:
    """Run the trained network read from ``path`` on all of ``data``, as its framework would.

    Raises:
        DataError: shapes, names or codes do not fit; the network has several inputs or outputs.
    """
    encode = encode or network.encode
    codec = make_codec(encode, decode, network)
    if codec is not None and encode:
        check_code(codec, network)
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
