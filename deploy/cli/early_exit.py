"""``spikeport early-exit``: choose on calibration data when a sample may stop."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from spikeport.deploy.cli import options


class ExitRule(str, Enum):
    """What is compared with the threshold."""

    margin = "margin"
    first = "first"


def early_exit(
    model: options.Deployed,
    data: options.Data,
    rule: Annotated[ExitRule, typer.Option(help="The lead of the best over the second best, or the best alone.")] = (
        ExitRule.margin
    ),
    tolerance: Annotated[float, typer.Option(min=0, max=1, help="Accuracy that may be lost, as a share.")] = 0.005,
    drain: Annotated[int, typer.Option(min=0, help="Chip steps that the host takes to react.")] = 0,
    split: options.Split = None,
    samples: options.Samples = None,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    json: options.Json = None,
) -> None:
    """Choose the threshold at which samples may stop early, on data that are not the test set.

    What it prints as `rule` is what `spikeport run --early-exit` and `spikeport estimate --early-exit` take.
    """
    from spikeport.converters.circuit import READOUTS
    from spikeport.deploy.cli.output import check_targets, progress, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment
    from spikeport.deploy.early_exit import calibrate, readings_of
    from spikeport.deploy.report.early_exit_record import early_exit_record, early_exit_tables

    check_targets(json, inputs=(model, data))
    deployment = read_deployment(model)
    populations = deployment.network.populations
    shape = populations[deployment.network.inputs[0]].shape
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
    with progress(f"running {len(given.input)} samples") as report:
        run = deployment.run(given.input, progress=report)
    integrates = populations[deployment.network.outputs[0]].model in READOUTS
    readings = readings_of(run.output, integrates)
    found = calibrate(readings, given.labels, rule.value, tolerance, drain)
    tell((*given.findings, *run.findings))
    record = early_exit_record(found, run.input_steps, labelled=given.labels is not None)
    show(record, early_exit_tables(record), json)
