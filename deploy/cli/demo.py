"""``spikeport demo``: a trained network, real images, two chips, one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for report.json.")] = Path("demo"),
    json: options.Json = None,
) -> None:
    """Compile the shipped digits network for loihi1 and loihi2, run all its test images, and print what it costs."""
    from spikeport.converters.write.atomic import atomic_write
    from spikeport.deploy.cli.demonstration import demo_record, demo_tables
    from spikeport.deploy.cli.output import check_targets, show, status, to_json
    from spikeport.errors import OutputError

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output}: {error.strerror or error}") from error
    report = output / "report.json"
    check_targets(report, json)
    with status("demo") as step:
        record = demo_record(step)
    with atomic_write(report) as file:
        file.write(to_json(record).encode())
    show(record, demo_tables(record), json)
    typer.echo(f"wrote {report}", err=True)
