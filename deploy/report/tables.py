"""Terminal tables from plain records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from math import floor, log10
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

_NUMBER = re.compile(r"|unknown|-?[\d.,e+-]+(%| ?[fpnµmkMG]?\w{0,2})( \+\?)?")
_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}


def si(value: float | None, unit: str) -> str:
    """Three digits with an SI prefix: ``1.23 µJ``; ``unknown`` for None."""
    if value is None:
        return "unknown"
    if value == 0:
        return f"0 {unit}"
    exponent = min(max(3 * floor(log10(abs(value)) / 3 + 1e-12), -15), 9)
    return f"{value / 10.0**exponent:.3g} {_PREFIXES[exponent]}{unit}"


def text(value: Any) -> str:
    """A cell: numbers short, None empty, lists with ×."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "×".join(map(str, value))
    return str(value)


def columns(title: str, rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> RenderableType:
    """One line per record; ``names``: key of the record to heading."""
    table = Table(box=box.SIMPLE_HEAD)
    body = [[text(row.get(key)) for key in names] for row in rows]
    for i, heading in enumerate(names.values()):
        numeric = i > 0 and all(_NUMBER.fullmatch(line[i]) for line in body)
        width = max((len(word) for word in heading.split()), default=1)
        table.add_column(escape(heading), justify="right" if numeric else "left", overflow="fold", min_width=width)
    for line in body:
        table.add_row(*map(escape, line))
    return Group(f"[bold]{escape(title)}[/]", table) if title else table


def facts(title: str, entries: Mapping[str, Any]) -> RenderableType:
    """Two columns: what, and its value."""
    table = Table(box=None, show_header=False, padding=(0, 2))
    for key, value in entries.items():
        table.add_row(escape(key), escape(text(value)))
    return Group(f"[bold]{escape(title)}[/]", table, "")
