"""``spikeport estimate``: what a deployment costs on real data, by one price list or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def estimate(
    model: options.Deployed,
    data: options.Data,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            help="Price list: a profile's name or .toml file; give it several times to compare. Default: own."
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(metavar="HZ", help="Inferences per second to give power for.")] = None,
    assume_prices: Annotated[
        str | None,
        typer.Option(metavar="PROFILE", help="Fill unknown prices with this profile's; every result says so."),
    ] = None,
    max_energy: Annotated[
        float | None, typer.Option(metavar="J", help="Budget per inference; exit code 4 if it is exceeded.")
    ] = None,
    max_latency: Annotated[float | None, typer.Option(metavar="S", help="Budget per inference, likewise.")] = None,
    max_power: Annotated[
        float | None, typer.Option(metavar="W", help="Budget at --rate, or at full speed, likewise.")
    ] = None,
    early_exit: options.EarlyExit = None,
    split: options.Split = None,
    samples: options.Samples = None,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    json: options.Json = None,
) -> None:
    """Run data on the chip simulator and price the counts: energy, latency and power per inference."""
    from spikeport.deploy.cli.execution import make_exit
    from spikeport.deploy.cli.output import check_targets, progress, show, tell
    from spikeport.deploy.cli.pricing import estimates_of
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment
    from spikeport.deploy.estimate.budget import Budget
    from spikeport.deploy.report.estimate_tables import estimate_tables
    from spikeport.errors import DataError
    from spikeport.hw_profiles.profile import load_profile

    check_targets(json, inputs=(model, data, *map(Path, (*(profile or ()), *filter(None, [assume_prices])))))
    given_numbers = {"rate": rate, "max-energy": max_energy, "max-latency": max_latency, "max-power": max_power}
    for option, number in given_numbers.items():
        if number is not None and not 0 < number < float("inf"):
            raise DataError(f"--{option} {number:g} must be above 0")
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    lender = None if assume_prices is None else load_profile(assume_prices)
    lists = [load_profile(name) for name in profile or ()]
    deployment = read_deployment(model)
    shape = deployment.network.populations[deployment.network.inputs[0]].shape
    given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
    stop = None if early_exit is None else make_exit(early_exit, deployment, given)
    with progress(f"running {len(given.input)} samples") as report:
        run = deployment.run(given.input, progress=report, stop=stop)
    priced, said = estimates_of(deployment, run, lists, lender, rate)
    estimates = [e.as_dict() for e in priced]
    findings = (*given.findings, *run.findings, *said)
    tell(findings)
    record = {
        "model": str(model),
        "data": str(data),
        "data_hash": given.hash,
        "estimates": estimates,
        "findings": [f.as_dict() for f in findings],
    }
    show(record, estimate_tables(estimates), json)
    budget = Budget(max_energy, max_latency, max_power)
    for each in priced:
        budget.check(each)
