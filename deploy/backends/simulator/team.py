"""Team: a few threads that share the rows of one call. Kernels release Python's lock while they run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise


@contextmanager
def workers(size: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of ``size`` threads, none of which may start threads of its own in torch, where that is loaded."""
    torch = sys.modules.get("torch")
    if torch is None:
        with ThreadPoolExecutor(size) as pool:
            yield pool
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(size, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Team:
    """Threads for work that falls into independent rows; without a pool the caller does it alone."""

    pool: ThreadPoolExecutor | None = None
    size: int = 1

    def each(self, work: Callable[[int, int], None], count: int, least: int = 1) -> None:
        """Call ``work(start, stop)`` for parts of 0 .. ``count`` - 1, none smaller than ``least``, and wait."""
        parts = min(self.size, count // max(least, 1))
        if self.pool is None or parts < 2:
            work(0, count)
            return
        edges = [count * i // parts for i in range(parts + 1)]
        others = [self.pool.submit(work, a, b) for a, b in pairwise(edges[1:])]
        try:
            work(edges[0], edges[1])
        finally:
            for other in others:
                other.result()


ALONE = Team()
