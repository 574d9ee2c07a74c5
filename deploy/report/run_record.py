"""A run as a JSON record, as tables, and as arrays in an ``.npz``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from spikeport.converters.findings import Finding
from spikeport.converters.write.atomic import atomic_write
from spikeport.deploy.backends.simulator.memory import written
from spikeport.deploy.backends.simulator.simulation import Choice
from spikeport.deploy.codec import Codec
from spikeport.deploy.data import Data
from spikeport.deploy.decode import Decoded
from spikeport.deploy.records import compact
from spikeport.deploy.report.tables import columns, facts


@dataclass(frozen=True)
class Layer:
    """Counts of one spiking layer over all samples.

    Attributes:
        spikes: several in one step count as several. messages: what is sent for them; a graded spike is one message.
    """

    neurons: int
    spikes: int
    messages: int
    u_wraps: int = 0
    v_clips: int = 0


@dataclass(frozen=True)
class Result:
    """What a run gave, from whatever backend.

    Attributes:
        output: (B, T, n) on the input's clock.
        decoded: class and scores per sample.
        codec: encoder and decoder; None where data went in as they were.
        spikes: (B, T, *shape) of each recorded layer.
        layers: counts per spiking layer.
        synops: synaptic operations per group; None where the backend does not count them.
        chip_steps: steps the chip took per sample; None for the float network.
        steps_used: (B,) of these, where samples could stop early.
        engines: per population, who computed it and why; empty where there was no choice.
        memory: bytes that the run allocated at most; None where nobody knows.
    """

    backend: str
    output: NDArray[Any]
    decoded: Decoded
    codec: Codec | None
    spikes: Mapping[str, NDArray[Any]]
    layers: Mapping[str, Layer]
    synops: Mapping[str, int] | None
    input_steps: int
    chip_steps: int | None
    findings: tuple[Finding, ...]
    engines: Mapping[str, Choice] = field(default_factory=dict)
    memory: int | None = None
    steps_used: NDArray[np.int64] | None = None


def accuracy(predictions: NDArray[np.int64], labels: NDArray[np.int64] | None) -> float | None:
    """Share of samples whose class is right; None without labels."""
    return None if labels is None else float((predictions == labels).mean())


def run_record(result: Result, data: Data, model: str, source: str) -> dict[str, Any]:
    """The run as plain JSON values."""
    samples = len(data.input)
    layers = [
        {
            "layer": name,
            "neurons": layer.neurons,
            "spikes": layer.spikes,
            "spikes_per_sample": layer.spikes / samples,
            "messages_per_sample": layer.messages / samples,
            "rate": layer.spikes / (samples * result.input_steps * layer.neurons),
            "u_wraps": layer.u_wraps,
            "v_clips": layer.v_clips,
        }
        for name, layer in result.layers.items()
    ]
    synops = None if result.synops is None else sum(result.synops.values()) / samples
    return {
        "model": model,
        "data": source,
        "data_hash": data.hash,
        "backend": result.backend,
        "codec": None if result.codec is None else result.codec.as_dict(),
        "samples": samples,
        "input_steps": result.input_steps,
        "chip_steps": result.chip_steps,
        "memory_bytes": result.memory,
        "steps_used": None if result.steps_used is None else result.steps_used.tolist(),
        "engines": {name: asdict(choice) for name, choice in result.engines.items()},
        "accuracy": accuracy(result.decoded.classes, data.labels),
        "predictions": result.decoded.classes.tolist(),
        "labels": None if data.labels is None else data.labels.tolist(),
        "layers": layers,
        "synops": result.synops,
        "synops_per_sample": synops,
        "findings": [f.as_dict() for f in (*data.findings, *result.findings)],
    }


def run_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The run for the terminal."""
    right = record["accuracy"]
    synops = record["synops_per_sample"]
    chip = "" if record["chip_steps"] is None else f" ({record['chip_steps']} on the chip)"
    head = facts(
        f"{record['model']} on {record['backend']}",
        {
            "samples": record["samples"],
            "time steps": f"{record['input_steps']}{chip}",
            "accuracy": "no labels" if right is None else f"{right:.2%}",
            "SynOps per sample": "not counted" if synops is None else f"{synops:,.0f}",
            **_used(record["steps_used"]),
            **({} if record["memory_bytes"] is None else {"memory, at most": written(record["memory_bytes"])}),
        },
    )
    names = {
        "layer": "layer",
        "neurons": "neurons",
        "spikes_per_sample": "spikes per sample",
        "messages_per_sample": "messages per sample",
        "rate": "spikes per neuron and step",
    }
    if all(layer["messages_per_sample"] == layer["spikes_per_sample"] for layer in record["layers"]):
        del names["messages_per_sample"]
    return [head, columns("spikes", record["layers"], names), *_engines(record["engines"])]


def _used(steps: list[int] | None) -> dict[str, str]:
    """How many chip steps samples took that could stop early: mean, and the quartiles."""
    if steps is None:
        return {}
    low, middle, high = np.percentile(steps, (25, 50, 75))
    return {"chip steps used": f"{np.mean(steps):.2f} (quartiles {low:g}, {middle:g}, {high:g})"}


def _engines(chosen: Mapping[str, Mapping[str, str]]) -> list[RenderableType]:
    """Who computed which layer, and why; nothing where there was no choice."""
    rows = [{"layer": name, **choice} for name, choice in chosen.items()]
    return [columns("engines", rows, {"layer": "layer", "engine": "engine", "reason": "why"})] if rows else []


def save_arrays(result: Result, labels: NDArray[np.int64] | None, path: Path) -> None:
    """Write ``output``, ``prediction``, ``scores``, ``label`` (if known) and ``spikes/<layer>``.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "output": result.output,
        "prediction": result.decoded.classes,
        "scores": result.decoded.scores,
        **({} if labels is None else {"label": labels}),
        **{f"spikes/{name}": _small(train) for name, train in result.spikes.items()},
    }
    with atomic_write(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _small(train: NDArray[Any]) -> NDArray[Any]:
    """Spike counts are whole numbers, also where a backend keeps them as floats."""
    whole = train.astype(np.int64)
    return compact(whole) if np.array_equal(whole, train) else train
