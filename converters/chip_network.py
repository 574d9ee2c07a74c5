"""ChipNetwork: the integer program, in the chip's own registers. What a chip, a simulator or Lava executes.

Per chip step t = 1, 2, ... (source: lava-nc 0.10.0 `PyLifModelBitAcc`, `PyDenseModelBitAcc`, `PySparseModelBitAcc`,
`PyDelayDenseModelBitAcc`)::

    a[t] = Σ_synapses shift(W · s_source[t - 1 - delay], weight_exp)
    u[t] = wrap24(trunc0(u[t-1] · (4096 - (du + 1)) / 4096) + a[t] · 2^6)
    v[t] = clip24(trunc0(v[t-1] · (4096 - dv) / 4096) + u[t] + bias_mant · 2^bias_exp)
    s[t] = v[t] > vth · 2^6;  v[t] = 0 where s[t]

Sigma-delta units (source: lava-nc 0.10.0 `PyDeltaModelFixed`, `PySigmaDeltaModelFixed`, `PySigmaModelFixed`) have their
sigma in u and their activation in v. Every sum is kept in 32 bits (wrapping), none is cut to 24. With
E = spike_exp + state_exp::

    u[t] = u[t-1] + a[t]                                      (sigma; "delta" has none: u = 0)
    v[t] = max(u[t] + bias_mant · 2^(bias_exp + E), 0)        ("delta": v = a[t] · 2^E;  "sigma": v = u)
    d[t] = v[t] - v[t-1] + residue[t-1]
    x[t] = d[t] where |d[t]| >= vth · 2^E, else 0;  residue[t] = d[t] - x[t]      ("sigma" sends nothing)
    s[t] = x[t] >> state_exp                                  (floor; a payload with a sign; the low bits are lost)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.circuit import Model
from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape

Ints: TypeAlias = NDArray[np.int64]
SignMode: TypeAlias = Literal["mixed", "excitatory", "inhibitory"]


def _zero() -> NDArray[np.float64]:
    return np.zeros(())


@dataclass(frozen=True)
class Population:
    """A group of neurons (or input lines) that share a model.

    Integer registers are int64 arrays, 0-d (shared by all neurons) or flat (n,) in C order.

    Attributes:
        name: the user's own node name.
        shape: of one sample's step.
        model: "input": spikes from outside. "lif": hard reset to 0. "lif_subtract": each spike takes ``reset`` · 2^6
            off v. "integrator": never spikes, v is read out. "delta", "sigma_delta", "sigma": see above; they use
            vth, bias, spike_exp, state_exp and rectified, and start from zero.
        du, dv: 12-bit decays; du + 1 and dv 4096ths are lost per step. du = -1 never decays (Lava's convention).
        vth: 17-bit threshold mantissa, × 2^6 (sigma-delta units: × 2^E).
        reset: 17-bit mantissa × 2^6, of "lif_subtract".
        bias_mant, bias_exp: 13-bit signed mantissa, exponent 0..7; added to v at every chip step.
        max_spikes: spikes per step; more than 1 is sent as a graded payload.
        refractory: steps after a spike in which v is held at 0.
        hold_init: steps at the start in which v is held at 0, as after a spike: a population of time shift k that
            holds for k steps begins its own step 0 from zero whatever its bias is. Not of sigma-delta units.
        v_min: lower clip of v in v's own units, or None.
        u_init, v_init: 24-bit state before chip step 1.
        shift: this population computes the network's step t at chip step t + 1 + shift.
        scale: chip units of v per unit of the trained membrane potential: v = scale · (v_float - offset).
        offset: see ``scale``; float array, 0-d or (n,).
        spike_exp: of sigma-delta units: fractional bits of the payloads they send and receive.
        state_exp: of sigma-delta units: further fractional bits that only the state has.
        rectified: of "sigma_delta": activation is a ReLU, else the identity.
    """

    name: str
    shape: Shape
    model: Model
    du: Ints
    dv: Ints
    vth: Ints
    reset: Ints
    bias_mant: Ints
    bias_exp: Ints
    u_init: Ints
    v_init: Ints
    max_spikes: int = 1
    refractory: int = 0
    hold_init: int = 0
    v_min: Ints | None = None
    shift: int = 0
    scale: float = 1.0
    offset: NDArray[np.float64] = field(default_factory=_zero)
    spike_exp: int = 0
    state_exp: int = 0
    rectified: bool = True

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.shape)

    @property
    def holds(self) -> bool:
        """Whether v is ever held at 0: what needs a refractory counter."""
        return self.refractory > 0 or self.hold_init > 0


@dataclass(frozen=True)
class Dense:
    """``weight`` (n_target, n_source), integers."""

    weight: Ints


@dataclass(frozen=True)
class Sparse:
    """``matrix`` (n_target, n_source), integer csr; explicit zeros are synapses."""

    matrix: csr_array


@dataclass(frozen=True)
class Conv2d:
    """Cross-correlation as torch computes it; see `spikeport.converters.circuit.ConvMap`."""

    weight: Ints
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


Connectivity: TypeAlias = Dense | Sparse | Conv2d


@dataclass(frozen=True)
class Synapses:
    """A group of synapses with one weight format.

    Attributes:
        name: unique; ``source->target``, with ``/coarse`` and ``/fine`` where weights are split.
        source, target: population names.
        connectivity: integer weights in the format below: "mixed" even and in [-256, 254] at 8 bits;
            "excitatory" in [0, 255]; "inhibitory" in [-255, 0]; fewer bits drop low bits.
        weight_exp: the accumulated sum is shifted left by it (right, floor, if negative).
        num_weight_bits: 1..8.
        sign_mode: as above.
        delay: D; a spike sent at t arrives at t + 1 + D. One int, or an int array (n_source,).
        graded: payloads, signs included, multiply the weights; otherwise any nonzero spike counts as 1.
    """

    name: str
    source: str
    target: str
    connectivity: Connectivity
    weight_exp: int = 0
    num_weight_bits: int = 8
    sign_mode: SignMode = "mixed"
    delay: int | Ints = 0
    graded: bool = False

    @property
    def max_delay(self) -> int:
        """The longest delay of the group."""
        return int(np.max(self.delay))


@dataclass(frozen=True)
class ChipNetwork:
    """Populations and synapses by name.

    Attributes:
        populations: by name; inputs included.
        synapses: by name.
        inputs, outputs: population names.
        dt: seconds of the trained network's time that one step stands for.
        encode, decode: how the trained network wants its data encoded and its output read, as `spikeport.deploy.codec`
            writes them; "" where it does not say. Of a network that a reader gives; a deployment has its own codec.
        source_hash: SHA-256 of the file the network was read from, "" when it came from elsewhere.
        findings: what the reader had to decide or assume.
    """

    populations: Mapping[str, Population]
    synapses: Mapping[str, Synapses]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dt: float
    encode: str = ""
    decode: str = ""
    source_hash: str = ""
    findings: tuple[Finding, ...] = ()

    def into(self, population: str) -> tuple[Synapses, ...]:
        """Synapse groups that end at ``population``."""
        return tuple(s for s in self.synapses.values() if s.target == population)

    def out_of(self, population: str) -> tuple[Synapses, ...]:
        """Synapse groups that start at ``population``."""
        return tuple(s for s in self.synapses.values() if s.source == population)

    @property
    def depth(self) -> int:
        """How many steps after its input the slowest population works."""
        return max(p.shift for p in self.populations.values())
