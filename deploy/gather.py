"""Gathering the batches of a run into one; what would not fit its memory goes into files without a name."""

from __future__ import annotations

from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikeport.deploy.activity import Activity, PopulationActivity

_Key = TypeVar("_Key")


class Room:
    """Arrays of zeros: in memory up to a limit, beyond it in temporary files that the system pages in and out."""

    def __init__(self, limit: int) -> None:
        """``limit``: bytes in memory."""
        self._left = limit

    def zeros(self, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """As `numpy.zeros`."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        if size <= self._left or size == 0:
            self._left -= size
            return np.zeros(shape, kind)
        with TemporaryFile(prefix="spikeport-") as file:
            return np.memmap(file, kind, "w+", shape=shape)


class Gathered:
    """Arrays of ``samples`` samples, filled batch by batch."""

    def __init__(self, samples: int, room: Room) -> None:
        """Nothing yet; arrays are made when their first batch comes."""
        self._samples, self._room = samples, room
        self._arrays: dict[tuple[object, ...], NDArray[Any]] = {}
        self._last: Activity | None = None
        self._sums: dict[str, NDArray[np.int64]] = {}
        self._traffic: Any = 0

    def put(self, key: tuple[object, ...], first: int, part: NDArray[Any]) -> None:
        """Samples ``first`` .. of the array ``key``; a batch that is all there is is not copied."""
        if len(part) == self._samples:
            self._arrays[key] = part
            return
        if key not in self._arrays:
            self._arrays[key] = self._room.zeros((self._samples, *part.shape[1:]), part.dtype)
        self._arrays[key][first : first + len(part)] = part

    def array(self, *key: object) -> NDArray[Any]:
        """The array ``key``, whole."""
        return self._arrays[key]

    def put_activity(self, first: int, part: Activity) -> None:
        """Counts of a batch."""
        self._last = part
        self._traffic = self._traffic + part.traffic
        for name, p in part.populations.items():
            for what in ("spikes", "active", "per_neuron"):
                self.put((what, name), first, getattr(p, what))
            more = np.array([p.payload, p.u_wraps, p.v_clips], np.int64)
            self._sums[name] = self._sums.get(name, np.zeros(3, np.int64)) + more
        for what in ("synops", "core_synops", "core_active"):
            for key, counts in getattr(part, what).items():
                self.put((what, key), first, counts)
        for what in ("core_spikes", "core_packets_out", "core_packets_in"):
            self.put((what,), first, getattr(part, what))

    def activity(self) -> Activity:
        """All counts."""
        last = self._last
        if last is None:
            raise ValueError("nothing was gathered")
        return Activity(
            batch=self._samples,
            steps=last.steps,
            populations={name: self._population(name, p.neurons) for name, p in last.populations.items()},
            synops=self._keyed("synops", last.synops),
            core_synops=self._keyed("core_synops", last.core_synops),
            core_active=self._keyed("core_active", last.core_active),
            core_spikes=self.array("core_spikes"),
            core_packets_out=self.array("core_packets_out"),
            core_packets_in=self.array("core_packets_in"),
            traffic=self._traffic,
        )

    def _keyed(self, what: str, keys: Mapping[_Key, Any]) -> dict[_Key, NDArray[Any]]:
        return {key: self.array(what, key) for key in keys}

    def _population(self, name: str, neurons: int) -> PopulationActivity:
        spikes, active, per_neuron = (self.array(what, name) for what in ("spikes", "active", "per_neuron"))
        return PopulationActivity(neurons, spikes, active, per_neuron, *self._sums[name].tolist())
