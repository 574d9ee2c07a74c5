"""Weights on the chip: 8-bit integers with a sign mode and a shared exponent, one group or a coarse and a fine one.

Format (`PyDenseModelBitAcc`; Davies 2018 for the sign modes): "mixed" weights lose their lowest bit, so at 8 bits they
are even integers in [-256, 254]; "excitatory" ones are 0 .. 255, "inhibitory" ones -255 .. 0. A negative exponent
floors the finished sum, so only graded inputs, whose sums are large, are given one; and no convolution is, because
Lava's Conv knows no exponent and has to be given weight · 2^exp.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, SignMode, Sparse
from spikeport.converters.circuit import ConvMap, DenseMap, FloatMap, SparseWeights

Floats: TypeAlias = NDArray[np.float64]


GRID_LEVELS = 1 << 9
"""More distinct sizes than this are no 8-bit quantization."""
GRID_TOLERANCE = 1e-3
"""Distance from the grid, in steps, that float32 rounding may leave."""


@dataclass(frozen=True)
class WeightFormat:
    """Bits per weight, and the exponents that the profile and the kind of connection allow."""

    bits: int
    max_exp: int
    min_exp: int = 0

    def step(self, mode: SignMode) -> int:
        """Distance between neighbouring weights."""
        return 1 << (8 - self.bits + (mode == "mixed"))

    def ends(self, mode: SignMode) -> tuple[int, int]:
        """Smallest and largest weight."""
        step = self.step(mode)
        top = 255 // step * step
        return {"mixed": (-256, 256 - step), "excitatory": (0, top), "inhibitory": (-top, 0)}[mode]


@dataclass(frozen=True)
class Group:
    """One synapse group's integers: weight = ints · 2^exp."""

    ints: Ints
    exp: int
    mode: SignMode

    @property
    def value(self) -> Floats:
        """What the group adds to the accumulation per spike."""
        return self.ints.astype(np.float64) * 2.0**self.exp


def values(weights: FloatMap) -> Floats:
    """The weights of a map as one array (of explicit entries, if sparse)."""
    match weights:
        case DenseMap(weight) | ConvMap(weight=weight):
            return np.asarray(weight, dtype=np.float64)
        case SparseWeights(matrix):
            return np.asarray(matrix.data, dtype=np.float64)


def times(weights: FloatMap, factor: float) -> FloatMap:
    """The same map with all weights times ``factor``."""
    match weights:
        case DenseMap(weight) | ConvMap(weight=weight):
            return replace(weights, weight=weight * factor)
        case SparseWeights(matrix):
            return SparseWeights(csr_array(matrix * factor))


def with_integers(weights: FloatMap, ints: Ints) -> Connectivity:
    """The integer twin of a map."""
    match weights:
        case DenseMap():
            return Dense(ints)
        case SparseWeights(matrix):
            return Sparse(csr_array((ints, matrix.indices, matrix.indptr), shape=matrix.shape))
        case ConvMap(_, source, target, stride, padding, dilation, groups):
            return Conv2d(ints, source, target, stride, padding, dilation, groups)


def sign_mode(weights: Floats) -> SignMode:
    """The narrowest mode that holds these weights."""
    if weights.size == 0 or weights.min() >= 0:
        return "excitatory"
    return "inhibitory" if weights.max() <= 0 else "mixed"


def nearest(scaled: Floats, exp: int, mode: SignMode, form: WeightFormat) -> Group:
    """Round ``scaled`` (weights in accumulation units) to the nearest at exponent ``exp``, clipping the ends."""
    step = form.step(mode)
    low, high = form.ends(mode)
    ints = np.clip(np.rint(scaled / (step * 2.0**exp)) * step, low, high).astype(np.int64)
    return Group(ints, exp, mode)


