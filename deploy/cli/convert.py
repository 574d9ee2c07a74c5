"""``spikeport convert``: from a conventional network to a spiking or sigma-delta one."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


class To(str, Enum):
    """What the activations become."""

    spiking = "spiking"
    sigma_delta = "sigma-delta"


class Per(str, Enum):
    """What shares a level."""

    channel = "channel"
    layer = "layer"


class MaxPool(str, Enum):
    """What maximum pools become."""

    auto = "auto"
    exact = "exact"
    average = "average"


def convert_model(
    model: Annotated[Path, typer.Argument(help="A file with a conventional network, for example .onnx.")],
    to: Annotated[
        To, typer.Option(help="spiking: rates of plain spikes, any chip. sigma-delta: graded changes, loihi2.")
    ],
    data: Annotated[Path, typer.Option("--data", metavar="PATH", help="Calibration data; see `spikeport run`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .nir file to write.")],
    test: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Data that the scores are taken on; --data if absent.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Spiking: the most time steps that are tried.")] = 64,
    per: Annotated[Per, typer.Option(help="One level for each channel of a map, or for a whole layer.")] = Per.channel,
    percentile: Annotated[
        float, typer.Option(help="Spiking: a spike at every step stands for this percentile of the activations.")
    ] = 99.9,
    start: Annotated[float, typer.Option(help="Spiking: membranes before the first step, in thresholds.")] = 0.5,
    warm_up: Annotated[
        int | None, typer.Option(min=0, help="Spiking: steps at the start that are not read; the best if absent.")
    ] = None,
    max_pool: Annotated[
        MaxPool, typer.Option(help="Exact takes more neurons; auto takes the average where the scores allow it.")
    ] = MaxPool.auto,
    error: Annotated[
        float, typer.Option(help="Sigma-delta: share of an activation (RMS) that may be lost by not sending.")
    ] = 0.02,
    points: Annotated[float, typer.Option(help="How many points of accuracy the conversion may cost.")] = 1.0,
    low: Annotated[float | None, typer.Option(help="Lowest input value; of the calibration data if absent.")] = None,
    high: Annotated[float | None, typer.Option(help="Highest input value; of the calibration data if absent.")] = None,
    levels: Annotated[int, typer.Option(min=1, help="Sigma-delta: payload of the largest input change.")] = 255,
    dt: Annotated[float, typer.Option(help="Seconds per time step of the new network.")] = 1e-3,
    samples: Annotated[int, typer.Option(min=1, help="Calibration samples used at most.")] = 512,
    test_samples: Annotated[int, typer.Option(min=1, help="Samples that are scored at most.")] = 1000,
    split: options.Split = None,
    json: options.Json = None,
) -> None:
    """Convert a conventional network (ReLU, ReLU6, QCFS) and say how many steps it takes to be as good."""
    from spikeport.converters.write.nir import write_nir
    from spikeport.deploy.cli.execution import check_labels
    from spikeport.deploy.cli.output import check_suffix, check_targets, show, status, tell
    from spikeport.deploy.cli.sources import make_binning, read_data, read_network
    from spikeport.deploy.conversion.convert import convert
    from spikeport.deploy.conversion.options import ConvertOptions
    from spikeport.deploy.report.conversion_record import conversion_record, conversion_tables

    check_targets(output, json, inputs=(model, data, test))
    check_suffix(output, ".nir", "--output")
    network = read_network(model, None, None)
    shape = network.shapes[network.inputs[0]]
    binning = make_binning(1e-3, None, None, False, 1e-6)
    given = read_data(data, split if test is None else None, binning, max(samples, test_samples), shape)
    exam = given if test is None else read_data(test, split, binning, test_samples, shape)
    for part in (given, exam):
        check_labels(part, sum(_size(network.shapes[name]) for name in network.outputs))
    choices = ConvertOptions(
        steps, per.value, percentile, start=start, warm_up=warm_up, max_pool=max_pool.value, error=error,
        points=points, low=low, high=high, levels=levels, dt=dt, samples=samples,
    )  # fmt: skip
    with status(f"converting {model.name}") as step:
        conversion = convert(
            network, given.input, to.value, given.labels, exam.input, exam.labels, options=choices, progress=step
        )
        said = write_nir(conversion.network, output)
    tell((*network.findings, *given.findings, *conversion.findings, *said))
    record = conversion_record(conversion, str(model), str(output))
    show(record, conversion_tables(record), json)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
