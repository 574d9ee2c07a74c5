"""Memory: what a run will need at most, and how many samples and steps at a time keep it within a bound.

Counted is what the run allocates; the interpreter, its libraries and the caller's data come on top. Event lists have
room for every neuron to spike at every step, and the system gives only what is written: real runs stay far below.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Connectivity, Conv2d, Dense, Sparse, Synapses
from spikeport.converters.passes.core_load import models_used
from spikeport.converters.schedule import reach
from spikeport.deploy.backends.simulator.bounds import sends_payloads
from spikeport.errors import DataError

DEFAULT = 2 << 30
"""Bytes, where nobody says otherwise."""
AT_ONCE = 1 << 26
"""Bytes of event lists beyond which longer chunks bring nothing."""
CHUNK = 1 << 10
ENOUGH = 64
"""Steps at once from which on fewer samples at a time are better than fewer steps: what they touch stays in caches."""
TILE_BYTES = 1 << 22
"""Sums and scratch of one thread, at most, but for products."""
TILE_SUMS, PRODUCT_BYTES, PRODUCT_ROWS = 1 << 18, 1 << 23, 64
"""Of products: sums that a thread works on at once; bytes and rows of one product, at most. See `dense.products`."""
TABLE_BYTES = 64
"""For each entry of the tables with which a run is counted, while they are made; a quarter of it stays."""
LAID_OUT = 24
"""For each weight of a group, while it is brought into the order of an engine."""
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "B": 1}


@dataclass(frozen=True)
class Demand:
    """Bytes of a run, apart by what they grow with.

    Attributes:
        fixed: once.
        sample: for each sample at a time.
        sample_step: for each sample at a time and step of the chunk.
        kept: for each sample: results and counts, which stay after the run.
    """

    fixed: int
    sample: int
    sample_step: int
    kept: int

    def of(self, batch: int, chunk: int) -> int:
        """Bytes of a run of ``batch`` samples, ``chunk`` steps at a time."""
        return self.fixed + batch * (self.kept + self.sample + chunk * self.sample_step)

    def within(self, batch: int, portion: Portion, threads: int) -> int:
        """Bytes of a run of ``batch`` samples, a portion at a time for each thread."""
        return self.of(batch, 0) + min(batch, portion.samples * threads) * portion.steps * self.sample_step


@dataclass(frozen=True)
class Portion:
    """What one thread computes at a time: ``samples``, and ``steps`` of them."""

    samples: int
    steps: int


def parse_size(text: str) -> int:
    """Bytes from "2GiB", "512MiB" or a plain number.

    Raises:
        DataError: neither.
    """
    unit = next((u for u in UNITS if text.endswith(u)), "")
    try:
        size = int(float(text.removesuffix(unit)) * UNITS.get(unit, 1))
    except (ValueError, OverflowError):
        size = 0
    if size < 1:
        raise DataError(f"memory {text!r} is not a size; write for example 2GiB, 512MiB or a number of bytes")
    return size


def written(size: int) -> str:
    """Bytes for people."""
    unit = next((u for u in ("GiB", "MiB", "KiB") if size >= UNITS[u]), "B")
    return f"{size / UNITS[unit]:.3g} {unit}"


def batch_for(needed: Demand, samples: int, most: int, limit: int) -> int:
    """The largest number of samples at a time, up to ``most`` of ``samples``, that stays within ``limit`` bytes.

    Raises:
        DataError: not even one sample does.
    """
    if (least := needed.of(1, 1)) > limit:
        raise DataError(
            f"one sample needs at least {written(least)} ({written(needed.kept)} of it for its results), and three "
            f"quarters of the memory are {written(limit)}, the rest is for results that are gathered; use fewer steps, "
            "record less, or allow more memory (--memory)"
        )
    batch = min(most, samples)
    while needed.of(batch, 1) > limit:
        batch = (batch + 1) // 2
    return batch


def portion_for(needed: Demand, batch: int, steps: int, limit: int, threads: int) -> Portion:
    """The largest useful portion of ``batch`` samples of ``steps``; at least one step of one, whatever the limit."""
    working = min(batch, threads)
    free = min(limit - needed.of(batch, 0), AT_ONCE) // needed.sample_step
    chunk = max(1, min(steps, CHUNK, max(free // batch, min(free // working, ENOUGH))))
    return Portion(max(1, min(-(-batch // working), free // working // chunk)), chunk)


@dataclass(frozen=True)
class Ways:
    """How a run is computed and counted.

    Attributes:
        threads: that work at a time.
        products: whether matrix products may be used.
        cores: of the placement.
        entries: of the tables for counting, see `spikeport.deploy.consequences.Consequences.entries`.
    """

    threads: int
    products: bool
    cores: int
    entries: int


def demand(
    network: ChipNetwork, length: int, record: Collection[str], record_states: Collection[str], ways: Ways
) -> Demand:
    """What a run of ``length`` input steps needs.

    Args:
        network: the program.
        length: input steps.
        record, record_states: populations of which trains, or u and v, are kept.
        ways: see there.
    """
    populations, groups = network.populations, network.synapses.values()
    steps = length + network.depth
    neurons = sum(p.size for p in populations.values())
    kinds = len({type(s.connectivity) for s in groups}) + len(set(map(models_used, populations.values())))
    spikes, states = (sum(populations[n].size for n in names) for names in (record, record_states))
    lists = {n: p.size * (8 if p.model == "input" or sends_payloads(p) else 4) for n, p in populations.items()}
    history = sum(lists[n] * reach(network, n) for n in populations)
    scratch = TILE_BYTES + max((product_bytes(s, network) for s in groups), default=0) * ways.products
    return Demand(
        fixed=sum(weight_bytes(s.connectivity, ways.products) for s in groups)
        + LAID_OUT * max((_weights(s.connectivity) for s in groups), default=0)
        + ways.threads * scratch
        + 64 * neurons
        + TABLE_BYTES * ways.entries,
        sample=24 * neurons + 2 * history,
        sample_step=2 * sum(lists.values()) + 16 * states + 16 * len(populations) + 5 * spikes,
        kept=8 * length * (spikes + 2 * states)
        + steps * (8 * (2 * len(populations) + len(groups)) + 4 * ways.cores * (kinds + 3))
        + 8 * neurons,
    )


def weight_bytes(connectivity: Connectivity, products: bool) -> int:
    """Upper bound of the bytes that are kept of the weights of a group; for events, and for products, too."""
    match connectivity:
        case Dense(weight):
            return (6 if products else 2) * weight.size
        case Sparse(matrix):
            return (24 if products else 8) * matrix.nnz + 8 * matrix.shape[1]
        case Conv2d() as conv:
            kernel = np.prod([1 + (k - 1) * d for k, d in zip(conv.weight.shape[2:], conv.dilation, strict=True)])
            return (12 if products else 4) * int(np.prod(conv.weight.shape[:2]) * kernel)


def _weights(connectivity: Connectivity) -> int:
    return int(connectivity.matrix.nnz if isinstance(connectivity, Sparse) else connectivity.weight.size)


def product_bytes(synapses: Synapses, network: ChipNetwork) -> int:
    """Upper bound of what one product of a group takes on its way: spikes, taps of a convolution, sums in two types."""
    sources, targets = (network.populations[n].size for n in (synapses.source, synapses.target))
    number, taps, widened = 8 if synapses.graded else 4, 0, 0
    match synapses.connectivity:
        case Conv2d(weight=weight, target_shape=(_, height, width), groups=groups):
            taps = height * width * groups * weight[0].size
        case Dense(weight):
            widened = weight.size * 8 * synapses.graded
    row = number * taps + 2 * (number + 1) * sources + 24 * targets
    rows = max(1, min(PRODUCT_ROWS, TILE_SUMS // targets))
    return max(row, min(rows * row, 2 * PRODUCT_BYTES)) + widened
