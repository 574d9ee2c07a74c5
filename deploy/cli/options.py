"""Options that several commands share, each written once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="A .nir, .onnx or lava-dl .net file, or a .spk that `compile` wrote.")]
Network = Annotated[Path, typer.Argument(help="A .nir file, or a lava-dl .net file.")]
Deployed = Annotated[Path, typer.Argument(help="A .spk file that `spikeport compile` wrote.")]

Json = Annotated[
    Path | None,
    typer.Option("--json", metavar="PATH", help="Write the result as JSON to PATH; - prints only JSON to stdout."),
]
Dialect = Annotated[
    str | None,
    typer.Option(
        help="What the .nir file's framework means by its nodes: name or name:key=value,..., "
        "for example snntorch:reset=zero,reset_delay=1. Guessed from the file if absent."
    ),
]
Dt = Annotated[
    float | None,
    typer.Option(help="Seconds per time step, where the file does not say (for example 1e-4)."),
]
InputShape = Annotated[
    str | None,
    typer.Option(metavar="CxHxW", help="Lava-dl .net files without an input layer: the input's shape, or its size."),
]
Encode = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="How data become input: spikes, current, rate, latency, graded, values or changes, with options, "
        "for example current:steps=16,low=0,high=16.",
    ),
]
Decode = Annotated[
    str | None,
    typer.Option(
        metavar="CODE",
        help="How output becomes a class: count, first-spike, membrane, membrane-last or membrane-max; "
        "membrane:start=8 reads from step 8 on.",
    ),
]

_DATA_HELP = (
    "A .npz or .npy file: array `input` (or the first) of shape (B, T, ...) or (B, ...), labels `label` or `labels`; "
    "or `events` with fields x, y, p, t and `offsets`."
)
Data = Annotated[Path, typer.Option("--data", metavar="PATH", help=_DATA_HELP)]
OptionalData = Annotated[Path | None, typer.Option("--data", metavar="PATH", help=_DATA_HELP)]
Split = Annotated[
    str | None,
    typer.Option(help="Which part of the data file: takes <split>_events, <split>_labels, ... (for example test)."),
]
Samples = Annotated[
    int | None,
    typer.Option(min=1, help="Use the first N samples only."),
]
Bin = Annotated[float, typer.Option(help="Event lists: seconds per time step.")]
Steps = Annotated[
    int | None,
    typer.Option(min=1, help="Event lists: number of time steps; later events are left out and counted."),
]
Sensor = Annotated[
    str | None,
    typer.Option(metavar="PxHxW", help="Event lists: size of the sensor; the network's input shape if absent."),
]
Counts = Annotated[
    bool,
    typer.Option("--counts", help="Event lists: a bin holds the number of events, not just 0 or 1."),
]
TimeUnit = Annotated[float, typer.Option(help="Event lists: seconds per unit of the field t.")]

Backend = Annotated[
    str,
    typer.Option(
        help="auto: the chip, bit for bit (.spk), each layer by the engine that suits it; events, dense, reference: "
        "by this one. lava: the same, by lava-nc. float: the trained network (.nir)."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="What the run may allocate, for example 512MiB; 2GiB if absent."),
]
Record = Annotated[
    str,
    typer.Option(metavar="NAMES", help="Keep the spikes of these layers: all, or names with commas between."),
]
EarlyExit = Annotated[
    str | None,
    typer.Option(
        metavar="RULE",
        help="Stop a sample when it is sure: margin:0.3 or first:12 (`spikeport early-exit` chooses), or "
        "policy:FILE (a policy that `spikeport zoo train seenn` wrote); with ,drain=N for the host's reaction.",
    ),
]
