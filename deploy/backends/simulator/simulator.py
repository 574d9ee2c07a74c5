"""Simulator: a network made ready for an engine, and its runs; bit for bit what `reference.simulate` gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from dataclasses import replace
from threading import Event, Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.placement import Placement
from spikeport.converters.schedule import reach, schedule
from spikeport.deploy.backends.simulator.census import Census
from spikeport.deploy.backends.simulator.engine import Engine, EscapeError, Layer
from spikeport.deploy.backends.simulator.memory import DEFAULT, Demand, Portion, Ways, demand, portion_for
from spikeport.deploy.backends.simulator.neurons import narrow
from spikeport.deploy.backends.simulator.shard import Job, Program, Shard
from spikeport.deploy.backends.simulator.simulation import Progress, Simulation
from spikeport.deploy.backends.simulator.stop import StopRule, Watch
from spikeport.deploy.backends.simulator.tape import Tape
from spikeport.deploy.backends.simulator.team import ALONE, Team, calm, workers
from spikeport.deploy.consequences import Consequences

WORTH_THREADS = 100_000
"""Neuron-steps, about a tenth of a millisecond's work, below which threads take longer to start than to help."""
STOP_CHUNK = 16
"""Steps computed at once where samples may stop: what lies behind a sample's end was computed in vain."""


def threads() -> int:
    """Threads to use: the processors this process may run on, unless OMP_NUM_THREADS asks for fewer."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(mine, int(wanted)) if wanted.isdigit() and int(wanted) else mine


class Simulator:
    """A network on an engine. Making it lays out the weights once; runs do not change it."""

    def __init__(self, network: ChipNetwork, placement: Placement, engine: Engine) -> None:
        """Lay out weights and tables for counting."""
        self.network, self.placement, self._engine = network, placement, engine
        self._census = Census(network, Consequences(network, placement))
        self._neurons = sum(p.size for p in network.populations.values())
        self._wide = {n for n, p in network.populations.items() if p.model != "input" and not narrow(p)}
        self._program = self._made()
        self._demands: dict[tuple[Any, ...], Demand] = {}

    def _made(self) -> Program:
        populations = self.network.populations
        layers = {n: self._layer(n) for n, p in populations.items() if p.model != "input"}
        runners = {n: self._engine.ready(layer) for n, layer in layers.items()}
        reaches = {n: reach(self.network, n) for n in populations}
        return Program(self.network, schedule(self.network), layers, runners, self._census, reaches)

    def _layer(self, name: str) -> Layer:
        population = self.network.populations[name]
        return Layer(population, self.network.into(name), self._census.cuts(name), name in self._wide)

    def run(
        self,
        inputs: Mapping[str, NDArray[np.integer[Any]]],
        record: Collection[str] = (),
        record_states: Collection[str] = (),
        progress: Progress | None = None,
        stop: StopRule | None = None,
        portion: Portion | None = None,
    ) -> Simulation:
        """Run a batch from the initial state; see `reference.simulate`.

        Args:
            inputs: per input population (B, T, *shape).
            record: populations whose spikes are kept.
            record_states: populations whose u and v are kept.
            progress: called with (steps done, steps in all).
            stop: ends samples early; then counts, trains and states end where each sample does.
            portion: what a thread computes at once (at most), which takes memory; results do not depend on it.
        """
        if portion is None:
            batch, length = next(iter(inputs.values())).shape[:2]
            needed = self.demand(length, record, record_states)
            portion = portion_for(needed, batch, length + self.network.depth, DEFAULT, threads())
        if stop is not None:
            portion = replace(portion, steps=min(portion.steps, STOP_CHUNK))
        while True:
            try:
                return self._run(inputs, record, record_states, progress, stop, portion)
            except EscapeError as error:
                (name,) = error.args
                if name in self._wide or name in self.network.inputs:
                    raise
                self._wide.add(name)
                self._program = self._made()

    def demand(self, length: int, record: Collection[str], record_states: Collection[str]) -> Demand:
        """Memory that runs of ``length`` input steps need."""
        asked = (length, frozenset(record), frozenset(record_states), threads())
        if asked not in self._demands:  # small networks take no longer to run than to look through
            ways = Ways(threads(), self._engine.name != "events", len(self.placement.cores), self._census.entries)
            self._demands = {asked: demand(self.network, length, record, record_states, ways)}
        return self._demands[asked]

    def _run(
        self,
        inputs: Mapping[str, NDArray[np.integer[Any]]],
        record: Collection[str],
        record_states: Collection[str],
        progress: Progress | None,
        stop: StopRule | None,
        portion: Portion,
    ) -> Simulation:
        network = self.network
        batch, length = next(iter(inputs.values())).shape[:2]
        steps = length + network.depth
        tape = Tape(network, record, record_states, batch, length)
        watch = None if stop is None else Watch(stop, network.populations[stop.population], batch, length, steps)
        flat = {name: data.reshape(batch, length, -1) for name, data in inputs.items()}
        job = Job(flat, length, steps, portion.steps, self._census.books(batch, steps), tape, watch, Event())
        self._shards(job, batch, portion.samples, _meter(progress, batch, steps))
        if watch is not None:
            job.books.until(watch.used)
            tape.until(watch.used)
        choices = {name: runner.choice() for name, runner in self._program.runners.items()}
        used = None if watch is None else watch.used
        return Simulation(tape.spikes, tape.u, tape.v, job.books.activity(), choices, used)

    def _shards(self, job: Job, batch: int, samples: int, done: Callable[[int], None]) -> None:
        """Compute ``samples`` at a time on each thread; a shard with all threads where there is only one."""
        size = threads() if self._divided(batch * job.steps) else 1
        parts = np.array_split(np.arange(batch), max(min(batch, size), -(-batch // samples)))
        if size == 1:
            with nullcontext() if self._engine.undivided else calm():
                for rows in parts:
                    Shard(self._program, job, rows, ALONE).run(done)
            return
        with workers(size) as pool:
            try:
                if len(parts) == 1:
                    Shard(self._program, job, parts[0], Team(pool, size)).run(done)
                else:
                    list(pool.map(lambda rows: Shard(self._program, job, rows, ALONE).run(done), parts))
            finally:
                job.halt.set()

    def _divided(self, sample_steps: int) -> bool:
        return not self._engine.undivided and sample_steps * self._neurons > WORTH_THREADS


def _meter(progress: Progress | None, batch: int, steps: int) -> Callable[[int], None]:
    """Sum up the sample-steps of all shards and say how far the batch is."""
    if progress is None:
        return lambda more: None
    so_far, lock = [0], Lock()

    def done(more: int) -> None:
        with lock:
            so_far[0] += more
            progress(so_far[0] // batch, steps)

    return done
