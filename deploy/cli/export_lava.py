"""``spikeport export-lava``: a deployment as a Python module for people who go on in Lava."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def export_lava(
    model: options.Deployed,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATH", help="Python file; its arrays go beside it as .npz.")
    ],
    json: options.Json = None,
) -> None:
    """Write a readable Python module that builds the network's Lava Processes, and its arrays beside it."""
    from spikeport.converters.write.atomic import atomic_write
    from spikeport.deploy.backends.lava.export import export
    from spikeport.deploy.cli.output import check_targets, show
    from spikeport.deploy.cli.sources import read_deployment
    from spikeport.deploy.report.tables import columns
    from spikeport.errors import OutputError

    if output.suffix != ".py" or not output.stem.isidentifier():
        raise OutputError(f"{output} is not the name of a Python module, such as my_net.py")
    arrays = output.with_suffix(".npz")
    check_targets(output, arrays, json, inputs=(model,))
    if arrays.exists() and not output.exists():
        raise OutputError(f"cannot write {arrays}: it is there already and belongs to no {output}; choose another name")
    exported = export(read_deployment(model).network, str(model), arrays.name)
    with atomic_write(arrays) as file:
        exported.write_arrays(file)
    with atomic_write(output) as file:
        file.write(exported.text.encode())
    rows = [{"part": p.name, "process": p.kind, "origin": p.origin} for p in exported.plan.parts]
    record = {"model": str(model), "module": str(output), "arrays": str(arrays), "processes": rows}
    names = {"part": "name in the module", "process": "Process", "origin": "layer"}
    show(record, [columns(f"wrote {output} and {arrays.name}", rows, names)], json)
