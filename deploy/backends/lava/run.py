"""Running a network on Lava in a child process, with a time limit; nothing is left behind however it ends."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.placement import Placement
from spikeport.deploy.backends.lava.child import Job
from spikeport.deploy.backends.lava.compatibility import INSTALL, installed
from spikeport.deploy.backends.lava.plan import islands, plan
from spikeport.deploy.backends.lava.replay import replay, write_inputs
from spikeport.deploy.backends.lava.tape import Tape, layout
from spikeport.deploy.backends.simulator.simulation import Progress, Simulation
from spikeport.errors import BackendError

STALL_S = 300.0
"""Seconds without a single step after which a run counts as hung; starting up counts as one step."""
POLL_S = 0.02
END_S = 10.0
"""Seconds a terminated group has to vanish before it is killed."""
_START = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from spikeport.deploy.backends.lava.child import main; main()"
)


@dataclass(frozen=True)
class Limits:
    """When a run is given up.

    Attributes:
        stall_s: seconds in which no step was made.
        total_s: seconds in all, or None.
    """

    stall_s: float = STALL_S
    total_s: float | None = None


def run_on_lava(
    network: ChipNetwork,
    inputs: Mapping[str, NDArray[np.integer]],
    placement: Placement,
    record: Collection[str] = (),
    record_states: Collection[str] = (),
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> Simulation:
    """As `spikeport.deploy.backends.simulator.reference.simulate`, computed by Lava's processes.

    All samples run one after the other in one Lava runtime, each from the initial state.

    Raises:
        BackendError: Lava is not installed, cannot hold the network, failed, or made no step for too long.
    """
    if not installed():
        raise BackendError(f"the backend 'lava' needs Lava, which is not installed. Install it with: {INSTALL}")
    batch, length = next(iter(inputs.values())).shape[:2]
    steps = length + network.depth
    laid_out = plan(network)
    with tempfile.TemporaryFile() as tape_file, tempfile.TemporaryFile() as report:
        where = layout(network, batch, steps, record_states)
        _reserve(tape_file, where.size)
        tape = Tape(where, tape_file.fileno())
        write_inputs(laid_out, tape, inputs)
        job = Job(network, where, tape_file.fileno(), report.fileno(), batch, steps)
        _run(job, tape, report, progress, limits or Limits())
        return replay(network, laid_out, tape, placement, length, record, record_states)


def _reserve(file: IO[bytes], size: int) -> None:
    """Claim the tape's space now: a disk that fills up later would kill whoever touches the mapped memory."""
    if sys.platform != "linux":
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        needed = f"{size / 2**20:.0f} MB in {tempfile.gettempdir()}"
        raise BackendError(f"the Lava run needs {needed}: {error.strerror}; run fewer samples (--samples)") from error


def _run(job: Job, tape: Tape, report: IO[bytes], progress: Progress | None, limits: Limits) -> None:
    with _child(job) as child:
        _wait(child, tape, job, progress, limits)
    if child.returncode != 0:
        report.seek(0)
        said = report.read().decode(errors="replace").strip()
        raise BackendError(f"Lava failed at step {tape.progress[0]}: {said or f'exit status {child.returncode}'}")


@contextmanager
def _child(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    """A running child in a group of its own; the group is gone when the block ends."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    child = subprocess.Popen(
        [sys.executable, "-c", _START, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(job.file, job.report),
        start_new_session=True,
        env=environment,
    )
    try:
        with suppress(BrokenPipeError):  # its exit status will tell
            _send(child, job)
        yield child
    finally:
        _end_group(child)


def _send(child: subprocess.Popen[bytes], job: Job) -> None:
    """Write the job; the pipe stays open, and its end tells the child that we are gone."""
    if child.stdin is not None:
        pickle.dump(job, child.stdin)
        child.stdin.flush()


def _wait(child: subprocess.Popen[Any], tape: Tape, job: Job, progress: Progress | None, limits: Limits) -> None:
    """Until the child ends, reporting its steps.

    Raises:
        BackendError: it ran into a limit.
    """
    total, seen = job.batch * job.steps * len(islands(plan(job.network))), 0
    began = moved = time.monotonic()
    while child.poll() is None:
        time.sleep(POLL_S)
        now, done = time.monotonic(), int(tape.progress[0])
        if done != seen:
            seen, moved = done, now
            if progress is not None:
                progress(done * job.steps // total, job.steps)
        if now - moved > limits.stall_s:
            raise BackendError(f"Lava made no step for {limits.stall_s:g} s at step {done} of {total}; it was stopped")
        if limits.total_s is not None and now - began > limits.total_s:
            raise BackendError(f"Lava ran longer than {limits.total_s:g} s, to step {done} of {total}; it was stopped")


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the child's group: politely first, so that its resource tracker can tidy shared memory."""
    _signal(child.pid, signal.SIGTERM)
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.close()
    began, killed = time.monotonic(), False
    while (child.poll() is None or _populated(child.pid)) and time.monotonic() < began + 2 * END_S:
        if time.monotonic() > began + END_S and not killed:
            killed = _signal(child.pid, signal.SIGKILL)
        time.sleep(0.01)


def _populated(group: int) -> bool:
    """Whether a process of the group still runs.

    A dead one counts as a member until its parent, by now the system's first process, has noticed, which can take
    seconds; Linux tells them apart.
    """
    if not _signal(group, 0):
        return False
    entries = list(Path("/proc").glob("[0-9]*"))
    return not entries or any(_runs_in(group, entry) for entry in entries)


def _runs_in(group: int, entry: Path) -> bool:
    try:
        state, _, member_of, *_ = (entry / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(member_of) == group and state != "Z"


def _signal(group: int, number: int) -> bool:
    """Whether the group exists and took the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
