"""``spikeport run``: data through a deployment, or through the trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def run_model(
    model: options.Model,
    data: options.Data,
    backend: options.Backend = "auto",
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    encode: options.Encode = None,
    decode: options.Decode = None,
    record: options.Record = "",
    save: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write an .npz: `output` (B, T, n), `prediction`, `label`, and `spikes/<layer>` for recorded layers, "
            "on the input's clock.",
        ),
    ] = None,
    split: options.Split = None,
    samples: options.Samples = None,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    memory: options.Memory = None,
    early_exit: options.EarlyExit = None,
    json: options.Json = None,
) -> None:
    """Run data through a model and count what happened; accuracy where the data have labels."""
    from spikeport.deploy.cli.output import check_suffix, check_targets, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment, read_spiking
    from spikeport.deploy.report.run_record import run_record, run_tables, save_arrays
    from spikeport.errors import DataError

    check_targets(json, save, inputs=(model, data))
    check_suffix(save, ".npz", "--save")
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    names = tuple(name.strip() for name in record.split(",") if name.strip())
    if backend == "float":
        if early_exit is not None:
            raise DataError("--early-exit counts what a chip saves; it needs a deployment, not --backend float")
        from spikeport.deploy.cli.trained import run_trained
        from spikeport.deploy.compile import codec_for

        network = read_spiking(model, dialect, dt)
        encoder = codec_for(network, encode).encoder
        given = read_data(data, split, binning, samples, network.shapes[network.inputs[0]], encoder)
        result = run_trained(model, network, given, encode, decode, names)
    else:
        if (encode, decode, dialect, dt) != (None, None, None, None):
            raise DataError("--encode, --decode, --dialect and --dt belong to a .nir file; a deployment has its own")
        from spikeport.deploy.cli.execution import run_chip

        deployment = read_deployment(model)
        shape = deployment.network.populations[deployment.network.inputs[0]].shape
        given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
        result = run_chip(deployment, given, backend, names, memory, early_exit)
    if save is not None:
        save_arrays(result, given.labels, save)
    tell((*given.findings, *result.findings))
    summary = run_record(result, given, str(model), str(data))
    show(summary, run_tables(summary), json)
