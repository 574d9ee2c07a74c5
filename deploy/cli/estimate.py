"""``spikeport estimate``: what a deployment costs on real data, by one price list or several."""

from __future__ import annotations

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
    from spikeport.converters.findings import Finding
    from spikeport.deploy.cli.output import check_targets, progress, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment
    from spikeport.deploy.estimate.budget import Budget
    from spikeport.deploy.report.estimate_tables import estimate_tables
    from spikeport.errors import DataError
    from spikeport.hw_profiles.profile import load_profile

    check_targets(json, inputs=(model, data))
    if rate is not None and not 0 < rate < float("inf"):
        raise DataError(f"--rate {rate:g} Hz must be above 0")
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    lender = None if assume_prices is None else load_profile(assume_prices)
    lists = [load_profile(name) for name in profile or ()]
    deployment = read_deployment(model)
    prices = [p if lender is None else p.with_prices_of(lender) for p in lists or [deployment.profile]]
    shape = deployment.network.populations[deployment.network.inputs[0]].shape
    given = read_data(data, split, binning, samples, shape)
    with progress(f"running {len(given.input)} samples") as report:
        run = deployment.run(given.input, progress=report)
    priced = [deployment.estimate(run, p, rate) for p in prices]
    estimates = [e.as_dict() for e in priced]
    tell(given.findings)
    record = {
        "model": str(model),
        "data": str(data),
        "data_hash": given.hash,
        "estimates": estimates,
        "findings": [f.as_dict() for f in given.findings],
    }
    show(record, estimate_tables(estimates), json)
    if any(e.energy_j is None for e in priced):
        note = (
            "some prices are unknown; --assume-prices loihi1 fills them with Loihi 1's and marks the result as assumed."
        )
        tell([Finding("prices-unknown", "info", "", note)])
    budget = Budget(max_energy, max_latency, max_power)
    for each in priced:
        budget.check(each)
