"""Network: the trained network in discrete time, unambiguous and frozen.

Conventional networks (`Activation`, `MaxPool`) are Networks, too: static input, one value per step.
A reader settles dt, dialect and shapes; nothing after it needs to know which framework a graph came from.
All nodes act within one time step t = 0, 1, ...; an edge with ``delay`` d carries what its source gave at t - d
(zeros before the start). Edges that meet at a node are summed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.findings import Finding

Shape: TypeAlias = tuple[int, ...]
Array: TypeAlias = NDArray[np.floating]
Comparison: TypeAlias = Literal[">", ">="]
Reset: TypeAlias = Literal["none", "value", "subtract"]


@dataclass(frozen=True)
class Input:
    """Where data enter. ``shape``: of one time step of one sample."""

    shape: Shape


@dataclass(frozen=True)
class Output:
    """Where results leave. ``shape``: of one time step of one sample."""

    shape: Shape


@dataclass(frozen=True)
class Linear:
    """y = W x + b on the last axis. ``weight`` (n_out, n_in), ``bias`` (n_out,) or None."""

    weight: Array
    bias: Array | None = None


@dataclass(frozen=True)
class Conv:
    """Cross-correlation as torch computes it, 1-d or 2-d.

    Attributes:
        weight: (C_out, C_in / groups, *kernel) with one or two kernel axes.
        bias: (C_out,) or None.
        stride, padding, dilation: one int per kernel axis; ``padding`` is symmetric, in input pixels.
        groups: channels are split into this many independent groups.
    """

    weight: Array
    bias: Array | None
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int = 1


@dataclass(frozen=True)
class Pool:
    """Sum or average pooling over the last two axes; averages count padded zeros (torch's default)."""

    kind: Literal["sum", "average"]
    kernel: Shape
    stride: Shape
    padding: Shape


@dataclass(frozen=True)
class Scale:
    """y = factor * x + bias; both broadcast against the input's shape."""

    factor: Array
    bias: Array | None = None


@dataclass(frozen=True)
class Flatten:
    """torch.flatten over axes ``start`` .. ``end`` of one sample's step (no batch axis counted)."""

    start: int
    end: int


@dataclass(frozen=True)
class Reshape:
    """The same C-order values in another ``shape`` (of one sample's step)."""

    shape: Shape


@dataclass(frozen=True)
class Permute:
    """torch.permute of one sample's step: axis i of the output is axis ``axes[i]`` of the input."""

    axes: Shape


@dataclass(frozen=True)
class Embed:
    """Zeros of ``shape`` that hold x from ``offset`` on: one part of a concatenation, or asymmetric padding."""

    shape: Shape
    offset: Shape


@dataclass(frozen=True)
class Delay:
    """y[t] = x[t - steps]; ``steps`` is a non-negative int array that broadcasts to the input's shape."""

    steps: NDArray[np.int64]


@dataclass(frozen=True)
class SparseMap:
    """y = M x + b on the flattened input: what `fold` leaves where no dense or conv form is exact.

    Attributes:
        matrix: (n_out, n_in), C-order flattened on both sides.
        bias: (n_out,) or None.
        shape: the output's shape, n_out elements.
    """

    matrix: csr_array
    bias: Array | None
    shape: Shape


def _one() -> Array:
    return np.ones((), dtype=np.float32)


def _zero() -> Array:
    return np.zeros((), dtype=np.float32)


@dataclass(frozen=True)
class Neuron:
    """A spiking or leaky neuron in discrete form; every array broadcasts to the population's shape.

    One time step, x being the summed input::

        u[t] = current_decay · u[t-1] + input_gain · x[t]          (u[t] = input_gain · x[t] without a current)
        w[t] = membrane_decay · v[t-1] + current_gain · u[t] + bias
        w[t] = w[t] - r[t-1] · threshold                           (reset "subtract" at the next step only)
        n[t] = how many spikes w[t] is worth: 0 or 1, or up to max_spikes
        v[t] = w[t], reset where n[t] > 0                          (reset at the same step only)
        v[t] = max(v[t], v_min)                                    (where v_min is set)

    With ``reset_carries`` the two lines of "subtract" are one: w[t] is taken lower by r[t-1] · threshold for the
    decision, and v[t] = w[t] - (n[t] - r[t-1]) · threshold gives it back.

    Attributes:
        current_decay: a, or None for a neuron without synaptic current.
        input_gain: what multiplies the input.
        membrane_decay: b; 1 for an integrator, 0 for a memoryless threshold.
        current_gain: what multiplies u on its way into v.
        bias: constant that enters v at every step (a leak potential: (1 - b) · v_leak).
        threshold: in units of v; ignored when not ``spiking``.
        comparison: ">" or ">=": does a membrane exactly at the threshold fire.
        spiking: False for leaky integrators, whose output is v itself.
        reset: "value" (to v_reset), "subtract" (n · threshold), or "none".
        v_reset: where "value" resets to.
        reset_delay: 0: in the step of the spike. 1: r[t-1] = v[t-1] passes the threshold, applied in the next step
            (snnTorch's default).
        reset_discards_input: with reset "value" and reset_delay 1, w[t] is v_reset itself and that step's input is
            lost to v (snnTorch Synaptic, RLeaky, RSynaptic).
        reset_carries: with reset "subtract" and reset_delay 0, a membrane that is still above the threshold after its
            reset (it was worth two spikes) does not simply fire again: that step is decided one threshold lower
            (snnTorch's ``reset_delay=False``, "avoid double reset").
        max_spikes: at most this many spikes per step; None for no limit.
        v_min: lower bound of v, or None.
        v_init, u_init: state before the first step.
    """

    membrane_decay: Array
    threshold: Array
    current_decay: Array | None = None
    input_gain: Array = field(default_factory=_one)
    current_gain: Array = field(default_factory=_one)
    bias: Array = field(default_factory=_zero)
    comparison: Comparison = ">"
    spiking: bool = True
    reset: Reset = "value"
    v_reset: Array = field(default_factory=_zero)
    reset_delay: Literal[0, 1] = 0
    reset_discards_input: bool = False
    reset_carries: bool = False
    max_spikes: int | None = 1
    v_min: Array | None = None
    v_init: Array = field(default_factory=_zero)
    u_init: Array = field(default_factory=_zero)


@dataclass(frozen=True)
class Activation:
    """A rectifier of a conventional network: y = min(max(x, 0), ceiling), in ``levels`` equal steps where they are set.

    Memoryless; `spikeport.converters.passes.convert` replaces it by neurons. With levels L (Bu et al. 2022, QCFS,
    arXiv:2303.04347, eq. 15)::  y = ceiling / L · clip(floor(x · L / ceiling + 1/2), 0, L)

    Attributes:
        ceiling: broadcasts to the input's shape; None for a plain ReLU.
        levels: how many steps above zero, or None for a continuous activation.
    """

    ceiling: Array | None = None
    levels: int | None = None


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows of the last two axes (torch's, padded with minus infinity); memoryless, not linear."""

    kernel: Shape
    stride: Shape
    padding: Shape


@dataclass(frozen=True)
class SigmaDelta:
    """A unit that sends changes of its activation, and adds up changes that it receives (Loihi 2, graded spikes).

    One time step, x being the summed input (source: lava-nc 0.10.0 `AbstractSigmaDeltaModel`)::

        sigma[t] = sigma[t-1] + x[t]                    (sigma[t] = x[t] where not ``sums``)
        act[t]   = max(sigma[t] + bias, 0)              (without the max where not ``rectified``)
        d[t]     = act[t] - act[t-1] + residue[t-1]
        y[t]     = d[t] where |d[t]| >= threshold, else 0;   residue[t] = d[t] - y[t]
        y[t]     = act[t] instead, where not ``sends_changes``

    Attributes:
        threshold: smallest change that is sent; 0 sends every change.
        bias: added to the sum, inside the activation.
        sums: False for an input unit, which receives values, not changes.
        rectified: ReLU, else the identity.
        sends_changes: False for an output unit, whose activation is read out.
    """

    threshold: Array
    bias: Array = field(default_factory=_zero)
    sums: bool = True
    rectified: bool = True
    sends_changes: bool = True


LinearNode: TypeAlias = Linear | Conv | Pool | Scale | Flatten | Reshape | Permute | Embed | Delay | SparseMap
Node: TypeAlias = Input | Output | LinearNode | Neuron | Activation | MaxPool | SigmaDelta


@dataclass(frozen=True)
class Edge:
    """``target`` receives at step t what ``source`` gave at step t - ``delay``."""

    source: str
    target: str
    delay: int = 0


@dataclass(frozen=True)
class Network:
    """Named nodes and edges, with the shape of every node's output.

    Attributes:
        nodes: by name, the user's own names, in an order in which same-step values can be computed.
        edges: sorted; every cycle carries at least one step of delay.
        shapes: output shape of every node, for one step of one sample. Filled by the pass `infer`.
        dt: seconds per step.
        dialect: the discretisation that was used, in full (``snntorch:reset=zero,reset_delay=1,dt=0.0001``).
        source_hash: SHA-256 of the file the network was read from, "" when it came from elsewhere.
        findings: what the reader had to decide or assume.
        encode, decode: how data enter and answers leave, as written on the command line
            (``current:steps=32,low=0,high=1,start=0.5``), where the network was made for one way; else "".
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    shapes: Mapping[str, Shape]
    dt: float
    dialect: str
    source_hash: str = ""
    findings: tuple[Finding, ...] = ()
    encode: str = ""
    decode: str = ""

    def into(self, name: str) -> tuple[Edge, ...]:
        """Edges that end at ``name``."""
        return tuple(e for e in self.edges if e.target == name)

    def out_of(self, name: str) -> tuple[Edge, ...]:
        """Edges that start at ``name``."""
        return tuple(e for e in self.edges if e.source == name)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the Input nodes."""
        return tuple(k for k, node in self.nodes.items() if isinstance(node, Input))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the Output nodes."""
        return tuple(k for k, node in self.nodes.items() if isinstance(node, Output))

    @property
    def neurons(self) -> tuple[str, ...]:
        """Names of the Neuron nodes."""
        return tuple(k for k, node in self.nodes.items() if isinstance(node, Neuron))

    @property
    def units(self) -> tuple[str, ...]:
        """Names of the SigmaDelta nodes."""
        return tuple(k for k, node in self.nodes.items() if isinstance(node, SigmaDelta))
