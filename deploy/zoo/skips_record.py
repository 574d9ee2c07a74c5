"""A search for skips as a record, and as tables: the best of each sampler, and the Pareto front of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.report.tables import si
from spikeport.deploy.zoo.reproduction import ResultTable, Spread
from spikeport.deploy.zoo.skips_trial import Tried, front

TRIED_HEADS = {
    "score": "score",
    "validation": "validation",
    "test": "test",
    "rate": "firing rate",
    "energy": "energy",
    "cores": "cores",
    "step": "step",
    "parameters": "parameters",
}


def tried_row(tried: Tried) -> dict[str, Any]:
    """One candidate's figures for a table."""
    return {
        "score": f"{tried.score:.2f}",
        "validation": Spread((tried.accuracy,)),
        "test": Spread((tried.test,)),
        "rate": Spread((tried.rate,)),
        "energy": si(tried.energy_j, "J"),
        "cores": tried.cores,
        "step": si(tried.step_s, "s"),
        "parameters": f"{tried.parameters:,}",
    }


def front_table(tried: Sequence[Tried], title: str) -> ResultTable:
    """The Pareto front of ``tried``."""
    rows = tuple({"matrix": t.matrix, **tried_row(t)} for t in front(tried))
    return ResultTable(title, {"matrix": "matrix", **TRIED_HEADS}, rows)


def search_record(found: Mapping[str, Sequence[Tried]], target: str, folder: Path) -> dict[str, Any]:
    """Plain JSON values: every trial by sampler, and the front of all."""
    return {
        "target": target,
        "folder": str(folder),
        "trials": {kind: [{**asdict(t), "score": t.score} for t in tried] for kind, tried in found.items()},
        "front": [asdict(t) for t in front([t for tried in found.values() for t in tried])],
    }


def search_tables(found: Mapping[str, Sequence[Tried]]) -> list[RenderableType]:
    """The best score of each sampler, and the front of all trials."""
    best = {kind: max(tried, key=lambda t: t.score) for kind, tried in found.items()}
    rows = tuple({"by": kind, "matrix": t.matrix, **tried_row(t)} for kind, t in best.items())
    trials = [t for tried in found.values() for t in tried]
    heads = {"by": "search", "matrix": "matrix", **TRIED_HEADS}
    tables = (ResultTable("best score", heads, rows), front_table(trials, f"Pareto front of {len(trials)} trials"))
    return [table.shown() for table in tables]
