"""Program: a network of populations in float64 that can be given any of the chip's properties, alone or together.

Populations count v in their own ``unit`` per trained unit: 1 where nothing needs the chip's registers, else the chip's
scale, so that a program with all properties computes on whole numbers, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.converters.circuit import SIGMA_DELTA, ConvMap, DenseMap, FloatMap, Model, SparseWeights
from spikeport.converters.network import Comparison

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Registers:
    """Which properties of the chip's registers a cell has: decayed values rounded toward zero, 24 bits."""

    rounds: bool
    overflows: bool

    @property
    def counted(self) -> bool:
        """Whether u and v have to count in the chip's own units."""
        return self.rounds or self.overflows


@dataclass(frozen=True)
class Cell:
    """A population; every array is 0-d or flat (n,), in units of v (``unit`` per trained unit).

    One step, x being what arrives; [ ] only where the registers have the property::

        u = [wrap24] ([trunc] (keep_u · u) + x)
        w = [clip24] ([trunc] (keep_v · v) + u + bias), not below v_min, 0 while refractory
        n = spikes of w;  v = 0 or w - n · amount where n > 0

    Sigma-delta units (``model``) compute as `spikeport.converters.network.SigmaDelta` says, with sigma in u and the
    activation in v, and send d / 2^message_exp [rounded down].

    Attributes:
        size: neurons.
        model: as in `spikeport.converters.circuit.FloatPopulation`.
        keep_u, keep_v: what is left of u and v after a step.
        threshold, comparison, amount, bias, v_min, max_spikes, refractory: as there; max_spikes may be infinite.
        u_init, v_init: state before the program's first step.
        carries: a membrane that its reset leaves above the threshold decides its next step one threshold lower
            (`spikeport.converters.network.Neuron.reset_carries`).
        counts_thresholds: w is worth as many spikes as thresholds fit into the trained membrane potential (the
            trained neuron); else as often as v stays above the threshold, each taking ``amount`` (the chip).
        unit, offset: v_trained = v / unit + offset.
        start: the program's step at which this population computes the network's step 0.
        registers: see there.
        rectified: of a sigma-delta unit: ReLU, else the identity.
        message_exp: of a sigma-delta unit: low bits of its state that its messages leave out.
        hold_init: refractory steps left before the program's first step.
    """

    size: int
    model: Model
    keep_u: Floats
    keep_v: Floats
    threshold: Floats
    comparison: Comparison
    amount: Floats
    bias: Floats
    v_min: Floats | None
    max_spikes: float
    refractory: int
    u_init: Floats
    v_init: Floats
    carries: bool
    counts_thresholds: bool
    unit: float
    offset: Floats
    start: int
    registers: Registers
    rectified: bool = True
    message_exp: int = 0
    hold_init: int = 0

    @property
    def message(self) -> float:
        """What one that the population sends is worth in trained units: a spike counts 1."""
        return 2.0**self.message_exp / self.unit if self.model in SIGMA_DELTA else 1.0


@dataclass(frozen=True)
class Term:
    """One map of a wire: gain · floor(2^exponent · map(spikes)); the floor only where ``floors``."""

    weights: FloatMap
    exponent: int = 0
    gain: float = 1.0
    floors: bool = False


@dataclass(frozen=True)
class Wire:
    """What ``target`` hears of ``source``: of the step ``lag`` ago, one int or an int array (n_source,)."""

    source: str
    target: str
    lag: int | Ints
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Program:
    """Cells by name, in an order in which one step can be computed; inputs by name with their sizes.

    ``extra_steps``: how many steps the program runs beyond the input's.
    """

    inputs: Mapping[str, int]
    cells: Mapping[str, Cell]
    wires: tuple[Wire, ...]
    extra_steps: int


def same(first: Any, second: Any) -> bool:
    """Whether two programs, or parts of them, compute the same; maps are the same where they are one object."""
    if first is second:
        return True
    if isinstance(first, np.ndarray | np.generic):
        # Arrays are 0-d where all neurons share the value.
        return second is not None and bool(np.all(np.equal(first, second)))
    if type(first) is not type(second) or isinstance(first, DenseMap | ConvMap | SparseWeights):
        return False
    if is_dataclass(first):
        return all(same(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)
