"""The program that runs Lava: a child process, leader of a process group of its own.

It reads a `Job` from standard input, which stays open as a lifeline: when the parent goes away, for whatever reason,
the pipe ends and the group ends itself. Lava's processes hang where other programs fail (an exception in a process
model, a killed process), so a thread watches them and reports what happened.
"""

from __future__ import annotations

import os
import pickle
import secrets
import select
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from multiprocessing import connection, util
from typing import Any

from spikeport.converters.chip_network import ChipNetwork
from spikeport.deploy.backends.lava.plan import islands, plan
from spikeport.deploy.backends.lava.tape import Layout, Tape

WATCH_S = 0.1
"""Seconds between two looks at Lava's processes."""


@dataclass(frozen=True)
class Job:
    """What the parent asks for.

    Attributes:
        network: the program.
        layout: of the tape.
        file: the tape's inherited file descriptor.
        report: inherited file descriptor for a message if something fails.
        batch: samples.
        steps: chip steps per sample.
    """

    network: ChipNetwork
    layout: Layout
    file: int
    report: int
    batch: int
    steps: int


def main() -> None:
    """Run the job on standard input; the exit status is 0, or 1 with a message in the report."""
    # An interrupt is the parent's to handle, and a terminated child must not run Python code of its own.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _listen_without_files()
    job: Job = pickle.load(sys.stdin.buffer)
    actors: list[Any] = []
    threading.Thread(target=_watch, args=(job, actors), daemon=True).start()
    try:
        _run(job, actors)
    except BaseException:
        _fail(job, traceback.format_exc())
    # The runtime is stopped; skip what lava leaves for the interpreter's end, which can hang.
    sys.stdout.flush()
    os._exit(0)


def _listen_without_files() -> None:
    """Give Lava's shared-memory manager a socket with a name but no file (Linux only).

    Its default lies in a temporary folder that nobody removes when the program is killed.
    """
    if util.abstract_sockets_supported:
        connection.arbitrary_address = lambda family: f"\0spikeport-{secrets.token_hex(16)}"  # type: ignore[attr-defined]


def _run(job: Job, actors: list[Any]) -> None:
    from spikeport.deploy.backends.lava.build import build
    from spikeport.deploy.backends.lava.recording import attach, models, recorders

    laid_out = plan(job.network)
    tape = Tape(job.layout, job.file)
    processes = build(laid_out)
    attach(processes, recorders(laid_out, tape, job.batch, job.steps))
    for island in islands(laid_out):
        run_to_end(processes[island[0]], job.batch * job.steps, models(laid_out), actors)


def run_to_end(process: Any, steps: int, models: dict[type, type], actors: list[Any]) -> None:
    """Run all that is connected to ``process`` for ``steps``, and stop Lava's runtime.

    ``actors`` holds the runtime's operating-system processes while they are needed.
    """
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    config = Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models)
    process.create_runtime(run_cfg=config)
    actors += process.runtime._messaging_infrastructure.actors
    try:
        process.run(condition=RunSteps(num_steps=steps), run_cfg=config)
    finally:
        actors.clear()  # from here on they may end
        process.stop()


def _watch(job: Job, actors: list[Any]) -> None:
    while True:
        if select.select([sys.stdin], [], [], WATCH_S)[0]:
            _end_group()  # the parent sends nothing more: readable means it is gone
        for actor in list(actors):
            if actor.exception is not None:
                _fail(job, actor.exception[1])
        dead = [actor for actor in list(actors) if not actor.is_alive()]
        if dead and dead == [actor for actor in dead if actor in actors]:
            time.sleep(WATCH_S)
            if actors:
                _fail(job, f"a Lava process ended while it was needed (exit code {dead[0].exitcode})")


def _fail(job: Job, message: str) -> None:
    os.write(job.report, message.encode(errors="replace")[-16_000:])
    _end_group()


def _end_group() -> None:
    """End every process of this group, this one included.

    multiprocessing's resource tracker, a member of the group too, ignores SIGTERM; it outlives the others just long
    enough to remove their shared memory.
    """
    os.killpg(0, signal.SIGTERM)
    time.sleep(60)
