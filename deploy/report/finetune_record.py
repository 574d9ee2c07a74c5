"""A fine-tuning as a JSON record and as a table: loss and accuracy after every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.report.tables import columns
from spikeport.models.finetuning import Epoch, best_epoch


def finetune_record(output: Path, history: Sequence[Epoch]) -> dict[str, Any]:
    """``accuracy``: of the chip on the samples held back from learning; epoch 0 is before."""
    epochs = [{"epoch": i, "loss": e.loss, "accuracy": e.accuracy} for i, e in enumerate(history)]
    kept = best_epoch(history)
    return {"output": str(output), "kept_epoch": kept, "epochs": epochs}


def finetune_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """One row per epoch; the one whose integers were kept is marked."""
    rows = [
        {**row, "accuracy": f"{row['accuracy']:.2%}", "kept": row["epoch"] == record["kept_epoch"] or None}
        for row in record["epochs"]
    ]
    rows[0]["loss"] = None
    return [columns("fine-tuning: accuracy on held-back samples", rows, _HEADINGS)]


_HEADINGS = {"epoch": "epoch", "loss": "loss", "accuracy": "chip accuracy", "kept": "kept"}
