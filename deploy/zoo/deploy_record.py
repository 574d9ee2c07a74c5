"""A deployed run as a record, and the record as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.report.tables import columns, facts, si
from spikeport.deploy.zoo.deployed import Deployed
from spikeport.models.training.run_folder import RunFolder


def deploy_record(run: RunFolder[Any], deployed: Deployed) -> dict[str, Any]:
    """Plain JSON values."""
    activity, samples = deployed.run.activity, len(deployed.labels)
    return {
        "method": run.method,
        "folder": str(run.path),
        "target": deployed.deployment.profile.name,
        "samples": samples,
        "float_accuracy": deployed.float_accuracy,
        "chip_accuracy": deployed.accuracy,
        "same_class": deployed.same,
        "cores": len(deployed.deployment.placement.cores),
        "synops": sum(int(counts.sum()) for counts in activity.synops.values()) / samples,
        "rates": deployed.rates,
        "estimates": [estimate.as_dict() for estimate in deployed.estimates],
        "findings": [finding.as_dict() for finding in deployed.findings],
    }


def deploy_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """What a deployment is worth, and what it costs by each price list."""
    main = {
        "accuracy, trained network": f"{record['float_accuracy']:.2%} of {record['samples']} samples",
        "accuracy, chip": f"{record['chip_accuracy']:.2%}",
        "same answer": f"{record['same_class']:.2%}",
        "cores": record["cores"],
        "SynOps per sample": f"{record['synops']:,.0f}",
        **{f"firing rate, {name}": f"{rate:.2%}" for name, rate in record["rates"].items()},
        "wrote": f"{record['folder']}/model.nir, {record['folder']}/model.spk",
    }
    prices = [
        {
            "prices": e["profile"],
            "energy": si(e["energy_j"], "J"),
            "latency": si(e["latency_s"], "s"),
            "missing": ", ".join(e["missing"]) or "nothing",
        }
        for e in record["estimates"]
    ]
    heads = {"prices": "prices of", "energy": "energy per sample", "latency": "latency", "missing": "without a price"}
    return [facts(f"{record['method']} on {record['target']}", main), columns("cost", prices, heads)]
