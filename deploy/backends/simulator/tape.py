"""Tape: keeps the trains and states that were asked for, on the input's clock."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.deploy.backends.simulator.classes import Span


class Tape:
    """Room for (B, T, n) of each recorded population; what nobody writes stays 0."""

    def __init__(
        self, network: ChipNetwork, spikes: Collection[str], states: Collection[str], batch: int, length: int
    ) -> None:
        """Make room for ``batch`` samples of ``length`` input steps."""
        self._shift = {name: p.shift for name, p in network.populations.items()}
        self._length = length

        def zeros(names: Collection[str]) -> dict[str, Ints]:
            return {n: np.zeros((batch, length, network.populations[n].size), np.int64) for n in names}

        self.spikes, self.u, self.v = zeros(spikes), zeros(states), zeros(states)

    def write(self, name: str, room: Ints, span: Span, values: NDArray[Any]) -> None:
        """Put ``values`` (b, K, n) of a chunk into ``room``, as far as they lie on the input's clock."""
        shift = self._shift[name]
        start, stop = (min(max(c - shift, 0), self._length) for c in (span.first, span.first + span.steps))
        if start < stop:
            room[span.rows, start:stop] = values[:, start + shift - span.first : stop + shift - span.first]

    def until(self, used: Ints) -> None:
        """Forget what lies behind each sample's first ``used`` (B,) chip steps."""
        for rooms in (self.spikes, self.u, self.v):
            for name, room in rooms.items():
                room[np.arange(self._length) + self._shift[name] >= used[:, None]] = 0
