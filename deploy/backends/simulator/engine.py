"""Engine: what computes populations over many steps at once. This file is the contract; `simulator` is the driver.

The driver cuts the batch into shards (one per thread) and the run into chunks of steps. For each shard and chunk it
asks, stage by stage, the `Runner` of each population to advance it: over the whole chunk where the population is on no
loop, else over a few steps at a time. A runner owns nothing that changes: all state is in the `Task`.

Equality: every engine must leave exactly what `reference.simulate` would, in the target's train, in the registers and
in the counters; the tests hold them against each other bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import State
from spikeport.converters.chip_network import Population, Synapses
from spikeport.deploy.backends.simulator.simulation import Choice
from spikeport.deploy.backends.simulator.team import Team
from spikeport.deploy.backends.simulator.trains import Train


class EscapeError(Exception):
    """A register left what the engine's 32 bits hold; the driver starts again with ``wide`` registers."""


@dataclass(frozen=True)
class Layer:
    """One population with all that flows into it.

    Attributes:
        population: parameters.
        groups: synapse groups that end here.
        cuts: (S + 1,) ascending, from 0 to n: neurons cuts[i] .. cuts[i + 1] - 1 live on one core.
        wide: registers are int64 instead of int32.
    """

    population: Population
    groups: tuple[Synapses, ...]
    cuts: NDArray[np.int64]
    wide: bool = False


@dataclass(frozen=True)
class Counters:
    """What a runner counts, per sample and step of the chunk; it sets them, the driver books them.

    Attributes:
        active: (B, K, S) int32, neurons of each cut whose u or v changed, or that spiked.
        u_wraps, v_clips: (B, K) int32, registers that left 24 bits.
    """

    active: NDArray[np.int32]
    u_wraps: NDArray[np.int32]
    v_clips: NDArray[np.int32]


@dataclass(frozen=True)
class States:
    """Where a runner keeps u and v after every step, (B, K, n) int64 each."""

    u: NDArray[np.int64]
    v: NDArray[np.int64]


@dataclass(frozen=True)
class Task:
    """One population of one shard over one chunk of K steps.

    Attributes:
        sources: for each group of the layer, in its order, the train of its source.
        target: the population's own train; the runner appends the steps it computes.
        state: registers (B, n), int32 (int64 if the layer is wide), C order; the runner changes them in place.
        counters: see there.
        states: None where nobody asked for them.
        team: threads that a runner may use for one call.
    """

    sources: tuple[Train, ...]
    target: Train
    state: State
    counters: Counters
    states: States | None
    team: Team


class Runner(Protocol):
    """A layer with its weights made ready by an engine."""

    def run(self, task: Task, start: int, stop: int) -> None:
        """Compute steps ``start`` .. ``stop - 1`` of the chunk (0 .. K - 1), all of them in ``task.sources``.

        A spike that left its source d + 1 steps before step k arrives in step k through a delay of d: it is step
        ``source.history + k - 1 - d`` of the source's train.

        Raises:
            EscapeError: a register left 32 bits, and the layer is not wide.
        """
        ...

    def choice(self) -> Choice:
        """Which engine computed the layer, and why."""
        ...


@dataclass(frozen=True)
class Tile:
    """Rows of synaptic sums: row r is sample ``b0 + r // steps`` at step ``s0 + r % steps`` of the chunk.

    Attributes:
        b0, s0: first sample of the shard, first step of the chunk.
        steps: steps of each sample.
    """

    b0: int
    s0: int
    steps: int


class Sums(Protocol):
    """One synapse group with its weights made ready; what differs between engines on a CPU.

    `spikeport.deploy.backends.simulator.layer` makes a whole `Runner` of them: neurons are updated in one place.
    """

    def add(
        self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: NDArray[np.integer[Any]]
    ) -> None:
        """Put the group's sums, after its exponent, into rows ``span[0]`` .. ``span[1]`` - 1 of ``sums`` (R, n).

        Args:
            source: the source's train.
            tile: which rows those are.
            span: of the rows; another thread may be working on others.
            fresh: overwrite the rows; otherwise add to them.
            sums: int32 where the bound of all groups together allows it (`bounds.Bound`), else int64.
        """
        ...


class Engine(Protocol):
    """Makes runners.

    Attributes:
        name: as it is asked for.
        undivided: the whole batch goes to the engine at once, instead of a shard to each thread.
    """

    name: str
    undivided: bool

    def ready(self, layer: Layer) -> Runner:
        """Lay out the layer's weights."""
        ...
