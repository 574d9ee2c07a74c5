"""Float against chip as one page that opens offline: no script, no outside file, every name escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from spikeport.converters.write.atomic import atomic_write
from spikeport.deploy.report.compare_record import (
    LAYER_HEADS,
    effect_heads,
    effect_rows,
    first_title,
    layer_row,
    measures_text,
    points,
    spread_heads,
)

WIDTH, HEIGHT, MARGIN = 640.0, 190.0, 8.0
"""Of a membrane's drawing, in pixels."""


def write_html(record: Mapping[str, Any], path: Path) -> None:
    """Write the page of a comparison's record, whole or not at all.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    with atomic_write(path) as file:
        file.write(compare_html(record).encode())


def compare_html(record: Mapping[str, Any]) -> str:
    """The page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )
    first = record["first_difference"]
    return environment.get_template("compare.html").render(
        r=record,
        points=points,
        layer_heads=LAYER_HEADS,
        measures=measures_text(record),
        layers=[layer_row(layer) for layer in record["layers"]],
        effect_heads=effect_heads(record) if record["effects"] else {},
        effects=effect_rows(record) if record["effects"] else [],
        bars=_bars(record["effects"]),
        spread_heads=spread_heads(record),
        title=None if first is None else first_title(first),
        plot=None if first is None else _plot(first),
    )


def _bars(effects: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Per effect how far it alone moves the output, and how far the chip stays off without it; widths in per cent."""
    most = max((max(e["alone"]["mismatch"], e["without"]["mismatch"]) for e in effects), default=0.0) or 1.0
    return [
        {
            "effect": e["effect"],
            "meaning": e["meaning"],
            "alone": e["alone"]["mismatch"],
            "without": e["without"]["mismatch"],
            "alone_width": round(100 * e["alone"]["mismatch"] / most, 2),
            "without_width": round(100 * e["without"]["mismatch"] / most, 2),
        }
        for e in sorted(effects, key=lambda e: -e["alone"]["mismatch"])
    ]


def _plot(first: Mapping[str, Any]) -> dict[str, Any]:
    """Both membranes around the first difference, as coordinates."""
    sides = {word: first[word] for word in ("trained", "chip")}
    values = [v for side in sides.values() for v in (*side["decided"], side["threshold"])]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    count = max(len(first["steps"]) - 1, 1)

    def x(i: int) -> float:
        return round(MARGIN + i * (WIDTH - 2 * MARGIN) / count, 1)

    def y(value: float) -> float:
        return float(round(MARGIN + (high - value) / span * (HEIGHT - 2 * MARGIN), 1))

    drawn = {}
    for word, side in sides.items():
        path = " ".join(f"{x(i)},{y(v)}" for i, v in enumerate(side["decided"]))
        dots = [(x(i), y(side["decided"][i]), n) for i, n in enumerate(side["spikes"]) if n]
        drawn[word] = {"path": path, "dots": dots, "threshold": y(side["threshold"])}
    ticks = [(x(i), step) for i, step in enumerate(first["steps"]) if i % max(count // 8, 1) == 0]
    return {
        **drawn,
        "width": WIDTH,
        "height": HEIGHT,
        "at": x(first["steps"].index(first["step"])),
        "ticks": ticks,
        "low": f"{low:.4g}",
        "high": f"{high:.4g}",
    }
