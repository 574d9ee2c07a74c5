"""Team: a few threads that share the rows of one call. Kernels release Python's lock while they run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from threadpoolctl import ThreadpoolController

_LOADED_WITH: list[int] = []
"""Threads that torch would have used, had it not been loaded by `calm_torch`."""


@contextmanager
def calm() -> Iterator[None]:
    """torch starts no threads of its own: ours share the work, and a process forked after torch's would hang."""
    before = _calmed()
    try:
        yield
    finally:
        if usual := before or max(_LOADED_WITH, default=0):
            sys.modules["torch"].set_num_threads(usual)


def _calmed() -> int:
    """Threads that torch used until now, 0 where it is not loaded; from now on it uses one."""
    torch = sys.modules.get("torch")
    if torch is None:
        return 0
    before: int = torch.get_num_threads()
    torch.set_num_threads(1)
    return before


def calm_torch() -> Any:
    """torch, loaded if need be, within `calm`."""
    known = "torch" in sys.modules
    import torch

    if not known:
        _LOADED_WITH.append(_calmed())
    return torch


@cache
def _blas() -> ThreadpoolController:
    """NumPy's products, with which spikes are counted: their threads wait by spinning, on processors that we use."""
    return ThreadpoolController()


@contextmanager
def workers(size: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of ``size`` threads, all of them calm."""
    quiet = _blas().limit(limits=1, user_api="blas")
    with calm(), quiet, ThreadPoolExecutor(size, initializer=_calmed) as pool:
        yield pool


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
