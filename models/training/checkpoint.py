"""The state of a training in one safetensors file: tensors, and JSON beside them; no pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from spikeport.converters.write.atomic import atomic_write
from spikeport.errors import ModelError
from spikeport.models.training.config import TrainingConfig, differences

RECORD = "spikeport"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """``config`` as plain values; ``history``: figures of every epoch done."""

    config: Mapping[str, Any]
    history: tuple[Mapping[str, float], ...]


def write_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Write weights, buffers, optimiser state and record; the file appears whole or not at all.

    Raises:
        OutputError: the path cannot be written.
    """
    tensors = {f"module/{k}": v for k, v in module.state_dict().items()} | dict(_optimizer_tensors(optimizer))
    # Clones: safetensors refuses tensors that share memory.
    copies = {k: v.detach().clone().contiguous() for k, v in tensors.items()}
    record = {"format": FORMAT, "config": checkpoint.config, "history": checkpoint.history}
    with atomic_write(path) as file:
        file.write(save(copies, {RECORD: json.dumps(record)}))


def read_checkpoint(
    path: Path,
    module: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    config: TrainingConfig | None = None,
) -> Checkpoint:
    """Put a saved state into ``module`` and, where given, ``optimizer``.

    Raises:
        ModelError: damaged, of another network, or of a training with settings other than ``config``.
    """
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})[RECORD])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
        checkpoint, version = Checkpoint(dict(record["config"]), tuple(record["history"])), record["format"]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as problem:
        raise ModelError(f"{path} cannot be read as a saved training: {problem}") from problem
    if version != FORMAT:
        raise ModelError(f"{path} has format {version}, this version reads {FORMAT}")
    if config is not None:
        _same_settings(path, checkpoint.config, config)
    _load(path, module, tensors)
    if optimizer is not None:
        _load_optimizer(optimizer, tensors)
    return checkpoint


def _same_settings(path: Path, saved: Mapping[str, Any], asked: TrainingConfig) -> None:
    if found := differences(asked, saved):
        raise ModelError(f"{path} is of a training with {found}; use the same settings, or another folder")


def _load(path: Path, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = {k.removeprefix("module/"): v for k, v in tensors.items() if k.startswith("module/")}
    for name, tensor in module.state_dict().items():
        if (found := own.get(name)) is not None and found.shape != tensor.shape:
            sizes = f"{name} is {list(found.shape)} there, {list(tensor.shape)} here"
            raise ModelError(f"{path} is of another network: {sizes}. Have the data another size, or other classes?")
    try:
        module.load_state_dict(own)
    except RuntimeError as problem:
        raise ModelError(f"{path} is of another network: {problem}") from problem


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                yield f"optimizer/{index}/{name}", value


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
