"""An interrupted fine-tuning loses no finished epoch: its state after each one, in one safetensors file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikeport.converters.write.atomic import check_writable
from spikeport.errors import ModelError, OutputError
from spikeport.models.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint

NAME = "finetune.safetensors"


@dataclass(frozen=True)
class Kept:
    """Where a fine-tuning is kept.

    Attributes:
        path: the file; it appears with the first finished epoch.
        module: all that is learnt, and the best of it so far.
        optimizer: its moments are kept; its learning rate is not, since it follows from the number of updates.
        settings: plain values that decide the bits of every epoch.
    """

    path: Path
    module: nn.Module
    optimizer: torch.optim.Optimizer
    settings: Mapping[str, Any]

    def write(self, history: Sequence[Mapping[str, float]]) -> None:
        """Replace what was kept.

        Raises:
            OutputError: the file cannot be written.
        """
        write_checkpoint(self.path, self.module, self.optimizer, Checkpoint(self.settings, tuple(history)))

    def read(self) -> tuple[Mapping[str, float], ...]:
        """Put what was kept into module and optimizer; the history, empty where nothing was kept.

        Raises:
            ModelError: damaged, or of a fine-tuning of something else or with other settings.
        """
        if not self.path.exists():
            return ()
        kept = read_checkpoint(self.path, self.module, self.optimizer)
        names = sorted({*kept.config, *self.settings})
        if other := [n for n in names if kept.config.get(n) != self.settings.get(n)]:
            found = ", ".join(f"{n}={kept.config.get(n)} (asked for: {self.settings.get(n)})" for n in other)
            raise ModelError(f"{self.path} is of a fine-tuning with {found}; use the same, or another folder")
        return kept.history


def file_in(folder: Path) -> Path:
    """The file of a folder, which is made where it is missing.

    Raises:
        OutputError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    check_writable(folder / NAME)
    return folder / NAME


def digest(arrays: Iterable[NDArray[Any]]) -> str:
    """64 bits of SHA-256 over dtype, shape and bytes of each."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()[:16]
