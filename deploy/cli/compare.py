"""``spikeport compare``: a trained network against its deployment, on the same data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def compare(
    model: Annotated[Path, typer.Argument(help="The trained network that the deployment was compiled from.")],
    deployed: Annotated[Path, typer.Argument(metavar="DEPLOYMENT", help="The .spk file.")],
    data: options.Data,
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    effects: Annotated[bool, typer.Option(help="Work out what each property of the chip costs: 16 runs more.")] = True,
    tau: Annotated[float, typer.Option(help="Time constant of the van Rossum distance, in steps.")] = 10.0,
    cost: Annotated[float, typer.Option(help="Victor and Purpura's cost of moving a spike by one step.")] = 0.1,
    window: Annotated[int, typer.Option(min=0, help="Spikes this many steps apart are still coincident.")] = 2,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="PATH", help="Write one self-contained page to PATH.")
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
    """Where float and chip part, layer by layer, and how much of the difference each effect of the hardware causes."""
    from spikeport.deploy.cli.execution import check_labels
    from spikeport.deploy.cli.output import check_suffix, check_targets, progress, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_as_compiled, read_data, read_deployment
    from spikeport.deploy.compare.compare import compare as run
    from spikeport.deploy.compare.layers import Measure
    from spikeport.deploy.report.compare_html import write_html
    from spikeport.deploy.report.compare_record import compare_record, compare_tables
    from spikeport.errors import DataError

    check_targets(json, html, inputs=(model, deployed, data))
    check_suffix(html, ".html", "--html")
    for option, number in {"tau": tau, "cost": cost}.items():
        if not 0 < number < float("inf"):
            raise DataError(f"--{option} {number:g} must be above 0")
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    deployment = read_deployment(deployed)
    network = read_as_compiled(model, deployment, dialect, dt)
    populations = deployment.network.populations
    shape = populations[deployment.network.inputs[0]].shape
    given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
    check_labels(given, populations[deployment.network.outputs[0]].size)
    with progress(f"comparing {len(given.input)} samples") as report:
        found = run(
            network,
            deployment,
            given.input,
            given.labels,
            effects=effects,
            measure=Measure(tau, cost, window),
            progress=report,
        )
    record = compare_record(found, str(model), str(deployed), str(data), given.hash)
    if html is not None:
        write_html(record, html)
    tell((*given.findings, *found.findings))
    show(record, compare_tables(record), json)
