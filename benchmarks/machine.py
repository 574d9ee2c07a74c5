"""What this machine can do at most: additions of int8 weights, matrix products, memory bandwidth."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

REPEATS = 7


@numba.njit(nogil=True)
def add_rows(weights: NDArray[np.int8], total: NDArray[np.int32], rounds: int) -> None:
    """Add every row of ``weights`` (rows, n) to ``total`` (n,), ``rounds`` times, in the nearest cache."""
    for _ in range(rounds):
        for r in range(weights.shape[0]):
            row = weights[r]
            for j in range(total.shape[0]):
                total[j] += row[j]


@numba.njit(nogil=True)
def add_rows_short(weights: NDArray[np.int8], total: NDArray[np.int32], part: NDArray[np.int16], rounds: int) -> None:
    """As `add_rows`, by way of int16 sums of 252 rows, four at a time."""
    for _ in range(rounds):
        part[:] = 0
        for r in range(0, weights.shape[0], 4):
            a, b, c, d = weights[r], weights[r + 1], weights[r + 2], weights[r + 3]
            for j in range(total.shape[0]):
                part[j] += a[j] + b[j] + c[j] + d[j]
        for j in range(total.shape[0]):
            total[j] += part[j]


def best(work: Callable[[], None], amount: float, threads: int) -> float:
    """``amount`` per second of ``work`` on each of ``threads`` threads at once, the best of several times."""
    work()
    with ThreadPoolExecutor(threads) as pool:
        found = 0.0
        for _ in range(REPEATS):
            began = time.perf_counter()
            for job in [pool.submit(work) for _ in range(threads)]:
                job.result()
            found = max(found, amount * threads / (time.perf_counter() - began))
    return found


def additions(threads: int) -> dict[str, float]:
    """Additions of int8 weights per second, straight to int32 and by way of int16."""
    weights = np.random.default_rng(0).integers(-100, 100, (24, 1024)).astype(np.int8)

    def plain() -> None:
        add_rows(weights, np.zeros(1024, np.int32), 4000)

    def short() -> None:
        add_rows_short(weights, np.zeros(1024, np.int32), np.zeros(1024, np.int16), 8000)

    found = {"int8 to int32": best(plain, weights.size * 4000, threads)}
    return {**found, "int8 by int16 to int32": best(short, weights.size * 8000, threads)}


def products(threads: int) -> dict[str, float]:
    """Operations (a multiplication and an addition are two) per second of matrix products."""
    torch.set_num_threads(threads)
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    found = {"float32 product": best(lambda: _drop(torch.mm(a, b)), 2.0 * 2048**3, 1)}
    try:
        c, d = (a * 100).to(torch.int8), (b * 100).to(torch.int8)
        found["int8 product"] = best(lambda: _drop(torch._int_mm(c, d)), 2.0 * 2048**3, 1)
    except (AttributeError, RuntimeError):
        pass
    return found


def _drop(result: torch.Tensor) -> None:
    del result


def bandwidth(threads: int) -> float:
    """Bytes read and written per second when a large array is copied."""
    source = np.ones(1 << 25, np.int64)
    rooms = [np.empty_like(source) for _ in range(threads)]
    return best(lambda: np.copyto(rooms[0], source), 2.0 * source.nbytes, threads)


def main() -> None:
    """Print all of it as JSON; the number of threads is the first argument."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else os.cpu_count() or 1
    found: dict[str, Any] = {"threads": threads, **additions(threads), **products(threads), "copy": bandwidth(threads)}
    print("@@" + json.dumps(found))


if __name__ == "__main__":
    main()
