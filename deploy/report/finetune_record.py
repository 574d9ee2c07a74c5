"""A fine-tuning as a JSON record and as a table: loss and accuracy after every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.report.tables import columns
from spikeport.models.finetuning import Epoch, best_epoch, target_met


def finetune_record(output: Path, history: Sequence[Epoch], target: float | None) -> dict[str, Any]:
    """``accuracy``: of the chip on the samples held back from learning; epoch 0 is before.

    ``target``: the accuracy asked for; ``met_epoch``: the first epoch that had it, null where none did.
    """
    epochs = [{"epoch": i, "loss": e.loss, "accuracy": e.accuracy} for i, e in enumerate(history)]
    met = None if target is None else target_met(history, target)
    kept = best_epoch(history)
    return {"output": str(output), "target": target, "met_epoch": met, "kept_epoch": kept, "epochs": epochs}


def finetune_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """One row per epoch; the one whose integers were kept is marked."""
    rows = [
        {**row, "accuracy": f"{row['accuracy']:.2%}", "kept": row["epoch"] == record["kept_epoch"] or None}
        for row in record["epochs"]
    ]
    rows[0]["loss"] = None
    title = f"fine-tuning: accuracy on held-back samples{_ended(record)}"
    return [columns(title, rows, _HEADINGS)]


def _ended(record: Mapping[str, Any]) -> str:
    if record["target"] is None:
        return ""
    met = record["met_epoch"]
    how = "not met" if met is None else "met before the first epoch" if met == 0 else f"met by epoch {met}"
    return f"; target {record['target']:.2%} {how}"


_HEADINGS = {"epoch": "epoch", "loss": "loss", "accuracy": "chip accuracy", "kept": "kept"}
