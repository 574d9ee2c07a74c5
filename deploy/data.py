"""Data files: spikes, values or event lists, with or without labels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.errors import DataError
from spikeport.models.data.events import Binning, bin_events
from spikeport.models.data.npz import Archive

LABELS = ("label", "labels")


@dataclass(frozen=True)
class Data:
    """What a data file holds.

    Attributes:
        input: (B, T, ...) or static (B, ...), numbers, all finite.
        labels: (B,) class of each sample, or None.
        hash: `data_hash` of ``input``.
        findings: events left out.
        shape: of the input array as the file has it, or as it was binned.
    """

    input: NDArray[Any]
    labels: NDArray[np.int64] | None
    hash: str
    findings: tuple[Finding, ...] = ()
    shape: Shape = ()

    def first(self, samples: int | None) -> Data:
        """The first ``samples`` samples; all of them for None.

        Raises:
            DataError: fewer than one sample asked for.
        """
        if samples is None or samples >= len(self.input):
            return self
        if samples < 1:
            raise DataError(f"{samples} samples asked for: at least one is needed")
        labels = None if self.labels is None else self.labels[:samples]
        return replace(self, input=self.input[:samples], labels=labels, hash=data_hash(self.input[:samples]))


def data_hash(array: NDArray[Any]) -> str:
    """SHA-256 over dtype, shape and bytes (C order), in hex."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode())
    digest.update(array.tobytes())
    return digest.hexdigest()


def load_data(path: Path, split: str | None = None, binning: Binning | None = None) -> Data:
    """Read a data file.

    Args:
        path: ``.npz`` or ``.npy``. Arrays: ``input`` or else the first that is no label; ``label`` or ``labels``
            (a single number: ``input`` is one sample (T, ...)).
            Event lists: ``events`` (fields x, y, p, t) with ``offsets``.
        split: takes ``<split>`` or ``<split>_input``, ``<split>_labels``, ``<split>_events``, ... instead.
        binning: how events become spikes.

    Raises:
        DataError: missing, damaged, empty, not numeric or not finite; more or fewer labels than samples.
    """
    archive = Archive(path)
    prefix = f"{split}_" if split else ""
    if f"{prefix}events" in archive.names:
        values, findings = _read_events(archive, prefix, binning or Binning())
    else:
        values, findings = archive.array(_input_name(archive, split)), ()
    shape = values.shape
    labels = _labels(archive, prefix)
    if labels is not None and labels.ndim == 0:
        # One label, so one sample: it may come without its batch axis.
        values, labels = values[None], labels[None]
    _check(values, labels, path)
    return Data(values, None if labels is None else labels.astype(np.int64), data_hash(values), findings, shape)


def _input_name(archive: Archive, split: str | None) -> str:
    names = [name for name in archive.names if name not in LABELS]
    if split:
        found = [name for name in (f"{split}_input", split) if name in names]
    else:
        found = ["input"] if "input" in names else names[:1]
    if found and not (found[0].endswith("_events") and split is None):
        return found[0]
    splits = sorted(name.removesuffix("_events") for name in names if name.endswith("_events"))
    advice = f"; choose a split of {', '.join(splits)}" if splits else ""
    wanted = f"no array {split}, {split}_input or {split}_events" if split else "no input array"
    raise DataError(f"{archive.path} has {wanted}; it holds {', '.join(archive.names) or 'nothing'}{advice}")


def _read_events(archive: Archive, prefix: str, binning: Binning) -> tuple[NDArray[Any], tuple[Finding, ...]]:
    if f"{prefix}offsets" not in archive.names:
        raise DataError(
            f"{archive.path} has {prefix}events but no {prefix}offsets that say where each recording starts"
        )
    return bin_events(archive.array(f"{prefix}events"), archive.array(f"{prefix}offsets"), binning)


def _labels(archive: Archive, prefix: str) -> NDArray[Any] | None:
    names = [f"{prefix}{label}" for label in (*LABELS, "y")] if prefix else list(LABELS)
    return next((archive.array(name) for name in names if name in archive.names), None)


def _check(values: NDArray[Any], labels: NDArray[Any] | None, path: Path) -> None:
    if values.dtype.kind not in "biuf":
        raise DataError(f"{path}: the input array is of type {values.dtype}; spikeport takes numbers")
    if values.ndim < 2 or len(values) == 0:
        raise DataError(f"{path}: the input array has shape {values.shape}; at least one sample (B, ...) is needed")
    if values.size == 0:
        raise DataError(f"{path}: the input array has shape {values.shape}: an axis is 0, so there is nothing in it")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise DataError(f"{path}: the input array holds {bad} values that are NaN or infinite")
    if labels is not None:
        _check_labels(labels, len(values), path)


def _check_labels(labels: NDArray[Any], samples: int, path: Path) -> None:
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(f"{path}: labels must be (B,) whole numbers, not {labels.dtype} {labels.shape}")
    if len(labels) != samples:
        raise DataError(f"{path}: {len(labels)} labels for {samples} samples; there must be one each")
    if labels.min() < 0 or labels.max() >= 2**31:
        raise DataError(f"{path}: labels must lie in 0 .. 2^31 - 1, not {labels.min()} .. {labels.max()}")
