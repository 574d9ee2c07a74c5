"""A conversion as a JSON record and as tables: accuracy against steps, levels, and what either code would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from spikeport.converters.passes.convert.operations import Operations
from spikeport.deploy.conversion.convert import Conversion
from spikeport.deploy.report.tables import columns, facts


def conversion_record(conversion: Conversion, model: str, output: str) -> dict[str, Any]:
    """The conversion as plain JSON values; scores as shares of 1."""
    network = conversion.network
    return {
        "model": model,
        "output": output,
        "to": conversion.to,
        "encode": network.encode,
        "decode": network.decode,
        "measure": conversion.measure,
        "samples": conversion.samples,
        "original_score": conversion.original,
        "steps": conversion.steps,
        "warm_up": conversion.warm_up,
        "points": [asdict(point) for point in conversion.points],
        "from_start": [asdict(point) for point in conversion.from_start],
        "max_pools": None if conversion.max_pools is None else asdict(conversion.max_pools),
        "layers": [{"layer": name, **asdict(layer)} for name, layer in conversion.layers.items()],
        "operations": {**asdict(conversion.operations), "codes": codes(conversion)},
        "findings": [f.as_dict() for f in conversion.findings],
    }


def codes(conversion: Conversion) -> list[dict[str, Any]]:
    """Estimates of one sample's work in either code, at the steps the conversion found (or tried)."""
    done: Operations = conversion.operations
    steps = conversion.steps or conversion.points[-1].steps
    shown = steps if conversion.to == "spiking" else None
    return [
        {"code": "conventional", "steps": 1, "events": None, "synops": done.multiply_accumulates, "needs": ""},
        {
            "code": "spiking",
            "steps": shown,
            "events": None if shown is None else round(done.spikes_per_step * shown),
            "synops": round(done.synops_per_step * (shown or 1)),
            "needs": "any chip" if shown else "any chip; per step",
        },
        {
            "code": "sigma-delta",
            "steps": 1,
            "events": round(done.messages),
            "synops": round(done.message_synops),
            "needs": "graded spikes (loihi2)",
        },
    ]


def conversion_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """What a terminal shows."""
    return [
        facts(f"{record['model']} -> {record['output']}, {record['to']}", _summary(record)),
        columns(f"{record['measure']} and error of the output, by time steps", _points(record), _headings(record)),
        columns(
            "layers",
            _layers(record["layers"]),
            {"layer": "layer", "neurons": "neurons", "level": "level", "active": "active", "threshold": "threshold"},
        ),
        columns(
            "work per sample (estimate)",
            record["operations"]["codes"],
            {"code": "code", "steps": "steps", "events": "spikes", "synops": "operations", "needs": "needs"},
        ),
    ]


def _summary(record: Mapping[str, Any]) -> dict[str, Any]:
    measured = f"{record['measure']} on {record['samples']} samples"
    best = next((p for p in record["points"] if p["steps"] == record["steps"]), record["points"][-1])
    reached = "not reached" if record["steps"] is None else f"{record['steps']} step(s)"
    rows = {
        "conventional network": f"{record['original_score']:.2%} {measured}",
        "converted network": f"{best['score']:.2%} after {best['steps']} step(s)",
        "steps that are enough": reached,
        "encode": record["encode"],
        "decode": record["decode"],
    }
    if pools := record["max_pools"]:
        scores = f"{pools['measure']} with maximum {pools['exact']:.2%}, with average {pools['average']:.2%}"
        rows["maximum pools"] = f"{pools['treatment']} ({scores}, calibration data)"
    return rows


def _headings(record: Mapping[str, Any]) -> dict[str, str]:
    if not record["warm_up"]:
        return {"steps": "steps", "score": record["measure"], "error": "error"}
    late = f"from {record['warm_up']}"
    return {
        "steps": "steps",
        "score": "from the start",
        "error": "error",
        "late": f"read {late}",
        "left": f"error {late}",
    }


def _points(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    late = {p["steps"]: p for p in record["points"]}
    rows = []
    for p in record["from_start"]:
        row = {"steps": p["steps"], "score": f"{p['score']:.2%}", "error": f"{p['error']:.1%}"}
        if q := late.get(p["steps"]):
            row |= {"late": f"{q['score']:.2%}", "left": f"{q['error']:.1%}"}
        rows.append(row)
    return rows


def _layers(layers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    def level(row: Mapping[str, Any]) -> str:
        low, high = row["lowest_level"], row["highest_level"]
        return f"{low:.3g}" if low == high else f"{low:.3g} .. {high:.3g}"

    return [{**row, "level": level(row), "active": f"{row['active']:.1%}"} for row in layers]
