"""A comparison of the simulator with Lava as a plain record and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.backends.lava.compare import Comparison
from spikeport.deploy.report.tables import columns, facts


def comparison_record(comparison: Comparison, model: str, data: str, data_hash: str) -> dict[str, Any]:
    """Everything a comparison found; ``first_difference`` is None if all was equal."""
    populations = [
        {
            "population": name,
            "compared": comparison.compared[name],
            "spikes": comparison.spikes[name],
            "differing_spikes": comparison.differing_spikes[name],
            "differing_states": comparison.differing_states[name],
        }
        for name in comparison.compared
    ]
    return {
        "model": model,
        "data": data,
        "data_hash": data_hash,
        "lava": version("lava-nc"),
        "samples": comparison.samples,
        "chip_steps": comparison.steps,
        "equal": comparison.first is None,
        "populations": populations,
        "first_difference": None if comparison.first is None else asdict(comparison.first),
    }


def comparison_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The record for people."""
    title = f"simulator against lava-nc {record['lava']}: {record['samples']} samples of {record['chip_steps']} steps"
    names = {
        "population": "population",
        "compared": "neurons × steps",
        "spikes": "spikes",
        "differing_spikes": "differing spikes",
        "differing_states": "differing u or v",
    }
    tables = [columns(title, record["populations"], names)]
    first = record["first_difference"]
    return [*tables, facts("the first difference", first) if first else "equal in every spike and every state"]
