"""A program that runs a long network on Lava and says how far it is, for tests that end it in every way."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from random_networks import ZERO, one_core

from spikeport.converters.chip_network import ChipNetwork, Dense, Population, Synapses
from spikeport.deploy.backends.lava.run import Limits, run_on_lava
from spikeport.errors import BackendError

LONG = 200_000
"""Steps: minutes of running."""
SHORT = 500
"""Steps: long enough for a test that looks again and again to see all of Lava's processes."""


class Fuse:
    """A refractory period that a process model can read ``uses`` times before it raises."""

    def __init__(self, uses: int) -> None:
        self.uses = uses

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self.uses -= 1
        if self.uses < 0:
            raise ArithmeticError("the fuse has blown")
        return np.array(0, dtype=dtype)


def network(refractory: Any = 0) -> ChipNetwork:
    """Two inputs, two recurrent populations, one of them spikeport's own process."""
    source = Population("in", (2,), "input", *[ZERO] * 8)
    first = Population("a", (2,), "lif", *[ZERO + 100] * 3, *[ZERO] * 5)
    second = Population("b", (2,), "lif_subtract", *[ZERO + 100] * 4, *[ZERO] * 4, refractory=refractory)
    pairs = [("in", "a"), ("a", "b"), ("b", "b")]
    synapses = {f"{x}->{y}": Synapses(f"{x}->{y}", x, y, Dense(np.full((2, 2), 100))) for x, y in pairs}
    return ChipNetwork({p.name: p for p in (source, first, second)}, synapses, ("in",), ("b",), 1e-3)


def main(mode: str) -> None:
    """Run in one of the modes short, long, fuse, stall; print every step seen, and how it ended."""
    victim = network(Fuse(300) if mode == "fuse" else 0)
    data = np.ones((1, SHORT if mode == "short" else LONG, 2), np.int64)
    limits = Limits(total_s=8 if mode == "limit" else 300)

    def report(done: int, total: int) -> None:
        print("step", done, total, flush=True)

    try:
        run_on_lava(victim, {"in": data}, one_core(victim), progress=report, limits=limits)
    except BackendError as error:
        print("refused:", error, flush=True)
        sys.exit(error.exit_code)
    print("done", flush=True)


if __name__ == "__main__":
    import lava_victim

    lava_victim.main(sys.argv[1])
