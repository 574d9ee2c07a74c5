"""``spikeport compile``: from a trained network to a deployment."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


class SplitWeights(str, Enum):
    """Whether one connection may take two 8-bit groups."""

    auto = "auto"
    never = "never"
    always = "always"


def compile_model(
    model: options.Network,
    target: Annotated[
        str, typer.Option(help="A profile's name (see `spikeport profiles`) or the path of a .toml file.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .spk file to write.")],
    data: options.OptionalData = None,
    encode: options.Encode = None,
    decode: options.Decode = None,
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    input_shape: options.InputShape = None,
    split_weights: Annotated[
        SplitWeights,
        typer.Option(help="Two weight groups, coarse and fine, where 8 bits are too few: twice the memory and SynOps."),
    ] = SplitWeights.auto,
    scales: Annotated[int, typer.Option(min=1, max=1000, help="How many scales are tried per layer.")] = 8,
    weight_bits: Annotated[
        int | None,
        typer.Option(min=1, max=8, help="Bits per weight; fewer save memory (`spikeport finetune` regains accuracy)."),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Calibration samples used at most.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of the random input that replaces missing calibration data.")] = 0,
    split: options.Split = None,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    json: options.Json = None,
) -> None:
    """Compile a trained network for a chip and write one deployment file."""
    from spikeport.deploy.cli.output import check_suffix, check_targets, show, status, tell
    from spikeport.deploy.cli.sources import make_binning, make_codec, read_compilable, read_data, shape_of_input
    from spikeport.deploy.compile import CompileOptions, compile_network
    from spikeport.deploy.encode import Spikes
    from spikeport.deploy.report.deployment_record import deployment_record, deployment_tables, worth_saying
    from spikeport.hw_profiles.profile import load_profile

    check_targets(output, json, inputs=(model, data, Path(target)))
    check_suffix(output, ".spk", "--output")
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    profile = load_profile(target)
    network = read_compilable(model, dialect, dt, input_shape)
    codec = make_codec(encode, decode, network)
    encoder = Spikes() if codec is None else codec.encoder
    calibration = None if data is None else read_data(data, split, binning, samples, shape_of_input(network), encoder)
    choices = CompileOptions(split_weights.value, scales, samples, seed, weight_bits)
    with status(f"compiling {model.name} for {profile.name}") as step:
        inputs = None if calibration is None else calibration.input
        deployment = compile_network(network, profile, inputs, codec, choices, step)
    deployment.save(output)
    tell((*(calibration.findings if calibration else ()), *worth_saying(deployment)))
    record = {"output": str(output), **deployment_record(deployment)}
    show(record, deployment_tables(record), json)
