"""``spikeport doctor``: what is installed, what is usable, and the command that mends what is not."""

from __future__ import annotations

from spikeport.deploy.cli import options


def doctor(json: options.Json = None) -> None:
    """Check Python, packages, Lava and Intel's Loihi compiler; print the exact command that mends what is missing."""
    from spikeport.deploy.cli.output import check_targets, show
    from spikeport.deploy.report.health import health_record, health_tables

    check_targets(json)
    record = health_record()
    show(record, health_tables(record), json)
