"""What arrives somewhere: nodes whose outputs are added up, how late each comes, and a constant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from spikeport.converters.network import Array


@dataclass(frozen=True, eq=False)
class Flow:
    """A sum of node outputs.

    Attributes:
        terms: (node, delay in steps).
        bias: a constant for every step, in one step's shape; None for none.
        constant: a constant that nothing is added to yet, as the module had it.
        reduced: how it was reduced over time, where it was: only affine maps may follow, then the output.
    """

    terms: tuple[tuple[str, int], ...] = ()
    bias: Array | None = None
    constant: Tensor | None = None
    reduced: str | None = None

    def later(self, steps: int) -> Flow:
        """The same, that many steps later."""
        return self if steps == 0 else Flow(tuple((n, d + steps) for n, d in self.terms), self.bias, None, self.reduced)

    def same_as(self, other: Flow) -> bool:
        """Whether both are the same nodes equally late, with the same constant."""
        alike = (self.bias is None) == (other.bias is None)
        if alike and self.bias is not None and other.bias is not None:
            alike = self.bias.shape == other.bias.shape and bool((self.bias == other.bias).all())
        return sorted(self.terms) == sorted(other.terms) and alike and self.reduced == other.reduced


def joined(flows: Iterable[Flow]) -> tuple[tuple[str, int], ...]:
    """All terms, in order."""
    return tuple(term for flow in flows for term in flow.terms)
