"""``spikeport profiles``: the chips, and every number of one of them."""

from __future__ import annotations

from typing import Annotated

import typer

from spikeport.deploy.cli import options

profiles = typer.Typer(help="List the chips, or show every number of one with its unit, source and evidence.")


@profiles.callback(invoke_without_command=True)
def list_all(context: typer.Context, json: options.Json = None) -> None:
    """List the profiles that come with spikeport."""
    if context.invoked_subcommand is not None:
        return
    from spikeport.deploy.cli.output import check_targets, show
    from spikeport.deploy.report.tables import columns
    from spikeport.hw_profiles.profile import list_profiles, load_profile

    check_targets(json)
    loaded = [load_profile(name) for name in list_profiles()]
    rows = [{"name": p.name, "title": p.title, "description": p.description} for p in loaded]
    names = {"name": "profile", "title": "chip", "description": "about"}
    show({"profiles": rows}, [columns("profiles", rows, names)], json)


@profiles.command("show")
def show_one(
    name: Annotated[str, typer.Argument(help="A profile's name, or the path of a .toml file.")],
    json: options.Json = None,
) -> None:
    """Show every number of a profile with its unit, source and evidence class."""
    from spikeport.deploy.cli.output import check_targets, show
    from spikeport.deploy.report.profile_record import profile_record, profile_tables
    from spikeport.hw_profiles.profile import load_profile

    check_targets(json)
    record = profile_record(load_profile(name))
    show(record, profile_tables(record), json)
