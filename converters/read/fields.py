"""Checked access to one raw node's fields: every complaint names the node, the field and the value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Shape
from spikeport.converters.read.nir_file import RawNode
from spikeport.errors import ModelError

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Fields:
    """One node's fields under the node's ``name``."""

    name: str
    node: RawNode

    def refuse(self, what: str) -> ModelError:
        """The error to raise, with the node's name and type in front."""
        return ModelError(f"node '{self.name}' ({self.node.type}): {what}")

    def has(self, field: str) -> bool:
        """Whether the file has this field."""
        return field in self.node.fields

    def numbers(self, field: str) -> Numbers:
        """A numeric field as float64.

        Raises:
            ModelError: missing, text, empty, NaN or infinite.
        """
        if field not in self.node.fields:
            raise self.refuse(f"its field '{field}' is missing. Export the model again.")
        raw = self.node.fields[field]
        if isinstance(raw, str):
            raise self.refuse(f"'{field}' is the text '{raw[:40]}', not numbers.")
        values = np.asarray(raw, np.float64)
        if values.size == 0:
            raise self.refuse(f"'{field}' is empty.")
        wrong = int((~np.isfinite(values)).sum())
        if wrong:
            raise self.refuse(
                f"'{field}' has {wrong} of {values.size} values that are NaN or infinite. Train again or repair it."
            )
        return values

    def positive(self, field: str) -> Numbers:
        """Numbers that must all be greater than zero."""
        values = self.numbers(field)
        if values.min() <= 0:
            raise self.refuse(
                f"'{field}' must be positive, but its smallest value is {values.min():.6g}. Repair the model."
            )
        return values

    def integers(self, field: str, count: int, least: int, default: int | None = None) -> Shape:
        """``count`` integers of at least ``least``; a single one stands for all of them."""
        if not self.has(field) and default is not None:
            return (default,) * count
        values = self.numbers(field).ravel()
        if values.size not in (1, count) or (values != np.round(values)).any() or np.abs(values).max() > 1 << 31:
            raise self.refuse(f"'{field}' should be {count} integers, but is {_short(values)}.")
        if values.min() < least:
            raise self.refuse(f"'{field}' must be at least {least}, but is {_short(values)}.")
        found = tuple(int(v) for v in values)
        return found * count if len(found) == 1 else found

    def shape(self, field: str) -> Shape:
        """A shape: non-negative integers, at most 8 axes. Zero stands for unknown."""
        values = self.numbers(field).ravel()
        if values.size > 8:
            raise self.refuse(f"'{field}' has {values.size} axes; at most 8 make sense.")
        return self.integers(field, values.size, 0)

    def text(self, field: str) -> str | None:
        """The field where it is text, else None."""
        raw = self.node.fields.get(field)
        return raw if isinstance(raw, str) else None

    def weight(self, rank: int) -> NDArray[np.float32]:
        """The ``weight`` with ``rank`` axes, as float32."""
        values = self.numbers("weight")
        if values.ndim != rank:
            raise self.refuse(f"'weight' has {values.ndim} axes, expected {rank}: {values.shape}.")
        return self.float32("weight", values)

    def bias(self) -> NDArray[np.float32] | None:
        """The ``bias``, or None where there is none or it is zero."""
        if not self.has("bias"):
            return None
        values = self.numbers("bias")
        return self.float32("bias", values.reshape(-1)) if values.any() else None

    def float32(self, field: str, values: Any) -> NDArray[np.float32]:
        """``values`` as float32; refuses what it cannot hold."""
        with np.errstate(over="ignore"):
            narrow = np.asarray(values).astype(np.float32)
        if not np.isfinite(narrow).all():
            raise self.refuse(
                f"'{field}' reaches {np.abs(values).max():.3g}, more than float32 holds. Rescale the model."
            )
        return narrow

    def fit(self, values: Mapping[str, Numbers], shape: Shape) -> dict[str, Numbers]:
        """Parameters that broadcast to the ``shape`` that arrives.

        Leading axes of length one (batch, time) beyond its rank are dropped.

        Raises:
            ModelError: a parameter of another shape.
        """
        fitted = {}
        for field, array in values.items():
            extra = max(array.ndim - len(shape), 0)
            kept = array.shape[extra:]
            sizes = zip(reversed(kept), reversed(shape), strict=False)
            if any(n != 1 for n in array.shape[:extra]) or any(n not in (1, m) for n, m in sizes):
                raise self.refuse(
                    f"'{field}' has shape {array.shape}, but {shape} arrives: the layers before it do not give "
                    "what the model was trained with. Check their strides, padding and weights in the file."
                )
            fitted[field] = array.reshape(kept)
        return fitted


def _short(values: Numbers) -> str:
    return str([float(v) for v in values[:4]]) + (" ..." if values.size > 4 else "")
