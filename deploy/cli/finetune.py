"""``spikeport finetune``: train a deployment's integers until they do as well as the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikeport.deploy.cli import options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikeport.converters.network import Network
    from spikeport.deploy.deployment import Deployment

BATCH = 32
"""Samples that the float network runs together: bounds the memory of its spikes."""


def finetune_model(
    model: options.Network,
    deployed: Annotated[Path, typer.Argument(help="The .spk file that `spikeport compile` made of it.")],
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .spk file to write.")],
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data at most.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Samples per update.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="In steps of the weights' grid per update.")] = 0.015,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the samples.")] = 0,
    until: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="End at this accuracy on the held-back samples; the float network's if absent."
        ),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep every finished epoch here; the same command goes on from the last. Computes in one thread.",
        ),
    ] = None,
    split: options.Split = None,
    samples: options.Samples = None,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    json: options.Json = None,
) -> None:
    """Train a deployment through its own integer arithmetic on labelled data, and write the better one."""
    from spikeport.deploy.cli.output import check_suffix, check_targets, progress, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_as_compiled, read_data, read_deployment
    from spikeport.deploy.report.finetune_record import finetune_record, finetune_tables
    from spikeport.errors import DataError
    from spikeport.models.finetuning import TuningOptions, finetune, parted

    check_targets(output, json, inputs=(model, deployed, data))
    check_suffix(output, ".spk", "--output")
    deployment = read_deployment(deployed)
    network = read_as_compiled(model, deployment, dialect, dt)
    shape = deployment.network.populations[deployment.network.inputs[0]].shape
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
    if given.labels is None:
        raise DataError(f"{data} has no labels; fine-tuning learns from them (array `label` or `labels`)")
    if until is None:
        _, checked = parted(given.labels, seed)
        until = _float_accuracy(network, deployment, given.input[checked], given.labels[checked])
    choices = TuningOptions(epochs, batch, learning_rate, seed=seed, target=until)
    with progress(f"fine-tuning on {len(given.input)} samples") as report:
        tuned, history = finetune(network, deployment, given.input, given.labels, choices, report, checkpoints)
    tuned.save(output)
    tell((*given.findings, tuned.findings[-1]))
    record = finetune_record(output, history, until)
    show(record, finetune_tables(record), json)


def _float_accuracy(network: Network, deployment: Deployment, data: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share of samples that the trained network classifies right, given and read as the deployment's codec does."""
    import numpy as np

    from spikeport.deploy.backends.float import run_float

    shape, found = network.shapes[network.inputs[0]], []
    for first in range(0, len(data), BATCH):
        inputs = deployment.codec.encode(data[first : first + BATCH], shape, first).floats
        output = run_float(network, inputs).outputs[network.outputs[0]]
        found.append(deployment.codec.decode(output).classes)
    return float(np.mean(np.concatenate(found) == labels))
