"""``spikeport verify``: the simulator held against Lava, spike for spike and state for state."""

from __future__ import annotations

from typing import Annotated

import typer

from spikeport.deploy.cli import options


def verify(
    model: options.Deployed,
    data: options.Data,
    split: options.Split = None,
    samples: Annotated[int, typer.Option(min=1, help="Compare the first N samples.")] = 5,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    json: options.Json = None,
) -> None:
    """Compare every spike, every u and every v of the simulator with Lava's own process models.

    Exit code 0: all equal. 1: the first difference is printed: population, neuron, step and both values.
    """
    from spikeport.deploy.backends.lava.compare import compare
    from spikeport.deploy.backends.lava.run import run_on_lava
    from spikeport.deploy.cli.output import check_targets, progress, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment
    from spikeport.deploy.report.comparison_record import comparison_record, comparison_tables

    check_targets(json, inputs=(model, data))
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    deployment = read_deployment(model)
    source = deployment.network.inputs[0]
    shape = deployment.network.populations[source].shape
    given = read_data(data, split, binning, samples, shape)
    encoded = deployment.codec.encode(given.input, shape)
    with progress(f"running {len(given.input)} samples on Lava") as report:
        comparison = compare(deployment.network, {source: encoded.spikes}, deployment.placement, run_on_lava, report)
    tell((*given.findings, *encoded.findings))
    record = comparison_record(comparison, str(model), str(data), given.hash)
    show(record, comparison_tables(record), json)
    if comparison.first is not None:
        raise typer.Exit(1)
