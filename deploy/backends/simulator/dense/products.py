"""Sums of one synapse group as exact matrix products over many steps of many samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, Sparse, Synapses
from spikeport.deploy.backends.simulator.bounds import heaviest
from spikeport.deploy.backends.simulator.dense import exact
from spikeport.deploy.backends.simulator.dense.exact import Number, number
from spikeport.deploy.backends.simulator.dense.maps import Map, int8_product, lay_out, without_weights
from spikeport.deploy.backends.simulator.engine import Tile
from spikeport.deploy.backends.simulator.events.weights import factored
from spikeport.deploy.backends.simulator.trains import Train

BATCH_BYTES = 1 << 20
"""Rows are worked on in batches of about this size, so that products find them in a near cache."""
LEAST_ROWS, MOST_BYTES = 64, 1 << 23
"""Products of fewer rows do not fill the machine; so there are that many, but no more than take so much memory."""


@dataclass(frozen=True)
class Lag:
    """The part of a group that has one delay; the chip shifts the sums of each delay by the exponent on its own.

    Attributes:
        delay: of these synapses.
        mine: (n_source,) source neurons that have this delay; None for all.
        connectivity: weights without their common power of two; without other source neurons, where it is no
            convolution.
        exponent: with that power.
        negated: the weights have the opposite sign, since -128 is an int8 and 128 is none.
        heaviest: the largest sum of absolute weights onto one target.
    """

    delay: int
    mine: NDArray[np.bool_] | None
    connectivity: Connectivity
    exponent: int
    negated: bool
    heaviest: int

    def number(self, payload: int, device: torch.device) -> Number | None:
        """See `exact.number`."""
        weights = _weights(self.connectivity)
        extremes = int(weights.min(initial=0)), int(weights.max(initial=0))
        return number(extremes, self.heaviest, payload, int8_product(self.connectivity), device)

    def rows(self, source: Train, tile: Tile, first: int, stop: int) -> NDArray[Any]:
        """(stop - first, k) what arrives in these rows of the tile."""
        row = np.arange(first, stop)
        window = source.dense()
        step = source.history + tile.s0 + row % tile.steps - 1 - self.delay
        found: NDArray[Any] = window[tile.b0 + row // tile.steps, step]
        if self.mine is None:
            return found
        return found * self.mine if isinstance(self.connectivity, Conv2d) else found[:, self.mine]


def lags(synapses: Synapses) -> Iterator[Lag]:
    """The parts of a group, by delay."""
    for delay in np.unique(synapses.delay).tolist():
        mine = None if np.ndim(synapses.delay) == 0 else np.asarray(synapses.delay) == delay
        part = _from(synapses.connectivity, mine)
        small, power = factored(_weights(part))
        negated = int(small.max(initial=0)) == 128 and int(small.min(initial=0)) >= -127
        kept = _with(part, (-small).astype(np.int8) if negated else small)
        yield Lag(delay, mine, kept, synapses.weight_exp + power, negated, heaviest(part) >> power)


class Products:
    """A synapse group laid out for matrix products; see `spikeport.deploy.backends.simulator.engine.Sums`."""

    def __init__(self, synapses: Synapses, device: torch.device, batch_bytes: int = BATCH_BYTES) -> None:
        """Lay the weights out for spikes of 1; larger payloads may need another type, made when they come."""
        self._synapses, self._device, self._batch_bytes = synapses, device, batch_bytes
        whole = tuple(lags(synapses))
        self._maps = [self._lay_out(lag, 1) for lag in whole]
        # The maps have the weights; a second copy would be more than 4 bytes per synapse.
        self._lags = tuple(replace(lag, connectivity=_emptied(lag.connectivity)) for lag in whole)

    @property
    def types(self) -> tuple[str, ...]:
        """Number types in use."""
        return tuple(dict.fromkeys(str(m.dtype).removeprefix("torch.") for m, _ in self._maps))

    def _lay_out(self, lag: Lag, payload: int) -> tuple[Map, int]:
        """A map, and the largest payload for which it is exact."""
        chosen = lag.number(payload, self._device)
        if chosen is None:
            return lay_out(lag.connectivity, None, self._device), np.iinfo(np.int64).max
        return lay_out(lag.connectivity, chosen.dtype, self._device), chosen.payload

    def _map(self, index: int, payload: int) -> Map:
        found, most = self._maps[index]
        # Between two runs somebody may have told torch to round.
        if payload > most or (found.dtype == torch.float32 and exact.float32_is_rounded()):
            lag = next(islice(lags(self._synapses), index, None))
            self._maps[index] = found, most = self._lay_out(lag, payload)
        return found

    def add(
        self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: NDArray[np.integer[Any]]
    ) -> None:
        """See `spikeport.deploy.backends.simulator.engine.Sums`."""
        self.put(source, tile, span, fresh, torch.from_numpy(sums))

    def put(self, source: Train, tile: Tile, span: tuple[int, int], fresh: bool, sums: torch.Tensor) -> None:
        """As `add`, with sums on any device."""
        payload = source.largest if self._synapses.graded else 1
        for index, lag in enumerate(self._lags):
            weights = self._map(index, payload)
            least = min(LEAST_ROWS, MOST_BYTES // weights.row_bytes)
            step = max(self._batch_bytes // weights.row_bytes, least, 1)
            for first in range(span[0], span[1], step):
                stop = min(first + step, span[1])
                rows = lag.rows(source, tile, first, stop)
                if source.graded and not self._synapses.graded:
                    rows = rows != 0
                arrived = weights(torch.from_numpy(rows).to(self._device, weights.dtype))
                settle(-arrived if lag.negated else arrived, lag.exponent, fresh and index == 0, sums[first:stop])


def settle(arrived: torch.Tensor, exponent: int, fresh: bool, sums: torch.Tensor) -> None:
    """``sums`` (R, n) plus, or if ``fresh`` simply, ``arrived`` (R, C, n / C) · 2^exponent, floored."""
    whole = arrived.to(sums.device, sums.dtype)
    shifted = whole << exponent if exponent >= 0 else whole >> -exponent
    into = sums.view(arrived.shape)
    if fresh:
        into.copy_(shifted)
    else:
        into += shifted


def _weights(connectivity: Connectivity) -> Ints:
    return np.asarray(connectivity.matrix.data if isinstance(connectivity, Sparse) else connectivity.weight)


def _from(connectivity: Connectivity, mine: NDArray[np.bool_] | None) -> Connectivity:
    """The part that comes from these source neurons; a convolution stays whole, and gets zeros from the others.

    Two sparse synapses between the same neurons become one of their summed weight.
    """
    match connectivity:
        case Dense(weight) if mine is not None:
            return Dense(weight[:, mine])
        case Sparse(matrix):
            own = matrix.copy() if mine is None else matrix[:, np.flatnonzero(mine)]
            own.sum_duplicates()
            return Sparse(own)
        case _:
            return connectivity


def _emptied(connectivity: Connectivity) -> Connectivity:
    """Of the same kind, without weights."""
    return without_weights(connectivity) if isinstance(connectivity, Conv2d) else Dense(np.empty((0, 0), np.int64))


def _with(connectivity: Connectivity, weights: NDArray[Any]) -> Connectivity:
    """The same synapses with other weights."""
    match connectivity:
        case Sparse(matrix):
            return Sparse(type(matrix)((weights, matrix.indices, matrix.indptr), matrix.shape))
        case _:
            return replace(connectivity, weight=weights)
