"""Shard: some samples of a run, chunk after chunk, through all stages; shards share nothing but the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import State, initial_state
from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.schedule import Stage
from spikeport.deploy.backends.simulator.bounds import sends_payloads
from spikeport.deploy.backends.simulator.census import Census
from spikeport.deploy.backends.simulator.classes import Span
from spikeport.deploy.backends.simulator.engine import Counters, EscapeError, Layer, Runner, States, Task
from spikeport.deploy.backends.simulator.events import emit
from spikeport.deploy.backends.simulator.stop import Watch
from spikeport.deploy.backends.simulator.tape import Tape
from spikeport.deploy.backends.simulator.team import Team
from spikeport.deploy.backends.simulator.trains import Train
from spikeport.deploy.books import Books

LARGEST_PAYLOAD = (1 << 31) - 1


@dataclass(frozen=True)
class Program:
    """A network made ready.

    Attributes:
        network: the program.
        stages: order of computation.
        layers, runners: by population, inputs excluded.
        census: tables for counting.
        reach: by population, how many steps the delays behind it reach back.
    """

    network: ChipNetwork
    stages: tuple[Stage, ...]
    layers: Mapping[str, Layer]
    runners: Mapping[str, Runner]
    census: Census
    reach: Mapping[str, int]


@dataclass(frozen=True)
class Job:
    """What a run of the whole batch is about.

    Attributes:
        inputs: per input population (B, T, n).
        length, steps: T, and chip steps.
        chunk: steps computed at once.
        books, tape: what is counted and kept.
        watch: what may stop samples early, or None.
        halt: set when the run is void or interrupted; then no shard begins another chunk.
    """

    inputs: Mapping[str, NDArray[Any]]
    length: int
    steps: int
    chunk: int
    books: Books
    tape: Tape
    watch: Watch | None
    halt: Event


class Shard:
    """Samples ``rows`` of a job."""

    def __init__(self, program: Program, job: Job, rows: NDArray[np.intp], team: Team) -> None:
        """Set all registers to their first values."""
        self._program, self._job, self._rows, self._team = program, job, rows, team
        populations = program.network.populations
        self._states = {n: _registers(layer, len(rows)) for n, layer in program.layers.items()}
        self._trains = {
            n: Train(len(rows), p.size, program.reach[n], 0, sends_payloads(p)) for n, p in populations.items()
        }

    def run(self, done: Callable[[int], None]) -> None:
        """Compute all chunks; ``done`` is called with the sample-steps of each.

        Raises:
            EscapeError: a register or a payload left 32 bits.
        """
        samples, job = len(self._rows), self._job
        for first in range(0, job.steps, job.chunk):
            steps = min(job.chunk, job.steps - first)
            if len(self._rows) and not job.halt.is_set():
                self._chunk(Span(self._rows, first, steps))
            done(samples * steps)

    def _chunk(self, span: Span) -> None:
        for name in self._trains:
            known = self._trains[name]
            self._trains[name] = self._input(name, known, span) if name in self._job.inputs else known.next(span.steps)
        tasks = {name: self._task(layer, span) for name, layer in self._program.layers.items()}
        for stage in self._program.stages:
            stride = stage.stride or span.steps
            for start in range(0, span.steps, stride):
                for name in stage.populations:
                    self._program.runners[name].run(tasks[name], start, min(start + stride, span.steps))
        self._keep(span, tasks)
        self._count(span, tasks)
        self._leave_finished(span)

    def _input(self, name: str, before: Train, span: Span, graded: bool = False) -> Train:
        """The window of an input population; silent where the input is over."""
        train = before.next(span.steps, graded=graded)
        lists, data = train.events(), self._job.inputs[name]
        rows, start = span.rows, span.first
        steps = max(0, min(span.steps, self._job.length - start))
        if data.dtype not in (np.uint8, np.int64) or not data.flags.c_contiguous:
            data = np.ascontiguousarray(data[rows, start : start + steps], np.int64)
            rows, start = np.arange(len(rows)), 0
        largest = emit.list_input(data, rows, start, steps, train.history, lists.starts, lists.index, lists.payload)
        if largest > LARGEST_PAYLOAD:
            raise EscapeError(name)
        if largest > 1 and not train.graded:
            return self._input(name, before, span, graded=True)
        train.listed(train.history + span.steps, largest)
        return train

    def _task(self, layer: Layer, span: Span) -> Task:
        name, shape = layer.population.name, (len(span.rows), span.steps)
        watched = self._job.watch is not None and self._job.watch.states_of == name
        kept = (*shape, layer.population.size) if name in self._job.tape.u or watched else None
        return Task(
            sources=tuple(self._trains[s.source] for s in layer.groups),
            target=self._trains[name],
            state=self._states[name],
            counters=Counters(
                np.zeros((*shape, len(layer.cuts) - 1), np.int32), np.zeros(shape, np.int32), np.zeros(shape, np.int32)
            ),
            states=None if kept is None else States(np.zeros(kept, np.int64), np.zeros(kept, np.int64)),
            team=self._team,
        )

    def _keep(self, span: Span, tasks: Mapping[str, Task]) -> None:
        """Record what was asked for, and let the stop rule look."""
        tape, watch = self._job.tape, self._job.watch
        for name, room in tape.spikes.items():
            tape.write(name, room, span, _sent(self._trains[name]))
        for name in tape.u:
            states = tasks[name].states
            if states is not None:
                tape.write(name, tape.u[name], span, states.u)
                tape.write(name, tape.v[name], span, states.v)
        if watch is not None:
            states = tasks[watch.population].states if watch.states_of else None
            values = _sent(self._trains[watch.population]) if states is None else states.v
            watch.look(span.rows, span.first, values.astype(np.int64))

    def _count(self, span: Span, tasks: Mapping[str, Task]) -> None:
        census, books, watch = self._program.census, self._job.books, self._job.watch
        limit = np.full(len(span.rows), span.steps) if watch is None else watch.used[span.rows] - span.first
        for name, train in self._trains.items():
            census.sent(books, name, span, train, limit)
        for name, task in tasks.items():
            census.worked(books, name, span, task.counters, limit)

    def _leave_finished(self, span: Span) -> None:
        """Go on with the samples that have steps left."""
        if self._job.watch is None:
            return
        (rows,) = np.nonzero(self._job.watch.used[span.rows] > span.first + span.steps)
        if len(rows) < len(self._rows):
            self._rows = self._rows[rows]
            self._trains = {n: t.rest(rows) for n, t in self._trains.items()}
            self._states = {n: State(s.u[rows], s.v[rows], s.hold[rows]) for n, s in self._states.items()}


def _registers(layer: Layer, batch: int) -> State:
    first = initial_state(layer.population, batch)
    kind = np.int64 if layer.wide else np.int32
    u, v, hold = (register.astype(kind, order="C") for register in (first.u, first.v, first.hold))
    return State(u, v, hold)  # type: ignore[arg-type]


def _sent(train: Train) -> NDArray[Any]:
    return train.dense()[:, train.history :]
