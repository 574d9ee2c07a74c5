"""Neurons of a layer: which kernel steps them, with their parameters made ready for it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_SHIFT, State, bias, update, wrap32
from spikeport.converters.chip_network import Population
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.deploy.backends.simulator.engine import EscapeError, Layer, Task, Tile
from spikeport.deploy.backends.simulator.events import sigma_delta
from spikeport.deploy.backends.simulator.events.neurons import BLOCK, LARGEST_SUM, advance

Rows = NDArray[np.integer[Any]]

NEVER = np.iinfo(np.int32).max
"""A threshold that nothing exceeds."""
_PARAMETER = 1 << 18
"""Mantissas beyond it would not fit 32 bits together with a state; registers have 17 bits."""


class Neurons(Protocol):
    """Steps neurons when their synaptic sums are known.

    Attributes:
        limit: sums up to here may come in int32; larger ones come in int64.
    """

    limit: int

    def step(self, task: Task, tile: Tile, samples: int, sums: Rows) -> int:
        """Advance ``samples`` samples of a tile by its steps, append what they send to the target's lists.

        Returns:
            a bound of the payloads' absolute values.

        Raises:
            EscapeError: a register left 32 bits.
        """
        ...


def narrow(population: Population) -> bool:
    """Whether its registers fit 32 bits as long as its sums do: a LIF neuron with parameters in the chip's range."""
    p = population
    if p.model in SIGMA_DELTA:
        scaled = np.asarray(p.vth) << p.spike_exp + p.state_exp
        starts = (p.u_init, p.v_init, np.int64(p.hold_init))
        return bool(np.all((scaled >= 0) & (scaled <= NEVER))) and not any(np.any(x) for x in starts)
    within = (
        (p.du, -DS_OFFSET, DECAY_UNITY - DS_OFFSET),
        (p.dv, 0, DECAY_UNITY),
        (p.vth, -_PARAMETER, _PARAMETER),
        (p.reset, 0, _PARAMETER),
        (bias(p.bias_mant, p.bias_exp), -LARGEST_SUM, LARGEST_SUM),
        (p.u_init, -LARGEST_SUM, LARGEST_SUM),
        (p.v_init, -LARGEST_SUM, LARGEST_SUM),
        (np.int64(0) if p.v_min is None else p.v_min, -LARGEST_SUM, LARGEST_SUM),
        (np.int64(p.max_spikes), 1, NEVER),
        (np.int64(p.refractory), 0, NEVER),
        (np.int64(p.hold_init), 0, NEVER),
    )
    return all(bool(np.all((low <= x) & (x <= high))) for x, low, high in within)


def neurons(layer: Layer) -> Neurons:
    """The fastest that steps the layer exactly."""
    if layer.wide:
        return SpecifiedNeurons(layer)
    return SigmaDeltaNeurons(layer) if layer.population.model in SIGMA_DELTA else LifNeurons(layer)


class LifNeurons:
    """Leaky integrate-and-fire neurons and integrators, in 32 bits; see `events.neurons.advance`."""

    limit = LARGEST_SUM

    def __init__(self, layer: Layer) -> None:
        """Spread the parameters over the neurons."""
        p = layer.population
        threshold = np.int64(NEVER) if p.model == "integrator" else p.vth << STATE_SHIFT
        floor = np.int64(-NEVER) if p.v_min is None else p.v_min
        kept = (DECAY_UNITY - DS_OFFSET - p.du, DECAY_UNITY - p.dv)
        self._parameters = tuple(each(x, p, np.int32) for x in (*kept, bias(p.bias_mant, p.bias_exp), floor, threshold))
        most = p.max_spikes if p.model == "lif_subtract" else 0
        self._firing = (most, self._parameters[4], each(p.reset << STATE_SHIFT, p, np.int32))
        self._refractory = p.refractory if p.holds else -1
        self._blocks, self._name = blocks(layer.cuts), p.name

    def step(self, task: Task, tile: Tile, samples: int, sums: Rows) -> int:
        """See `Neurons`."""
        if sums.dtype != np.int32:
            if np.abs(sums).max(initial=0) > LARGEST_SUM:
                raise EscapeError(self._name)
            sums = sums.astype(np.int32)
        registers = (task.state.u, task.state.v, task.state.hold)
        escaped: list[int] = []

        def part(first: int, stop: int) -> None:
            rows, moving = (tile.b0 + first, tile.b0 + stop), (self._parameters, self._firing, self._refractory)
            escaped.append(advance(sums, _corner(tile), rows, registers, *moving, self._blocks, *_destination(task)))

        task.team.each(part, samples)
        if any(escaped):
            raise EscapeError(self._name)
        return max(1, self._firing[0])


