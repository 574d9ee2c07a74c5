"""Timing for every worker, whatever environment it runs in: nothing but the standard library."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LEAST_S = 0.5
MOST_RUNS = 25
MARK = "@@"


def cpu_seconds() -> float:
    """CPU time of this process, all its threads, and the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """Largest resident memory of this process or of one of its children, MB."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return max(resource.getrusage(w).ru_maxrss for w in who) / unit


def timed(
    run: Callable[[], Any], least_s: float = LEAST_S, most: int = MOST_RUNS
) -> tuple[Any, list[float], list[float]]:
    """Repeat ``run`` for a while: its last result, and wall and CPU seconds of each repetition."""
    wall: list[float] = []
    cpu: list[float] = []
    while True:
        began, used = time.perf_counter(), cpu_seconds()
        result = run()
        wall.append(time.perf_counter() - began)
        cpu.append(cpu_seconds() - used)
        if sum(wall) >= least_s or len(wall) >= most:
            return result, wall, cpu


def job() -> dict[str, Any]:
    """What to measure: the JSON file named on the command line."""
    found: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    return found


def report(**values: Any) -> None:
    """Hand the result to whoever started this worker."""
    print(MARK + json.dumps({"peak_mb": peak_mb(), **values}), flush=True)
