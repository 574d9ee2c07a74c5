"""Logging for TensorBoard, where the user has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spikeport.errors import BackendError
from spikeport.models.training.fit import Figures


@contextmanager
def logger(folder: Path | None) -> Iterator[Callable[[int, Figures], None] | None]:
    """Writes figures of every epoch to ``folder``; None, and nothing, without a folder.

    Raises:
        BackendError: TensorBoard is not installed.
    """
    if folder is None:
        yield None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise BackendError(
            "logging for TensorBoard needs the package tensorboard: pip install 'spikeport[zoo]'"
        ) from error
    writer = SummaryWriter(str(folder))

    def log(epoch: int, figures: Figures) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch)

    try:
        yield log
    finally:
        writer.close()
