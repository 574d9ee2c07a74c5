"""Team: a few threads that share the rows of one call. Kernels release Python's lock while they run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise


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
