"""Findings: what a pass had to change, round or give up, said by name instead of in silence."""

from dataclasses import asdict, dataclass
from typing import Generic, Literal, TypeVar

Severity = Literal["info", "warning"]
R = TypeVar("R")


@dataclass(frozen=True)
class Finding:
    """One thing a user should know about the conversion.

    Attributes:
        code: stable kebab-case name a script can filter by, for example ``reset-refractory-dropped``.
        severity: ``info`` (exact, worth knowing) or ``warning`` (the result may differ from the trained network).
        where: the user's own node name, or ``""`` for the whole network.
        message: what happened and by how much.
        advice: what the user can do about it; may be empty for ``info``.
    """

    code: str
    severity: Severity
    where: str
    message: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """The finding as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message}" + (f" {self.advice}" if self.advice else "")


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What every pass returns: the new representation and what it had to say about the way there."""

    result: R
    findings: tuple[Finding, ...] = ()
