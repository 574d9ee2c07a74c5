"""Estimates for the terminal: several price lists side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.report.tables import columns, facts, si

_ROWS = (
    ("energy per inference", "energy_j", "J"),
    ("  of it dynamic", "dynamic_j", "J"),
    ("  of it static", "static_j", "J"),
    ("  of it with a known price", "known_j", "J"),
    ("latency", "latency_s", "s"),
    ("  slowest sample", "slowest_latency_s", "s"),
    ("time per step", "step_s", "s"),
    ("inferences per second, at most", "max_rate_hz", "Hz"),
    ("power at that rate", "power_w", "W"),
    ("energy-delay product", "energy_delay_js", "Js"),
)


def estimate_tables(records: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """One column per estimate (each `Estimate.as_dict`), then where the energy goes, then what is missing."""
    heads = {str(i): record["profile"] for i, record in enumerate(records)}
    rows = [{"what": what, **_cells(records, key, unit)} for what, key, unit in _ROWS]
    if (rate := records[0]["rate_hz"]) is not None:
        cells = {str(i): _at_rate(record) for i, record in enumerate(records)}
        rows.append({"what": f"power at {rate:g} Hz", **cells})
    for what, key in (("weakest evidence, energy", "evidence"), ("weakest evidence, latency", "latency_evidence")):
        rows.append({"what": what, **{str(i): record[key] for i, record in enumerate(records)}})
    first = records[0]
    size = f"{first['samples']} samples, {first['steps']:g} chip steps each, cores: {first['cores']}"
    tables: list[RenderableType] = [columns(f"estimate ({size})", rows, {"what": "", **heads})]
    tables.append(columns("events per inference", _count_rows(first), {"event": "event", "count": "count"}))
    tables.append(columns("dynamic energy by layer (priced part)", _layer_rows(records), {"layer": "layer", **heads}))
    return tables + [_caveats(record) for record in records if _caveat_rows(record)]


def _cells(records: Sequence[Mapping[str, Any]], key: str, unit: str) -> dict[str, str]:
    return {str(i): _cell(record, key, unit) for i, record in enumerate(records)}


def _cell(record: Mapping[str, Any], key: str, unit: str) -> str:
    """A price list that leaves static power out gives 0 J for it, which would read like a measurement."""
    static = [line["evidence"] for line in record["lines"] if line["name"] == "static"]
    if key == "static_j" and static == ["not-modelled"]:
        return "not modelled"
    if key == "known_j" and record["known_j"] == 0 and record["missing"]:
        return "none"
    return si(record[key], unit)


def _at_rate(record: Mapping[str, Any]) -> str:
    """Power at the rate asked for; a rate that one chip cannot keep is said beside the number."""
    most = record["max_rate_hz"]
    beyond = f" (but at most {si(most, 'Hz')})" if most is not None and record["rate_hz"] > most else ""
    return si(record["power_at_rate_w"], "W") + beyond


def _count_rows(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"event": name, "count": f"{count:,.1f}"} for name, count in record["counts"].items() if count]


def _layer_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    names = [part["name"] for part in records[0]["by_layer"]]
    return [
        {"layer": name, **{str(k): _part(record["by_layer"][i]) for k, record in enumerate(records)}}
        for i, name in enumerate(names)
    ]


def _part(part: Mapping[str, Any]) -> str:
    if not part["complete"] and part["energy_j"] == 0:
        return "unknown"
    return si(part["energy_j"], "J") + ("" if part["complete"] else " +?")


def _caveats(record: Mapping[str, Any]) -> RenderableType:
    return facts(f"{record['profile']}: what to know", _caveat_rows(record))


def _missing(record: Mapping[str, Any]) -> str:
    """The keys without a price; where there is no price at all, that is shorter and says more."""
    if record["missing"] and record["known_j"] == 0 and record["latency_s"] is None:
        return f"anything that happened (JSON names the {len(record['missing'])} keys)"
    return ", ".join(record["missing"])


def _caveat_rows(record: Mapping[str, Any]) -> dict[str, str]:
    rows = {
        "no price for": _missing(record),
        "left out by the price list": "; ".join(record["not_covered"]),
        "notes": " ".join(record["notes"]),
    }
    return {key: value for key, value in rows.items() if value}
