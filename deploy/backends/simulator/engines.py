"""Engines by name, and a network's simulator, kept as long as the same network is run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.placement import Placement
from spikeport.deploy.backends.simulator.auto import AutoEngine
from spikeport.deploy.backends.simulator.engine import Engine, EscapeError
from spikeport.deploy.backends.simulator.events.engine import EventsEngine
from spikeport.deploy.backends.simulator.memory import Portion
from spikeport.deploy.backends.simulator.simulation import Choice, Progress, Simulation
from spikeport.deploy.backends.simulator.simulator import Simulator
from spikeport.deploy.backends.simulator.stop import StopRule
from spikeport.errors import DataError


def _dense() -> Engine:
    """See `DenseEngine`; torch takes its time to load."""
    from spikeport.deploy.backends.simulator.dense.engine import DenseEngine

    return DenseEngine()


def _cuda() -> Engine:
    """`DenseEngine` on a GPU."""
    from spikeport.deploy.backends.simulator.dense.engine import DenseEngine

    return DenseEngine("cuda")


ENGINES: Mapping[str, Callable[[], Engine]] = {
    "auto": AutoEngine,
    "events": EventsEngine,
    "dense": _dense,
    "cuda": _cuda,
}

_LAST: dict[str, Simulator] = {}
"""The last simulator of each engine: most callers run one network again and again."""


def simulator(network: ChipNetwork, placement: Placement, engine: str) -> Simulator:
    """The network made ready for ``engine``, one of `ENGINES`."""
    known = _LAST.get(engine)
    if known is None or known.network is not network or known.placement is not placement:
        known = _LAST[engine] = Simulator(network, placement, ENGINES[engine]())
    return known


def run_on(
    engine: str,
    network: ChipNetwork,
    inputs: Mapping[str, NDArray[np.integer[Any]]],
    placement: Placement,
    record: Collection[str] = (),
    record_states: Collection[str] = (),
    progress: Progress | None = None,
    stop: StopRule | None = None,
    portion: Portion | None = None,
) -> Simulation:
    """As `reference.simulate`, on ``engine``; for ``stop`` and ``portion`` see `Simulator.run`.

    Raises:
        DataError: samples are to stop early, and have payloads that only the reference holds.
    """
    ready = simulator(network, placement, engine)
    try:
        return ready.run(inputs, record, record_states, progress, stop, portion)
    except EscapeError as error:
        if stop is not None:
            raise DataError(
                f"{error} sends payloads beyond 32 bits, which only the backend reference holds, and that cannot stop "
                "a sample early; run whole samples on it, or scale the payloads down"
            ) from error
    return _by_specification(network, inputs, placement, record, record_states, progress)


def _by_specification(network: ChipNetwork, *arguments: Any) -> Simulation:
    """For what no engine holds: payloads beyond 32 bits."""
    from spikeport.deploy.backends.simulator.reference import simulate

    choice = Choice("reference", "payloads beyond 32 bits")
    inside = [name for name, p in network.populations.items() if p.model != "input"]
    return replace(simulate(network, *arguments), engines=dict.fromkeys(inside, choice))
