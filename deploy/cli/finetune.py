"""``spikeport finetune``: train a deployment's integers until they do as well as the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def finetune_model(
    model: options.Network,
    deployed: Annotated[Path, typer.Argument(help="The .spk file that `spikeport compile` made of it.")],
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .spk file to write.")],
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data at most.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Samples per update.")] = 16,
    learning_rate: Annotated[float, typer.Option(help="In steps of the weights' grid per update.")] = 0.03,
    seed: Annotated[int, typer.Option(min=0, help="Of the order of the samples.")] = 0,
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
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment, read_network
    from spikeport.deploy.report.finetune_record import finetune_record, finetune_tables
    from spikeport.errors import DataError
    from spikeport.models.finetuning import TuningOptions, finetune

    check_targets(output, json, inputs=(model, deployed, data))
    check_suffix(output, ".spk", "--output")
    network, deployment = read_network(model, dialect, dt), read_deployment(deployed)
    shape = deployment.network.populations[deployment.network.inputs[0]].shape
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
    if given.labels is None:
        raise DataError(f"{data} has no labels; fine-tuning learns from them (array `label` or `labels`)")
    choices = TuningOptions(epochs, batch, learning_rate, seed=seed)
    with progress(f"fine-tuning on {len(given.input)} samples") as report:
        tuned, history = finetune(network, deployment, given.input, given.labels, choices, report)
    tuned.save(output)
    tell(given.findings)
    record = finetune_record(output, history)
    show(record, finetune_tables(record), json)
