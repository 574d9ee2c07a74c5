"""``spikeport inspect``: what is in a model."""

from __future__ import annotations

from spikeport.deploy.cli import options


def inspect(
    model: options.Model,
    dialect: options.Dialect = None,
    dt: options.Dt = None,
    json: options.Json = None,
) -> None:
    """Show what a model holds: per layer its shape, discrete decays and gains, thresholds, resets; or a deployment."""
    from spikeport.deploy.cli.output import check_targets, show, tell
    from spikeport.deploy.cli.sources import is_compiled, read_deployment, read_network
    from spikeport.deploy.report.deployment_record import deployment_record, deployment_tables, worth_saying
    from spikeport.deploy.report.network_record import network_record, network_tables
    from spikeport.errors import DataError

    check_targets(json, inputs=(model,))
    if is_compiled(model):
        if (dialect, dt) != (None, None):
            raise DataError("--dialect and --dt belong to a .nir file; a deployment has its own")
        deployment = read_deployment(model)
        record = deployment_record(deployment)
        show(record, deployment_tables(record), json)
        tell(worth_saying(deployment))
        return
    network = read_network(model, dialect, dt)
    record = network_record(network)
    show(record, network_tables(record), json)
    tell(network.findings)
