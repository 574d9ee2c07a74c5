"""A run folder: what was trained, with which settings, from which data, and what came of it. JSON and safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic

from spikeport.converters.write.atomic import atomic_write
from spikeport.errors import ModelError, OutputError
from spikeport.models.training.config import Config, differences, read_config
from spikeport.models.training.fit import Figures, Stage

RECORD = "run.json"
FORMAT = 1


@dataclass(frozen=True)
class RunFolder(Generic[Config]):
    """One training: ``path`` holds run.json and a ``<stage>.safetensors`` for each stage of the training.

    Attributes:
        method: its name in `spikeport.models.zoo`.
        config: its settings.
        data: the file or folder it learns from.
    """

    path: Path
    method: str
    config: Config
    data: Path

    def stage(self, name: str) -> Stage:
        """Where a stage of the training is saved."""
        return Stage(self.path / f"{name}.safetensors")


def start_run(path: Path, method: str, config: Config, data: Path) -> RunFolder[Config]:
    """A new folder, or one that was begun with the same method, settings and data.

    A folder where nothing was trained yet, because the settings or data were wrong, is begun anew.

    Raises:
        ModelError: the folder holds another training.
        OutputError: it cannot be made.
    """
    run = RunFolder(path, method, config, data.resolve())
    if (path / RECORD).exists() and (found := read_record(path)) and _begun(path, found):
        _same(run, found)
        return run
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {path}: {error.strerror or error}") from error
    asked = {"format": FORMAT, "method": method, "config": config.model_dump(mode="json"), "data": str(run.data)}
    _write(path, asked | {"versions": {name: version(name) for name in ("spikeport", "torch", "numpy")}})
    return run


def _begun(path: Path, record: Mapping[str, Any]) -> bool:
    return "figures" in record or any(path.glob("*.safetensors"))


def finish_run(run: RunFolder[Any], figures: Figures) -> None:
    """Keep what the training came to."""
    _write(run.path, {**read_record(run.path), "figures": dict(figures)})


def read_record(path: Path) -> dict[str, Any]:
    """What run.json says; ``figures`` only where the training came to its end.

    Raises:
        ModelError: no run folder, or damaged.
    """
    try:
        record: dict[str, Any] = json.loads((path / RECORD).read_text())
        if record["format"] != FORMAT:
            raise ModelError(f"{path / RECORD} has format {record['format']}, this version reads {FORMAT}")
        return {"method": str(record["method"]), "config": dict(record["config"]), "data": str(record["data"])} | record
    except OSError as error:
        raise ModelError(f"{path} is no run folder: {RECORD} {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path / RECORD} is damaged: {error!r}") from error


def open_run(path: Path, kind: type[Config], data: Path | None = None) -> RunFolder[Config]:
    """A folder that holds a finished training; ``data`` where they lie elsewhere by now.

    Raises:
        ModelError: no run folder, or the training did not come to its end.
    """
    record = read_record(path)
    if "figures" not in record:
        raise ModelError(f"the training in {path} is not finished; continue it with spikeport zoo train")
    return RunFolder(path, record["method"], read_config(kind, record["config"]), data or Path(record["data"]))


def _same(run: RunFolder[Any], found: Mapping[str, Any]) -> None:
    for what, asked in (("method", run.method), ("data", str(run.data))):
        if found[what] != asked:
            raise ModelError(f"{run.path} holds a training with {what} {found[what]}, not {asked}; use another folder")
    if other := differences(run.config, found["config"]):
        raise ModelError(f"{run.path} holds a training with {other}; use the same settings, or another folder")


def _write(path: Path, record: Mapping[str, Any]) -> None:
    with atomic_write(path / RECORD) as file:
        file.write((json.dumps(record, indent=2) + "\n").encode())
