"""Memory: what a run will need at most, and how many samples and steps at a time keep it within a bound.

Counted is what the run allocates; the interpreter, its libraries and the caller's data come on top. Event lists have
room for every neuron to spike at every step, and the system gives only what is written: real runs stay far below.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Connectivity, Conv2d, Dense, Sparse
from spikeport.converters.passes.core_load import models_used
from spikeport.converters.schedule import reach
from spikeport.deploy.backends.simulator.bounds import sends_payloads
from spikeport.errors import DataError

DEFAULT = 2 << 30
"""Bytes, where nobody says otherwise."""
AT_ONCE = 1 << 26
"""Bytes of event lists beyond which longer chunks bring nothing."""
CHUNK = 1 << 10
TILE_BYTES = 1 << 22
"""Sums and scratch of one thread, at most."""
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
            f"one sample needs at least {written(least)} ({written(needed.kept)} of it for its results), allowed are "
            f"{written(limit)}; use fewer steps, record less, or allow more memory (--memory)"
        )
    batch = min(most, samples)
    while needed.of(batch, 1) > limit:
        batch = (batch + 1) // 2
    return batch


def chunk_for(needed: Demand, batch: int, steps: int, limit: int) -> int:
    """The longest useful number of ``steps`` at a time for ``batch`` samples; at least 1, whatever the limit."""
    free = min(limit - needed.of(batch, 0), AT_ONCE)
    return max(1, min(steps, CHUNK, free // (batch * needed.sample_step)))


def demand(
    network: ChipNetwork, cores: int, length: int, record: Collection[str], record_states: Collection[str], threads: int
) -> Demand:
    """What a run of ``length`` input steps needs.

    Args:
        network: the program.
        cores: of its placement.
        length: input steps.
        record, record_states: populations of which trains, or u and v, are kept.
        threads: that work at a time.
    """
    populations, groups = network.populations, network.synapses.values()
    steps = length + network.depth
    neurons = sum(p.size for p in populations.values())
    kinds = len({type(s.connectivity) for s in groups}) + len(set(map(models_used, populations.values())))
    spikes, states = (sum(populations[n].size for n in names) for names in (record, record_states))
    lists = {n: p.size * (8 if p.model == "input" or sends_payloads(p) else 4) for n, p in populations.items()}
    history = sum(lists[n] * reach(network, n) for n in populations)
    return Demand(
        fixed=sum(weight_bytes(s.connectivity) for s in groups) + threads * TILE_BYTES + 64 * neurons,
        sample=24 * neurons + 2 * history,
        sample_step=2 * sum(lists.values()) + 16 * states + 16 * len(populations) + 5 * spikes,
        kept=8 * length * (spikes + 2 * states)
        + steps * (8 * (2 * len(populations) + len(groups)) + 4 * cores * (kinds + 3))
        + 8 * neurons,
    )


def weight_bytes(connectivity: Connectivity) -> int:
    """Upper bound of the bytes that an engine keeps of the weights of a group."""
    match connectivity:
        case Dense(weight):
            return 4 * weight.size
        case Sparse(matrix):
            return 8 * matrix.nnz + 8 * matrix.shape[1]
        case Conv2d() as conv:
            kernel = np.prod([1 + (k - 1) * d for k, d in zip(conv.weight.shape[2:], conv.dilation, strict=True)])
            return 4 * int(np.prod(conv.weight.shape[:2]) * kernel)