def fitting_exp(scaled: Floats, mode: SignMode, form: WeightFormat) -> int:
    """The smallest exponent at which no weight is clipped, within the format's."""
    low, high = form.ends(mode)
    for exp in range(form.min_exp, form.max_exp):
        reach = form.step(mode) * 2.0**exp / 2
        if scaled.min(initial=0) >= low * 2.0**exp - reach and scaled.max(initial=0) <= high * 2.0**exp + reach:
            return exp
    return form.max_exp


def single(scaled: Floats, importance: Floats, form: WeightFormat) -> tuple[Group, ...]:
    """One group: the exponent with the least weighted error, clipping a few large weights where that pays."""
    mode = sign_mode(scaled)
    fitting = fitting_exp(scaled, mode, form)
    options = [nearest(scaled, exp, mode, form) for exp in range(max(fitting - 2, form.min_exp), fitting + 1)]
    return (min(options, key=lambda g: float(np.sum(importance * (g.value - scaled) ** 2))),)


def split(scaled: Floats, importance: Floats, form: WeightFormat) -> tuple[Group, ...]:
    """Coarse plus fine: the second group holds what the first left over.

    The first rounds down, so that the rest is never negative and its "excitatory" weights keep their lowest bit.
    """
    mode = sign_mode(scaled)
    exp = fitting_exp(scaled, mode, form)
    if exp == form.min_exp:
        return single(scaled, importance, form)
    step, (low, high) = form.step(mode), form.ends(mode)
    exp += int(exp < form.max_exp and scaled.min() < low * 2.0**exp)
    coarse = Group(np.clip(np.floor(scaled / (step * 2.0**exp)) * step, low, high).astype(np.int64), exp, mode)
    rest = np.maximum(scaled - coarse.value, 0.0)
    return coarse, nearest(rest, fitting_exp(rest, "excitatory", form), "excitatory", form)


Quantizer: TypeAlias = Callable[[Floats, Floats, WeightFormat], tuple[Group, ...]]


def clipped_share(groups: tuple[Group, ...], scaled: Floats, form: WeightFormat) -> float:
    """Part of the weights that lie beyond what the groups reach: off by more than half the finest step."""
    half = form.step(groups[-1].mode) * 2.0 ** groups[-1].exp / 2
    return float(np.mean(np.abs(rounding(groups, scaled)) > half * (1 + 1e-9))) if scaled.size else 0.0


def relative_error(groups: tuple[Group, ...], scaled: Floats) -> float:
    """RMS of the rounding error over RMS of the weights."""
    norm = float(np.sqrt(np.mean(scaled**2))) if scaled.size else 0.0
    return float(np.sqrt(np.mean(rounding(groups, scaled) ** 2))) / norm if norm else 0.0


def rounding(groups: tuple[Group, ...], scaled: Floats) -> Floats:
    """What the groups add up to, less what was wanted."""
    return sum((g.value for g in groups), -scaled)


def grid_step(weights: Floats) -> float | None:
    """The step of the grid that the weights lie on, if they were quantized in training; None if they lie on none."""
    sizes = np.unique(np.abs(weights))
    sizes = sizes[sizes > 0]
    if not 1 <= sizes.size <= GRID_LEVELS:
        return None
    step = float(min(sizes[0], np.diff(sizes).min(initial=np.inf)))
    on_grid = np.abs(sizes / step - np.rint(sizes / step)) < GRID_TOLERANCE
    return step if on_grid.all() else None


def importance_of(weights: FloatMap, rate: Floats) -> Floats:
    """How much each weight's error matters: the firing rate (n_source,) of its source, shaped like `values`."""
    match weights:
        case DenseMap(weight):
            return np.broadcast_to(rate, weight.shape)
        case SparseWeights(matrix):
            return rate[matrix.indices]
        case ConvMap():
            return _conv_importance(weights, rate)


def _conv_importance(conv: ConvMap, rate: Floats) -> Floats:
    per_channel = rate.reshape(conv.source_shape[0], -1).mean(1).reshape(conv.groups, -1)
    per_output = np.repeat(per_channel, conv.weight.shape[0] // conv.groups, axis=0)
    return np.broadcast_to(per_output[:, :, None, None], conv.weight.shape)
