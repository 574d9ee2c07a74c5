"""The choice of an early exit as a JSON record and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.early_exit import Calibrated
from spikeport.deploy.report.tables import columns, facts

SHOWN = 12
"""Points of the curve in the terminal; the JSON has all."""


def early_exit_record(found: Calibrated, steps: int, labelled: bool) -> dict[str, Any]:
    """``accuracy`` is against the labels, or without them against the answers of the full run."""
    return {
        "rule": str(found.rule),
        "input_steps": steps,
        "against": "labels" if labelled else "answers after all steps",
        "full_accuracy": found.full_accuracy,
        "chosen": asdict(found.chosen),
        "curve": [asdict(point) for point in found.curve],
    }


def early_exit_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The rule, and the curve it was chosen from."""
    chosen, total = record["chosen"], record["input_steps"]
    head = facts(
        "early exit",
        {
            "rule": record["rule"],
            "mean steps": f"{chosen['mean_steps']:.2f} of {total} ({chosen['mean_steps'] / total:.0%})",
            f"accuracy against {record['against']}": f"{chosen['accuracy']:.2%}",
            "after all steps": f"{record['full_accuracy']:.2%}",
        },
    )
    curve = record["curve"]
    rows = [
        {
            "threshold": f"{point['threshold']:.4g}",
            "accuracy": f"{point['accuracy']:.2%}",
            "mean_steps": f"{point['mean_steps']:.2f}",
        }
        for point in curve[:: max(len(curve) // SHOWN, 1)]
    ]
    names = {"threshold": "threshold", "accuracy": "accuracy", "mean_steps": "mean steps"}
    return [head, columns("curve", rows, names)]
