"""Circuit: the trained network in the chip's vocabulary, still in floats.

`lower` makes it from a Network, `align` gives it its clock, `quantize` turns it into a ChipNetwork. Every linear map
is now a Connection from one population to another; biases live in the neurons. One step of a population, x being
the sum over its connections (which already carry the neuron's gains)::

    u[t] = current_decay · u[t-1] + x[t]                          (current_decay 0: no synaptic current)
    w[t] = membrane_decay · v[t-1] + u[t] + bias
    n[t] = spikes of w[t];  v[t] = 0 (hard) or w[t] - n[t] · reset_amount (subtract) where it spiked

Sigma-delta populations compute as `spikeport.converters.network.SigmaDelta` says: "delta" is an input unit (not
``sums``), "sigma" an output unit (not ``sends_changes``), "sigma_delta" everything between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.network import Array, Comparison, Shape

Model: TypeAlias = Literal["input", "lif", "lif_subtract", "integrator", "delta", "sigma_delta", "sigma"]
READOUTS: frozenset[Model] = frozenset({"integrator", "sigma"})
"""Models that never send; their v is read out."""
SIGMA_DELTA: frozenset[Model] = frozenset({"delta", "sigma_delta", "sigma"})
"""Models that send and add up changes of an activation, in graded spikes with a sign."""


@dataclass(frozen=True)
class InputCode:
    """What the encoder sends: the largest payload, and what one unit of it is worth to the trained network."""

    unit: float = 1.0
    largest: int = 1


PLAIN_SPIKES = InputCode()


@dataclass(frozen=True)
class FloatPopulation:
    """Neurons that share a model; every array broadcasts to ``shape``.

    Attributes:
        shape: of one sample's step.
        model: "input"; "lif" (reset to zero); "lif_subtract" (reset by subtraction); "integrator" (v is read out);
            "delta", "sigma_delta", "sigma" (see above; decays, resets and initial states are not theirs).
        current_decay, membrane_decay: a and b above, in [0, 1].
        threshold, comparison: in units of v; of sigma-delta units: the smallest change that is sent, ">=".
        reset_amount: what one spike takes off v ("lif_subtract").
        bias: enters v at every step.
        max_spikes: per step; more than 1 is sent as a graded payload.
        refractory: steps after a spike during which v stays at zero.
        v_min: lower bound of v, or None.
        u_init, v_init: state before this population's own step 0.
        offset: what to add to v to get the user's membrane potential (the old v_reset).
        shift: chip step at which this population computes the network's step 0; set by `align`.
        rectified: of a "sigma_delta": ReLU, else the identity.
    """

    shape: Shape
    model: Model
    current_decay: Array
    membrane_decay: Array
    threshold: Array
    comparison: Comparison
    reset_amount: Array
    bias: Array
    max_spikes: int
    refractory: int
    v_min: Array | None
    u_init: Array
    v_init: Array
    offset: Array
    shift: int = 0
    rectified: bool = True

    @property
    def size(self) -> int:
        """Number of neurons."""
        return int(np.prod(self.shape, dtype=np.int64))

    def at(self, shift: int) -> FloatPopulation:
        """The same population, ``shift`` steps late."""
        return replace(self, shift=shift)


def memoryless(model: Model, shape: Shape) -> FloatPopulation:
    """A population that keeps nothing from step to step: inputs, weighted readouts, relays."""
    zero = np.zeros(())
    return FloatPopulation(
        shape=shape,
        model=model,
        current_decay=zero,
        membrane_decay=zero,
        threshold=np.ones(()),
        comparison=">",
        reset_amount=zero,
        bias=zero,
        max_spikes=1,
        refractory=0,
        v_min=None,
        u_init=zero,
        v_init=zero,
        offset=zero,
    )


@dataclass(frozen=True)
class DenseMap:
    """``weight`` (n_target, n_source) over C-order flattened populations."""

    weight: Array


@dataclass(frozen=True)
class ConvMap:
    """2-d cross-correlation (torch's), populations as (C, H, W).

    Attributes:
        weight: (C_out, C_in / groups, kH, kW).
        source_shape, target_shape: (C, H, W); a 1-d convolution has H = 1.
        stride, padding, dilation: (vertical, horizontal).
        groups: independent channel groups.
    """

    weight: Array
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


@dataclass(frozen=True)
class SparseWeights:
    """``matrix`` (n_target, n_source) over C-order flattened populations."""

    matrix: csr_array


FloatMap: TypeAlias = DenseMap | ConvMap | SparseWeights


@dataclass(frozen=True)
class Connection:
    """A linear map from ``source`` to ``target``.

    Attributes:
        weights: the map.
        lag: the network's own delay in steps (0: same step; 1: a recurrent edge; more: Delay nodes). Either one
            int, or an int array (n_source,) where each source neuron has its own.
        delay: chip delay D >= 0; a spike sent at chip step t arrives at t + 1 + D. Form of ``lag``; set by `align`.
    """

    source: str
    target: str
    weights: FloatMap
    lag: int | NDArray[np.int64] = 0
    delay: int | NDArray[np.int64] = 0


@dataclass(frozen=True)
class Circuit:
    """Populations and connections by name; ``inputs`` and ``outputs`` name populations.

    ``dt``: seconds per step. ``output_names``: for each of the network's Output nodes, the population it reads.
    """

    populations: Mapping[str, FloatPopulation]
    connections: Mapping[str, Connection]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dt: float
