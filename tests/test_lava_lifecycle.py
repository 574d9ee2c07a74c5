"""However a Lava run ends, no process, no shared memory and no file of it stays behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from spikeport.deploy.backends.lava.compatibility import installed

pytestmark = [
    pytest.mark.skipif(not installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it"),
    pytest.mark.skipif(sys.platform != "linux", reason="counts processes and shared memory through /proc and /dev/shm"),
]
VICTIM = Path(__file__).with_name("lava_victim.py")
PATIENCE_S = 90
ENDINGS = ["SIGINT", "SIGTERM", "SIGKILL", "lava process killed"]


def stat(pid: str) -> list[str]:
    """State, parent, group, session, ... of a process; empty if it is gone."""
    with suppress(OSError):
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    return []


def processes() -> dict[int, list[str]]:
    found = {int(entry.name): stat(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
    return {pid: fields for pid, fields in found.items() if fields and fields[0] != "Z"}


def session_under(parent: int) -> set[int]:
    """Processes in a session that a child of ``parent`` leads: Lava and all it started."""
    everyone = processes()
    leaders = {pid for pid, fields in everyone.items() if int(fields[1]) == parent}
    return {pid for pid, fields in everyone.items() if int(fields[3]) in leaders - {parent}}


def shared_memory(pids: set[int]) -> set[Path]:
    """Named blocks in /dev/shm that the processes have mapped."""
    lines = []
    for pid in pids:
        with suppress(OSError):
            lines += Path("/proc", str(pid), "maps").read_text().splitlines()
    places = {line.split(maxsplit=5)[-1] for line in lines if "/dev/shm/" in line}
    return {Path(place) for place in places if not place.endswith("(deleted)")}


def heed_interrupts() -> None:
    """A shell's background jobs, the tests among them, are born ignoring SIGINT, and so would their children be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def victim(mode: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"TMPDIR": str(folder)}
    program = subprocess.Popen(
        [sys.executable, str(VICTIM), mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        preexec_fn=heed_interrupts,
    )
    try:
        yield program
    finally:
        program.kill()
        program.wait()
        if program.stdout is not None:
            program.stdout.close()


def wait_for_step(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    line = program.stdout.readline()
    assert line.startswith("step"), line


def survivors(pids: set[int], blocks: set[Path]) -> list[object]:
    """What is still there; given time to vanish."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        left = [*(pids & processes().keys()), *(block for block in blocks if block.exists())]
        if not left:
            return []
        time.sleep(0.05)
    return left


def end(program: subprocess.Popen[str], how: str, pids: set[int]) -> None:
    if how == "lava process killed":
        os.kill(max(pids), signal.SIGKILL)
    else:
        program.send_signal(getattr(signal, how))


def assert_leaves_nothing(how: str, folder: Path, delay_s: float = 0) -> None:
    with victim("long", folder) as program:
        wait_for_step(program)
        time.sleep(delay_s)
        pids = session_under(program.pid)
        blocks = shared_memory(pids)
        assert len(pids) > 5
        assert len(blocks) > 5
        end(program, how, pids)
        program.wait(PATIENCE_S)
        assert survivors(pids, blocks) == []
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", ENDINGS)
def test_run_ended_in_the_middle_leaves_nothing(how: str, tmp_path: Path) -> None:
    assert_leaves_nothing(how, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
def test_hundred_runs_ended_at_random_moments_leave_nothing(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    assert_leaves_nothing(ENDINGS[seed % len(ENDINGS)], tmp_path, dice.random())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_runs_killed_while_they_start_leave_nothing(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    with victim("long", tmp_path) as program:
        time.sleep(1 + 4 * dice.random())
        pids = session_under(program.pid)
        blocks = shared_memory(pids)
        end(program, ENDINGS[seed % 3], pids)
        program.wait(PATIENCE_S)
        assert survivors(pids, blocks) == []
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "status", "says"),
    [
        ("short", 0, "done"),
        ("fuse", 2, "the fuse has blown"),
        ("limit", 2, "ran longer than 8 s"),
    ],
)
def test_run_that_ends_by_itself_says_how_and_leaves_nothing(mode: str, status: int, says: str, tmp_path: Path) -> None:
    pids: set[int] = set()
    blocks: set[Path] = set()
    with victim(mode, tmp_path) as program:
        deadline = time.monotonic() + PATIENCE_S
        while program.poll() is None and time.monotonic() < deadline:
            now = session_under(program.pid)
            pids, blocks = pids | now, blocks | shared_memory(now)
            time.sleep(0.02)
        program.wait(PATIENCE_S)
        said = "" if program.stdout is None else program.stdout.read()
        assert (program.returncode, says in said) == (status, True), said
        assert len(pids) > 5
        assert survivors(pids, blocks) == []
        assert list(tmp_path.iterdir()) == []
