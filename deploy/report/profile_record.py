"""A hardware profile as rows: every number with its unit, its source and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from rich.console import RenderableType

from spikeport.deploy.report.tables import columns, facts
from spikeport.hw_profiles.profile import Profile
from spikeport.hw_profiles.quantity import Choices, Count, Curve, Feature, Quantity, Sourced


def profile_record(profile: Profile) -> dict[str, Any]:
    """The profile as plain JSON values: ``entries`` holds one row per number."""
    return {
        "name": profile.name,
        "title": profile.title,
        "description": profile.description,
        "entries": list(_entries(profile, "")),
    }


def _entries(part: BaseModel | Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    """Every sourced entry below ``part``, in the order of the file."""
    pairs = (
        part.items() if isinstance(part, Mapping) else ((key, getattr(part, key)) for key in type(part).model_fields)
    )
    for key, value in pairs:
        place = f"{path}.{key}" if path else key
        if isinstance(value, Sourced):
            yield {"entry": place, **_value(value), "evidence": value.evidence, "source": value.source}
        elif isinstance(value, BaseModel | Mapping):
            yield from _entries(value, place)


def _value(entry: Sourced) -> dict[str, Any]:
    match entry:
        case Count() | Quantity():
            return {"value": entry.value, "unit": entry.unit}
        case Choices():
            return {"value": list(entry.values), "unit": entry.unit}
        case Feature():
            return {"value": entry.value, "unit": ""}
        case Curve():
            return {"value": [list(point) for point in entry.points] or None, "unit": f"{entry.unit} by {entry.x_unit}"}
        case _:
            numbers = entry.model_dump(exclude={"source", "evidence"})
            return {"value": ", ".join(f"{key} {value}" for key, value in numbers.items()), "unit": ""}


def profile_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The profile for the terminal."""
    rows = [entry | {"value": _text(entry["value"])} for entry in record["entries"]]
    names = {"entry": "entry", "value": "value", "unit": "unit", "evidence": "evidence", "source": "source"}
    return [facts(record["name"], {"": record["title"], " ": record["description"]}), columns("", rows, names)]


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, list):
        return ", ".join("→".join(f"{x:g}" for x in v) if isinstance(v, list) else str(v) for v in value)
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
