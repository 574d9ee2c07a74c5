"""Make the project's own environment in .venv: standard library only, quick when nothing changed.

Usage: python bootstrap.py demo | test

Called by the Makefile. A stamp file, written last, says what the environment holds; an environment without a
stamp was interrupted and is built again from nothing.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

OLDEST = (3, 10)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "spikeport-stamp.json"
OWNER = VENV / "made-by-spikeport"
EXTRAS = {"demo": "[lava]", "test": "[dev,lava]"}

# torch goes first and pinned. Left to a dependency resolver, a plain Linux machine may fetch the newest build
# with several GB of CUDA libraries; this release has a CPU build, which pip takes wherever it is offered.
TORCH = "torch==2.13.0"

# The last release of Lava forbids every Python and numpy of today in its metadata, and runs on them all the same; what
# it needs comes with the extra "lava".
LAVA = ("--no-deps", "--ignore-requires-python", "lava-nc==0.10.0")


def main() -> int:
    """Build or refresh the environment; the exit status is 0 when it is ready."""
    if len(sys.argv) != 2 or sys.argv[1] not in EXTRAS:
        print("usage: python bootstrap.py demo | test", file=sys.stderr)
        return 2
    if sys.version_info < OLDEST:
        return use_a_newer_python()
    try:
        prepare(sys.argv[1])
    except (OSError, RuntimeError) as problem:
        print(f"bootstrap: {problem}", file=sys.stderr)
        return 1
    return 0


def use_a_newer_python() -> int:
    """Start again under the newest Python found on the path, or say what is missing."""
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return subprocess.call([found, *sys.argv])
    have, need = (".".join(map(str, v)) for v in (sys.version_info[:3], OLDEST))
    print(f"bootstrap: this is Python {have}; spikeport needs {need} or newer.", file=sys.stderr)
    print("Install one and say where it is: make demo PYTHON=/path/to/python3.11", file=sys.stderr)
    return 1


def prepare(goal: str) -> None:
    """Bring .venv to ``goal`` under a lock, so that two runs at once wait for each other.

    Raises:
        RuntimeError: .venv belongs to somebody else, or a step of the installation failed.
        OSError: the folder cannot be written.
    """
    lock = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = read_stamp()
        if stamp in (wanted(goal), wanted("test")):
            return
        if stamp.get("made_for") != made_for():
            create()
        STAMP.unlink(missing_ok=True)
        install(goal)
        write_stamp(wanted(goal))
    finally:
        os.close(lock)


def made_for() -> "list[str]":
    """What an environment cannot outlive: this Python and this place."""
    return [sys.version, str(ROOT)]


def wanted(goal: str) -> "dict[str, object]":
    """The stamp of a finished environment for ``goal``."""
    recipe = (ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes()
    return {"goal": goal, "made_for": made_for(), "recipe": hashlib.sha256(recipe).hexdigest()}


def read_stamp() -> "dict[str, object]":
    """The stamp on disk; empty where there is none or it cannot be read."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: "dict[str, object]") -> None:
    """Write the stamp in one step: it is there whole or not at all."""
    draft = STAMP.with_suffix(".draft")
    draft.write_text(json.dumps(stamp), encoding="utf-8")
    draft.replace(STAMP)


def create() -> None:
    """An empty environment of our own; somebody else's is never deleted."""
    VENV.mkdir(exist_ok=True)
    if any(VENV.iterdir()) and not OWNER.exists():
        raise RuntimeError(f"{VENV} exists and was not made by `make`. Move it away, then run make again.")
    OWNER.touch()  # and it stays while the rest goes, so that a removal cut short is still known as ours
    for old in VENV.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        elif old != OWNER:
            old.unlink()
    say(f"new environment in {VENV.name}/ (Python {sys.version.split()[0]})")
    make_venv()


def make_venv() -> None:
    """Fill .venv.

    Raises:
        RuntimeError: this Python cannot make environments.
    """
    command = [sys.executable, "-m", "venv", str(VENV)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        package = f"python3.{sys.version_info[1]}-venv"
        hint = f"This Python cannot make environments (on Debian or Ubuntu: apt install {package})."
        raise RuntimeError(f"{hint}\n{made.stdout}{made.stderr}")


def install(goal: str) -> None:
    """torch first (see TORCH), then the project itself, editable, then Lava."""
    say(f"{TORCH}: some 200 MB where it is not cached")
    if pip(TORCH, quiet=True):
        say(f"{TORCH} is not offered for this Python; pip chooses another release")
    say(f"spikeport{EXTRAS[goal]} and what it needs")
    if pip("-e", f".{EXTRAS[goal]}"):
        raise RuntimeError("pip could not install spikeport, for the reason above; then run make again.")
    if pip(*LAVA):
        say("lava-nc could not be installed: everything but the backend 'lava' works (see spikeport doctor)")


def pip(*what: str, quiet: bool = False) -> int:
    """Run pip inside the environment; the exit status."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "-qq"]
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.run([*command, "install", *what], cwd=ROOT, stderr=errors, check=False).returncode


def say(what: str) -> None:
    """One line of progress with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
