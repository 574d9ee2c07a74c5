"""``spikeport inspect``: what is in a model, whatever file it comes in, and what it will become."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikeport.deploy.cli import options

if TYPE_CHECKING:
    from spikeport.converters.chip_network import ChipNetwork
    from spikeport.converters.network import Network


def inspect(
    model: options.Model,
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    target: Annotated[
        str | None, typer.Option(help="The chip to show what becomes of a network on (default loihi2).")
    ] = None,
    input_shape: options.InputShape = None,
    json: options.Json = None,
) -> None:
    """Show what a model holds: per layer its shape, decays, gains, thresholds, resets; what the chip makes of it."""
    from spikeport.deploy.cli.output import check_targets
    from spikeport.deploy.cli.sources import is_compiled, read_model
    from spikeport.errors import DataError

    check_targets(json, inputs=(model,))
    if is_compiled(model):
        if (dialect, dt, target, input_shape) != (None, None, None, None):
            raise DataError(
                "--dialect, --dt, --target and --input-shape belong to a model file; a deployment has its own"
            )
        _deployment(model, json)
        return
    _model(read_model(model, dialect, dt, input_shape), model, target, json)


def _deployment(path: Path, json: Path | None) -> None:
    from spikeport.deploy.cli.output import show, tell
    from spikeport.deploy.cli.sources import read_deployment
    from spikeport.deploy.report.deployment_record import deployment_record, deployment_tables, worth_saying

    deployment = read_deployment(path)
    record = deployment_record(deployment)
    show(record, deployment_tables(record), json)
    tell(worth_saying(deployment))


def _model(model: Network | ChipNetwork, path: Path, target: str | None, json: Path | None) -> None:
    """A float network with its preview, or an integer program."""
    from spikeport.converters.chip_network import ChipNetwork
    from spikeport.converters.findings import Finding
    from spikeport.deploy.cli.output import show, tell
    from spikeport.deploy.report.chip_record import chip_record, chip_tables
    from spikeport.deploy.report.network_record import network_record, network_tables
    from spikeport.deploy.report.preview import describe, preview, preview_tables
    from spikeport.deploy.report.tables import facts
    from spikeport.errors import DataError
    from spikeport.hw_profiles.profile import load_profile

    what = {"file": str(path), "is": describe(model)}
    head = facts(str(path), {"is": what["is"]})
    if isinstance(model, ChipNetwork):
        if target is not None:
            raise DataError(f"{path} holds the chip's integers already; --target belongs to networks in floats")
        chip = chip_record(model)
        show(what | chip, [head, *chip_tables(chip)], json)
        tell(model.findings)
        return
    record, becomes = network_record(model), preview(model, load_profile(target or "loihi2"))
    tables = [head, *network_tables(record), *preview_tables(becomes)]
    show(what | record | {"becomes": becomes}, tables, json)
    tell((*model.findings, *(Finding(**entry) for entry in becomes["findings"])))