class SigmaDeltaNeurons:
    """Sigma-delta units, in 32 bits that wrap; see `events.sigma_delta.announce`."""

    limit = NEVER

    def __init__(self, layer: Layer) -> None:
        """Bring bias and threshold to the state's scale."""
        p = layer.population
        codes = {"delta": sigma_delta.DELTA, "sigma": sigma_delta.SIGMA}
        code = codes.get(p.model, sigma_delta.RECTIFIED if p.rectified else sigma_delta.LINEAR)
        scale = p.spike_exp + p.state_exp
        self._unit = (code, scale, p.state_exp)
        both = (bias(p.bias_mant, p.bias_exp) << scale, p.vth << scale)
        self._bias, self._threshold = (each(wrap32(np.asarray(x)), p, np.int32) for x in both)
        self._blocks = blocks(layer.cuts)

    def step(self, task: Task, tile: Tile, samples: int, sums: Rows) -> int:
        """See `Neurons`."""
        registers, largest = (task.state.u, task.state.v, task.state.hold), [1]

        def part(first: int, stop: int) -> None:
            rows, parameters = (tile.b0 + first, tile.b0 + stop), (self._bias, self._threshold)
            largest.append(
                sigma_delta.announce(
                    sums, _corner(tile), rows, registers, parameters, self._unit, self._blocks, *_destination(task)
                )
            )

        task.team.each(part, samples)
        return max(largest)


class SpecifiedNeurons:
    """Any model, with registers of 64 bits, by the specification itself: slow, and never wrong."""

    limit = NEVER

    def __init__(self, layer: Layer) -> None:
        """Nothing to prepare."""
        self._population, self._cuts = layer.population, layer.cuts

    def step(self, task: Task, tile: Tile, samples: int, sums: Rows) -> int:
        """See `Neurons`."""
        rows = slice(tile.b0, tile.b0 + samples)
        arrived = sums.astype(np.int64).reshape(samples, tile.steps, -1)
        largest = 1
        for b in range(tile.b0, tile.b0 + samples):
            for s in range(tile.s0, tile.s0 + tile.steps):
                largest = max(largest, self._one(task, b, s, arrived[b - rows.start, s - tile.s0][None]))
        if largest > NEVER:
            raise EscapeError(self._population.name)
        return largest

    def _one(self, task: Task, b: int, s: int, arrived: NDArray[np.int64]) -> int:
        """One step of one sample, so that it can be counted by itself; the largest payload."""
        registers = (task.state.u, task.state.v, task.state.hold)
        before = State(*(x[b : b + 1] for x in registers))
        done = update(self._population, before, arrived)
        moved = (before.u != done.state.u) | (before.v != done.state.v) | (done.spikes != 0)
        task.counters.active[b, s] = np.add.reduceat(moved[0].astype(np.int32), self._cuts[:-1])
        task.counters.u_wraps[b, s], task.counters.v_clips[b, s] = done.u_wraps, done.v_clips
        for register, value in zip(registers, (done.state.u, done.state.v, done.state.hold), strict=True):
            register[b] = value[0]
        if task.states is not None:
            task.states.u[b, s], task.states.v[b, s] = done.state.u[0], done.state.v[0]
        self._send(task, b, s, done.spikes[0])
        return int(np.abs(done.spikes).max(initial=0))

    @staticmethod
    def _send(task: Task, b: int, s: int, spikes: NDArray[np.int64]) -> None:
        lists, w = task.target.events(), task.target.history + s
        (sent,) = np.nonzero(spikes)
        first, stop = int(lists.starts[b, w]), int(lists.starts[b, w]) + len(sent)
        lists.starts[b, w + 1], lists.index[b, first:stop] = stop, sent
        if task.target.graded:
            lists.payload[b, first:stop] = spikes[sent]


def each(values: Any, population: Population, kind: type[np.integer[Any]]) -> NDArray[Any]:
    """(n,) of a register shared by all, or of one for each."""
    return np.array(np.broadcast_to(values, (population.size,)), kind, order="C")


def blocks(cuts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges of blocks that lie within a cut and are not too long, and the cut of each."""
    edges = np.union1d(cuts, np.arange(0, int(cuts[-1]), BLOCK)).astype(np.int64)
    return edges, np.searchsorted(cuts, edges[:-1], side="right").astype(np.int64) - 1


def _corner(tile: Tile) -> tuple[int, int, int]:
    return tile.b0, tile.s0, tile.steps


def _destination(task: Task) -> tuple[Any, Any, Any]:
    """What kernels write to: the train, the counters, recorded states."""
    lists, counters = task.target.events(), task.counters
    nothing = np.zeros((task.target.batch, 0, task.target.neurons), np.int64)
    kept = (nothing, nothing) if task.states is None else (task.states.u, task.states.v)
    train = (task.target.history, lists.starts, lists.index, lists.payload)
    return train, (counters.active, counters.u_wraps, counters.v_clips), kept
