"""``spikeport export-nir``: a deployment's integers as a NIR file, to be evaluated in any framework."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


def export_nir(
    model: options.Deployed,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help="The .nir file to write.")],
    dialect: Annotated[
        str | None, typer.Option(help="In which framework's words; the one it was compiled under if absent.")
    ] = None,
    json: options.Json = None,
) -> None:
    """Write the chip's weights, decays and thresholds as a NIR file in the trained network's units."""
    from spikeport.converters.write.nir import write_nir
    from spikeport.deploy.cli.output import check_suffix, check_targets, show, tell
    from spikeport.deploy.cli.sources import read_deployment
    from spikeport.deploy.dequantized import float_network
    from spikeport.deploy.report.network_record import network_record, network_tables

    check_targets(output, json, inputs=(model,))
    check_suffix(output, ".nir", "--output")
    made = float_network(read_deployment(model), dialect)
    findings = (*made.findings, *write_nir(made.result, output))
    tell(findings)
    record = {"output": str(output), **network_record(made.result), "findings": [f.as_dict() for f in findings]}
    show(record, network_tables(record), json)
