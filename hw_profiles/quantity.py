"""Numbers that know their unit, where they come from, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Evidence: TypeAlias = Literal[
    "measured",
    "structural",
    "fitted",
    "pre-silicon",
    "secondary",
    "assumed",
    "unknown",
    "not-modelled",
]
"""From strongest to weakest: on silicon; a limit from a document or tool; regression on silicon; SPICE or SDF
simulation before silicon; seen only as a quotation; somebody's assumption; nobody knows. ``not-modelled`` stands
outside the order: the price list says explicitly that it leaves this entry out, and every result repeats that."""

_RANK = {evidence: rank for rank, evidence in enumerate(get_args(Evidence))}


def weakest(evidences: Iterable[Evidence]) -> Evidence:
    """The weakest class among ``evidences``; "not-modelled" does not count, nothing at all is "structural"."""
    return max((e for e in evidences if e != "not-modelled"), key=lambda e: _RANK[e], default="structural")


class Strict(BaseModel):
    """Frozen, and intolerant of keys it does not know: a misspelt key is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sourced(Strict):
    """Anything a document or a person states: ``source`` says which, ``evidence`` how well founded it is."""

    source: str = Field(min_length=1)
    evidence: Evidence


class Quantity(Sourced):
    """A number of a chip in ``unit``; ``value`` is None exactly where ``evidence`` is "unknown".

    With evidence "not-modelled" the value is 0 and ``source`` says who left it out.
    """

    value: float | int | None = None
    unit: str = Field(min_length=1)

    @model_validator(mode="after")
    def _value_fits_evidence(self) -> Quantity:
        if (self.value is None) != (self.evidence == "unknown"):
            raise ValueError('value must be absent exactly where evidence is "unknown"')
        if self.value is not None and not (math.isfinite(self.value) and self.value >= 0):
            raise ValueError(f"value must be finite and not negative, found {self.value}")
        if self.evidence == "not-modelled" and self.value != 0:
            raise ValueError('value must be 0 where evidence is "not-modelled"')
        return self


class Count(Sourced):
    """A whole number, a limit or a register width, always known. Unlike a price it may be negative."""

    value: int
    unit: str = Field(min_length=1)


class Choices(Sourced):
    """Widths the hardware lets one choose from, ascending."""

    values: tuple[Annotated[int, Field(ge=0, le=64)], ...] = Field(min_length=1)
    unit: str = Field(min_length=1)

    def at_least(self, wanted: int) -> int:
        """The smallest choice >= ``wanted``; ``wanted`` where none is, so that what is too wide is not counted less."""
        return min((v for v in self.values if v >= wanted), default=wanted)


class Feature(Sourced):
    """Something a chip can or cannot do."""

    value: bool


class Curve(Sourced):
    """A quantity published at a few points, straight lines between them, held at both ends.

    ``points``: (x, value) with x ascending, in ``x_unit`` and ``unit``; empty exactly where evidence is "unknown".
    """

    points: tuple[tuple[float, float], ...] = ()
    x_unit: str = Field(min_length=1)
    unit: str = Field(min_length=1)

    @model_validator(mode="after")
    def _points_ascend(self) -> Curve:
        if (not self.points) != (self.evidence == "unknown"):
            raise ValueError('points must be empty exactly where evidence is "unknown"')
        if not all(math.isfinite(x) and math.isfinite(y) and y >= 0 for x, y in self.points):
            raise ValueError("points must be finite and not negative")
        if any(b[0] <= a[0] for a, b in zip(self.points, self.points[1:], strict=False)):
            raise ValueError("points must ascend in x")
        return self
