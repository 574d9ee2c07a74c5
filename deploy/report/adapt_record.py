"""What an adaptation did, as plain values and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from spikeport.deploy.deployment import Deployment
from spikeport.deploy.learning.costs import with_learning
from spikeport.deploy.on_chip_learning import Adapted
from spikeport.deploy.report.estimate_tables import estimate_tables
from spikeport.deploy.report.tables import facts


def adapt_record(
    model: str,
    output: Path,
    rule: str,
    before: Deployment,
    adapted: Adapted,
    data: NDArray[Any],
    labels: NDArray[np.int64],
) -> dict[str, Any]:
    """Files, accuracy on the samples learnt from before and after, what it took, and the estimate."""
    after = adapted.deployment.run(data).output
    accuracy = [float(np.mean(before.codec.decode(output).classes == labels)) for output in (adapted.run.output, after)]
    return {
        "model": model,
        "output": str(output),
        "rule": rule,
        "samples": len(labels),
        "accuracy_before": accuracy[0],
        "accuracy_after": accuracy[1],
        "learning_rate": None if adapted.rate is None else str(adapted.rate),
        "mean_error": list(adapted.errors),
        "costs": adapted.costs.as_dict(),
        "estimate": with_learning(before.estimate(adapted.run), adapted.costs, before.profile.prices).as_dict(),
    }


def adapt_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """For the terminal."""
    rows = {
        "rule": record["rule"] + (f", dw = {record['learning_rate']}" if record["learning_rate"] else ""),
        "samples": str(record["samples"]),
        "right before": f"{record['accuracy_before']:.1%}",
        "right after (the samples learnt from)": f"{record['accuracy_after']:.1%}",
        **{name.replace("_", " "): f"{count:,}" for name, count in record["costs"].items() if count},
        "written": record["output"],
    }
    return [facts(f"{record['model']}: adapted", rows), *estimate_tables([record["estimate"]])]
