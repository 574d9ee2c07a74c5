"""Where results go: tables and JSON to stdout or files, findings and progress to stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape

from spikeport.converters.findings import Finding
from spikeport.converters.write.atomic import atomic_write, check_writable
from spikeport.errors import OutputError

STDOUT = Path("-")
FILE_WIDTH = 140
"""Columns of a table that goes into a file or a pipe."""


def check_targets(*paths: Path | None, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse files that cannot be written, or that would take the place of an input, before the work is done.

    Raises:
        OutputError: naming the first such file.
    """
    taken = {path.resolve(): "one of the command's own inputs" for path in inputs if path is not None}
    for path in paths:
        if path is not None and path != STDOUT:
            if path.resolve() in taken:
                raise OutputError(f"cannot write {path}: it is {taken[path.resolve()]}; choose another name")
            check_writable(path)
            taken[path.resolve()] = "another output of this command"


def show(record: Mapping[str, Any], tables: Iterable[RenderableType], target: Path | None) -> None:
    """Print ``tables``, write ``record`` as JSON to ``target``; with ``-`` JSON takes the place of the tables."""
    text = to_json(record)
    if target == STDOUT:
        sys.stdout.write(text)
        return
    console = Console(width=None if sys.stdout.isatty() else FILE_WIDTH)
    for table in tables:
        console.print(table)
    if target is not None:
        with atomic_write(target) as file:
            file.write(text.encode())


def to_json(record: Mapping[str, Any]) -> str:
    """JSON with a newline at its end; what is not finite becomes null, arrays become lists."""
    return json.dumps(_plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_suffix(path: Path | None, suffix: str, option: str) -> None:
    """Refuse a name that hides what the file is.

    Raises:
        OutputError: ``path`` does not end in ``suffix``.
    """
    if path is not None and path.suffix != suffix:
        raise OutputError(f"{option} {path}: choose another name, this file ends in {suffix}: {path.stem}{suffix}")


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Equal findings about several layers as one, in the order in which each came first."""
    places: dict[tuple[str, str, str, str], dict[str, None]] = {}
    for f in findings:
        places.setdefault((f.code, f.severity, f.message, f.advice), {})[f.where] = None
    return [
        Finding(code, severity, ", ".join(filter(None, where)), message, advice)  # type: ignore[arg-type]
        for (code, severity, message, advice), where in places.items()
    ]


def tell(findings: Iterable[Finding]) -> None:
    """Findings, to stderr."""
    console = Console(stderr=True)
    for finding in grouped(findings):
        style, word = ("yellow", "warning") if finding.severity == "warning" else ("dim", "note")
        console.print(f"[{style}]{word}[/]: {escape(str(finding))}", soft_wrap=True, highlight=False)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, in terminals only; call what it gives with (done, in all)."""
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def status(title: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr, in terminals only, that says what is being done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what: None
        return
    with console.status(title) as line:
        yield lambda what: line.update(f"{title}: {escape(what)}")
