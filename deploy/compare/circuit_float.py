"""circuit_float: a Program step by step in float64, populations off loops over all steps at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import networkx as nx
import numpy as np

from spikeport.converters.passes.quantize.trial import lagged, sent_before
from spikeport.deploy.compare.cells import CellState, start, step
from spikeport.deploy.compare.maps import Apply, ready
from spikeport.deploy.compare.program import Floats, Program, Term, Wire


@dataclass
class Trace:
    """What a run gave, on the program's clock.

    Attributes:
        spikes: per population (B, steps, n).
        v: membranes after the step, in units of the cell, of the populations asked for; (B, steps, n).
        w: the same before spikes and resets: what was held against the threshold.
    """

    spikes: dict[str, Floats] = field(default_factory=dict)
    v: dict[str, Floats] = field(default_factory=dict)
    w: dict[str, Floats] = field(default_factory=dict)


Known = dict[tuple[int, int, bool], Floats]
"""What maps make of a batch's inputs, by map: the same for many programs."""


def execute(
    program: Program, inputs: Mapping[str, Floats], keep: Collection[str] = (), known: Known | None = None
) -> Trace:
    """Run a batch from the initial state.

    Args:
        program: what to run.
        inputs: per input (B, T, n): what the encoder sends.
        keep: populations whose v and w are kept.
        known: of this batch; grows. The maps must live as long as it does.
    """
    batch, length, _ = next(iter(inputs.values())).shape
    steps = length + program.extra_steps
    trace = Trace({n: np.pad(data, [(0, 0), (0, program.extra_steps), (0, 0)]) for n, data in inputs.items()})
    for names in stages(program):
        for name in names:
            size = (batch, steps, program.cells[name].size)
            trace.spikes[name] = np.zeros(size)
            if name in keep:
                trace.v[name], trace.w[name] = np.zeros(size), np.zeros(size)
        _run(_Stage(program, names, trace, {} if known is None else known), batch, steps)
    return trace


def stages(program: Program) -> Iterator[tuple[str, ...]]:
    """Groups of cells that are computed together (one, or those of a loop), each after all it hears."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(program.cells)
    graph.add_edges_from((w.source, w.target) for w in program.wires if w.source in program.cells)
    loops = nx.condensation(graph)
    for loop in nx.topological_sort(loops):
        members = loops.nodes[loop]["members"]
        yield tuple(name for name in program.cells if name in members)


class _Stage:
    """Cells of one stage, what they hear from outside over all steps, and the wires among themselves."""

    def __init__(self, program: Program, names: tuple[str, ...], trace: Trace, known: Known) -> None:
        self.cells = {name: program.cells[name] for name in names}
        self.trace = trace
        into = [wire for wire in program.wires if wire.target in self.cells]
        self.outside: dict[str, Floats] = {}
        for wire in into:
            if wire.source not in self.cells:
                entering = known if wire.source in program.inputs else {}
                heard = arriving(wire, trace.spikes[wire.source], entering)
                self.outside[wire.target] = self.outside.get(wire.target, 0.0) + heard
        self.inside = [_Loop(wire) for wire in into if wire.source in self.cells]

    def heard(self, name: str, t: int) -> Floats:
        """Everything that arrives at one cell at step t, (B, n)."""
        train = self.trace.spikes[name]
        total = self.outside[name][:, t] if name in self.outside else np.zeros((train.shape[0], train.shape[2]))
        for loop in self.inside:
            if loop.wire.target == name:
                total = total + loop.at(self.trace.spikes[loop.wire.source], t)
        return total


def _run(stage: _Stage, batch: int, steps: int) -> None:
    trace = stage.trace
    states: dict[str, CellState] = {name: start(cell, batch) for name, cell in stage.cells.items()}
    for t in range(steps):
        for name, cell in stage.cells.items():
            done = step(cell, states[name], stage.heard(name, t))
            states[name] = done.state
            trace.spikes[name][:, t] = done.spikes
            if name in trace.v:
                trace.v[name][:, t], trace.w[name][:, t] = done.state.v, done.w


def arriving(wire: Wire, train: Floats, known: Known) -> Floats:
    """What a wire delivers over all steps, (B, steps, n_target)."""
    total: Floats = np.zeros(())
    for term in wire.terms:
        if isinstance(wire.lag, int):
            total = total + lagged(_delivered(term, train, known), wire.lag) * term.gain
            continue
        # Each delay's sum is rounded on its own (`PyDelayDenseModelBitAcc`).
        for lag in np.unique(wire.lag):
            total = total + _delivered(term, lagged(train * (wire.lag == lag), int(lag)), {}) * term.gain
    return total


def _delivered(term: Term, train: Floats, known: Known) -> Floats:
    """A term's sums for every step of a train, before its gain, (B, steps, n_target); silent last steps as zeros."""
    key = (id(term.weights), term.exponent, term.floors)
    if key not in known:
        frames = train.reshape(-1, train.shape[2])
        known[key] = _sum(term, ready(term.weights)(frames)).reshape(*train.shape[:2], -1)
    found = known[key]
    missing = train.shape[1] - found.shape[1]
    return np.pad(found, [(0, 0), (0, missing), (0, 0)]) if missing > 0 else found[:, : train.shape[1]]


def _sum(term: Term, delivered: Floats) -> Floats:
    shifted = delivered * 2.0**term.exponent
    return np.floor(shifted) if term.floors else shifted


class _Loop:
    """A wire within a stage, its maps made ready."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.maps: list[tuple[Term, Apply]] = [(term, ready(term.weights)) for term in wire.terms]
        self.lags = [wire.lag] if isinstance(wire.lag, int) else [int(lag) for lag in np.unique(wire.lag)]

    def at(self, train: Floats, t: int) -> Floats:
        """What it delivers at step t, (B, n_target)."""
        total: Floats = np.zeros(())
        for lag in self.lags:
            heard = sent_before(train, t, lag) * (np.asarray(self.wire.lag) == lag)
            for term, deliver in self.maps:
                total = total + _sum(term, deliver(heard)) * term.gain
        return total
