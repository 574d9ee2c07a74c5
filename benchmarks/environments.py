"""Environments of their own for the peers, made once per machine in the cache folder; a failure is kept and said."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from data_folder import cache_folder

ROOT = Path(__file__).parent.parent
LAVA = "lava-nc==0.10.0"

PACKAGES: dict[str, tuple[tuple[str, ...], ...]] = {
    "sanafe": (("sanafe==2.2.9", "numpy>=1.26", "pyyaml", "pandas", "matplotlib"),),
    "snntorch": ((f"torch=={version('torch').split('+')[0]}", "snntorch==1.0.0", "numpy"),),
    "brian2loihi": (("brian2-loihi==0.5.2", "numpy<2", "setuptools"),),
    "nengo-loihi": (("nengo-loihi==1.1.0", "nengo==3.2.0", "numpy==1.23.5", "scipy<1.11"),),
    # lava-nc 0.10.0 forbids what it runs with; see deploy/backends/lava/compatibility.py.
    "lava": ((str(ROOT), "asteval>=0.9.31"), ("--no-deps", "--ignore-requires-python", LAVA)),
}
"""For each peer the arguments of one or more `pip install`, one after the other."""


class NotInstalledError(Exception):
    """A peer could not be installed here; the message is pip's last word."""


def python_of(peer: str) -> str:
    """The interpreter with which ``peer`` runs; makes its environment if need be.

    Raises:
        NotInstalledError: pip failed, now or before. Delete the environment's folder to try again.
    """
    if not peer or (peer == "lava" and importlib.util.find_spec("lava") is not None):
        return sys.executable
    folder = cache_folder() / "environments" / peer
    interpreter = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    failure, done = folder / "failed.txt", folder / "ready.txt"
    wanted = "\n".join(" ".join(arguments) for arguments in PACKAGES[peer])
    if failure.exists():
        raise NotInstalledError(failure.read_text())
    if not done.exists() or done.read_text() != wanted:
        print(f"making an environment for {peer} in {folder}", file=sys.stderr, flush=True)
        try:
            _run([sys.executable, "-m", "venv", "--clear", str(folder)])
            for arguments in PACKAGES[peer]:
                _run([str(interpreter), "-m", "pip", "install", "-q", *arguments])
        except NotInstalledError as error:
            folder.mkdir(parents=True, exist_ok=True)
            failure.write_text(str(error))
            raise
        done.write_text(wanted)
    return str(interpreter)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["failed without a word"]
        raise NotInstalledError(errors[-1].removeprefix("ERROR: "))
