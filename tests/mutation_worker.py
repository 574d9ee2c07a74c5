"""Inspects files in a process of its own, whose memory and time are bounded: one JSON line for each.

Usage: python mutation_worker.py MEMORY_BYTES SECONDS_PER_FILE FILE...
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
from pathlib import Path


class TooLongError(BaseException):
    """Raised by the alarm; not an Exception, so that nothing on the way takes it for an error of its own."""


def _alarm(*_: object) -> None:
    raise TooLongError


def main(arguments: list[str]) -> None:
    """Bound the process, inspect every file."""
    memory, seconds, *paths = arguments
    # Loaded before memory is bounded: libraries reserve address space that they never use.
    import numba  # noqa: F401
    import onnx  # noqa: F401
    import torch

    torch.set_num_threads(1)
    from spikeport.deploy.cli.main import main as spikeport

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + int(memory), used + int(memory)))
    signal.signal(signal.SIGALRM, _alarm)
    for path in paths:
        signal.alarm(int(seconds))
        with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
            try:
                code: int | str = spikeport(["inspect", path])
            except TooLongError:
                code = "too long"
        signal.alarm(0)
        print(json.dumps({"file": path, "code": code, "said": said.getvalue()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
