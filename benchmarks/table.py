"""Rows of measurements as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

TITLES = (
    "", "wall ms per sample", "CPU ms per sample", "wall ratio", "CPU ratio", "10^9 events / s", "of peak", "MB",
    "spikes",
)  # fmt: skip
OURS = ("reference", "events", "dense", "auto")


@dataclass(frozen=True)
class Row:
    """What ``who`` needed for ``case`` in one repetition; ``found``: what its worker reported."""

    case: str
    who: str
    repetition: int
    found: dict[str, Any]

    @property
    def failed(self) -> str:
        """Why there is no figure, or ""."""
        return str(self.found.get("failed", ""))

    def times(self, kind: str) -> list[float]:
        """Seconds per sample of every run; ``kind``: "wall_s" or "cpu_s"."""
        return [t / self.found["samples"] for t in self.found[kind]]


def markdown(rows: Sequence[Row], machine: Sequence[dict[str, Any]], about: dict[str, Any]) -> str:
    """The whole report."""
    peaks = {name: max(m.get(name, 0.0) for m in machine) for name in machine[0] if name not in ("threads", "failed")}
    parts = [", ".join(f"{key} {value}" for key, value in about.items()), _machine(peaks)]
    for case in dict.fromkeys(row.case for row in rows):
        parts.append(_case(case, [row for row in rows if row.case == case], peaks))
    return "\n\n".join(parts) + "\n"


def _machine(peaks: Mapping[str, float]) -> str:
    lines = ["| the machine's peak, best of all repetitions | 10^9 / s |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value / 1e9:.1f} |" for name, value in peaks.items())])


def _case(case: str, rows: Sequence[Row], peaks: Mapping[str, float]) -> str:
    best = _best(rows)
    people = {who: [r for r in rows if r.who == who] for who in dict.fromkeys(r.who for r in rows)}
    whole = [_line(who, mine, rows, best, peaks) for who, mine in people.items()]
    head = f"**{case}**; ratios are to `{best}`, minimum / median / maximum over repetitions"
    return "\n".join([head, "", f"| {' | '.join(TITLES)} |", "|---" * len(TITLES) + "|", *whole])


def _best(rows: Sequence[Row]) -> str:
    """The engine that a user gets: auto, or the fastest of those that ran."""
    ours = [r for r in rows if r.who in ("auto", "events", "dense") and not r.failed]
    if any(r.who == "auto" for r in ours):
        return "auto"
    return min(ours, key=lambda r: min(r.times("cpu_s"))).who if ours else ""


def _line(who: str, mine: Sequence[Row], rows: Sequence[Row], best: str, peaks: Mapping[str, float]) -> str:
    good = [r for r in mine if not r.failed]
    if not good:
        return f"| {who} | {mine[0].failed}" + " |" * (len(TITLES) - 1)
    wall, cpu = ([t * 1e3 for r in good for t in r.times(kind)] for kind in ("wall_s", "cpu_s"))
    ratios = [_ratio(good, [r for r in rows if r.who == best], kind) for kind in ("wall_s", "cpu_s")]
    events = _rate(good, "synops")
    peak, spikes = max(r.found["peak_mb"] for r in good), _agreement(good[0], rows)
    shown = f"{events / 1e9:.3g}" if events else ""
    cells = [who, _three(wall), _three(cpu), *ratios, shown, _share(who, good, peaks), f"{peak:.0f}", spikes]
    return f"| {' | '.join(cells)} |"


def _share(who: str, good: Sequence[Row], peaks: Mapping[str, float]) -> str:
    """Of the peaks of additions and of bandwidth; of products, where sums are products: of those in use, too."""
    kinds = {"int8 to int32": "synops", "int8 by int16 to int32": "synops", "copy": "weight_bytes"}
    if who == "dense":
        kinds = {"float32 product": "operations"}
        if any("int8" in reason for reason in good[0].found.get("engines", {}).values()):
            kinds["int8 product"] = "operations"
    rates = {name: _rate(good, what) for name, what in kinds.items() if peaks.get(name)}
    return ", ".join(f"{rate / peaks[name]:.1%} ({name})" for name, rate in rates.items() if who in OURS and rate)


def _rate(good: Sequence[Row], what: str) -> float:
    """``what`` per wall second in the best run; of the whole batch."""
    return max((r.found[what] / min(r.found["wall_s"]) for r in good if r.found.get(what)), default=0.0)


def _ratio(mine: Sequence[Row], best: Sequence[Row], kind: str) -> str:
    """Median times of the same repetition against each other."""
    other = {r.repetition: median(r.times(kind)) for r in best if not r.failed}
    found = [median(r.times(kind)) / other[r.repetition] for r in mine if r.repetition in other]
    return _three(found) if found else ""


def _agreement(row: Row, rows: Sequence[Row]) -> str:
    """Spikes against those of the reference, or of another engine of ours where it did not run."""
    truth = next(
        (r for name in ("reference", "events", "dense", "auto") for r in rows if r.who == name and not r.failed), None
    )
    if truth is None or truth.who == row.who:
        return "" if truth is None else "(compared with)"
    if "trains" in row.found:
        return _trains(row.found["trains"], truth.found["trains"])
    inside = {name: n for name, n in truth.found["spikes"].items() if name in row.found.get("spikes", {})}
    if row.found["samples"] != int(truth.found["samples"]):
        return ""
    if "fired" in row.found:
        return _counted(row.found["fired"], sum(truth.found["spikes"].values()))
    return _counted(sum(row.found["spikes"][n] for n in inside), sum(inside.values())) if inside else "own integers"


def _trains(mine: Mapping[str, list[str]], theirs: Mapping[str, list[str]]) -> str:
    """Hashes of as many samples as both have."""
    both = [min(len(hashes), len(theirs[name])) for name, hashes in mine.items()]
    if any(hashes[:n] != theirs[name][:n] for n, (name, hashes) in zip(both, mine.items(), strict=True)):
        return "DIFFER"
    return f"equal, train by train ({min(both)} of {max(map(len, theirs.values()))} samples)"


def _counted(mine: float, theirs: float) -> str:
    return f"equal in number ({theirs:.0f})" if mine == theirs else f"{mine:.0f} instead of {theirs:.0f}"


def _three(values: Sequence[float]) -> str:
    return " / ".join(f"{v:.3g}" for v in (min(values), median(values), max(values)))
