"""Reproducing a paper's claim: what every method reports, and where its code is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev
from typing import Any, TypeAlias

from rich.console import RenderableType

from spikeport.converters.findings import Finding
from spikeport.deploy.report.tables import columns
from spikeport.errors import ModelError
from spikeport.models.recipe import Recipe
from spikeport.models.training.config import read_config
from spikeport.models.training.fit import Figures, Watch
from spikeport.models.training.run_folder import RunFolder, finish_run, read_record, start_run
from spikeport.models.zoo import method, recipe

REPRODUCTIONS: Mapping[str, str] = {
    "da-lif": "spikeport.deploy.zoo.da_lif",
    "meta": "spikeport.deploy.zoo.meta",
    "seenn": "spikeport.deploy.zoo.seenn",
    "transfer": "spikeport.deploy.zoo.transfer",
    "skips": "spikeport.deploy.zoo.skips",
}
"""Name of a method to the module that holds its ``reproduce``."""

Step: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    """One figure over several seeds."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return mean(self.values)

    @property
    def deviation(self) -> float:
        """Their sample standard deviation; 0 for a single one."""
        return stdev(self.values) if len(self.values) > 1 else 0.0

    def percent(self) -> str:
        """``89.4 ± 1.1 %``; without the spread for a single value."""
        spread = f" ± {100 * self.deviation:.1f}" if len(self.values) > 1 else ""
        return f"{100 * self.mean:.1f}{spread} %"


def known_mean(values: Sequence[float | None]) -> float | None:
    """The mean of energies or times; None where a price was missing for one."""
    known = [value for value in values if value is not None]
    return mean(known) if len(known) == len(values) else None


@dataclass(frozen=True)
class ResultTable:
    """``heads``: key of a row to its heading. Cells: text, numbers, or a `Spread` of shares, shown in per cent."""

    title: str
    heads: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]

    def shown(self) -> RenderableType:
        """For the terminal."""
        return columns(self.title, [_text(row) for row in self.rows], self.heads)


@dataclass(frozen=True)
class Claim:
    """``text``: an inequality; ``holds``: whether it does here, None where nobody looked; ``found``: the figures."""

    text: str
    holds: bool | None
    found: str


@dataclass(frozen=True)
class Reproduction:
    """What `reproduce` of a method returns; ``findings``: what is to say of its data."""

    method: str
    seeds: tuple[int, ...]
    tables: tuple[ResultTable, ...]
    claims: tuple[Claim, ...]
    findings: tuple[Finding, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain JSON values; spreads with their single values."""
        return {
            "method": self.method,
            "seeds": list(self.seeds),
            "tables": [{"title": t.title, "rows": [_plain(row) for row in t.rows]} for t in self.tables],
            "claims": [{"claim": c.text, "holds": c.holds, "found": c.found} for c in self.claims],
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def shown(self) -> list[RenderableType]:
        """For the terminal."""
        tables = [table.shown() for table in self.tables]
        words = {True: "yes", False: "no", None: "not checked"}
        claims = [{"claim": c.text, "holds": words[c.holds], "found": c.found} for c in self.claims]
        heads = {"claim": "claim", "holds": "holds", "found": "found"}
        return [*tables, columns("claims", claims, heads)]


def reproduce(name: str, data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Reproduction:
    """Reproduce a method's claim; trainings go into folders under ``folder`` and are not repeated.

    Args:
        name: of the method.
        data: as `spikeport.models.data.sets.find` takes it.
        folder: where the trainings are kept.
        seeds: one training of every variant for each.
        step: told what is being done.

    Raises:
        ModelError: no such method, or none of its claims can be reproduced.
    """
    if method(name).name not in REPRODUCTIONS:
        raise ModelError(f"{name} has nothing to reproduce; there are {', '.join(REPRODUCTIONS)}")
    found: Reproduction = import_module(REPRODUCTIONS[name]).reproduce(data, folder, tuple(seeds), step)
    return found


def trained(
    name: str, settings: Mapping[str, Any], data: Path, folder: Path
) -> tuple[RunFolder[Any], Recipe[Any], Figures]:
    """A finished training in ``folder``, done now unless it is there already."""
    chosen = recipe(name)
    run = start_run(folder, name, read_config(chosen.config, settings), data)
    figures = read_record(folder).get("figures")
    if figures is None:
        figures = chosen.train(run, Watch())
        finish_run(run, figures)
    return run, chosen, figures


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: {"mean": cell.mean, "deviation": cell.deviation, "values": cell.values}
        if isinstance(cell, Spread)
        else cell
        for key, cell in row.items()
    }


def _text(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: cell.percent() if isinstance(cell, Spread) else cell for key, cell in row.items()}
