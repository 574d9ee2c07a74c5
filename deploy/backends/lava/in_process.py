"""Lava's process models in this very process, one thread each, without Lava's runtime.

The same Processes, the same models and the same order of sending and receiving as a real run; only the channels are
queues. It starts in milliseconds, which makes thousands of random networks affordable as a test.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.placement import Placement
from spikeport.deploy.backends.lava.build import build
from spikeport.deploy.backends.lava.plan import Plan, Wire, plan
from spikeport.deploy.backends.lava.recording import attach, models, recorders
from spikeport.deploy.backends.lava.replay import replay, write_inputs
from spikeport.deploy.backends.lava.tape import Tape, layout
from spikeport.deploy.backends.simulator.simulation import Progress, Simulation
from spikeport.errors import BackendError

# isort: split
from lava.magma.compiler.builders.py_builder import PyProcessBuilder
from lava.magma.compiler.utils import PortInitializer, VarInitializer


class _Channel:
    """What a model sees of a Lava channel: `send` copies into the sender's type, `recv` waits."""

    def __init__(self, name: str, dtype: Any, reshape: tuple[int, ...] | None) -> None:
        self.name, self._dtype, self._reshape = name, dtype, reshape
        self._queue: queue.SimpleQueue[NDArray[Any] | None] = queue.SimpleQueue()

    def send(self, data: NDArray[Any]) -> None:
        self._queue.put(np.array(data, dtype=self._dtype))

    def recv(self) -> NDArray[Any]:
        data = self._queue.get()
        if data is None:
            raise BackendError("another Lava process model failed")
        return data if self._reshape is None else data.reshape(self._reshape)

    def close(self) -> None:
        """Wake the receiver: nothing more will come."""
        self._queue.put(None)


def run_in_process(
    network: ChipNetwork,
    inputs: Mapping[str, NDArray[np.integer]],
    placement: Placement,
    record: Collection[str] = (),
    record_states: Collection[str] = (),
    progress: Progress | None = None,
) -> Simulation:
    """As `spikeport.deploy.backends.simulator.reference.simulate`, computed by Lava's models.

    Raises:
        BackendError: Lava is not installed or cannot hold the network.
    """
    batch, length = next(iter(inputs.values())).shape[:2]
    steps = length + network.depth
    laid_out = plan(network)
    with tempfile.TemporaryFile() as file:
        tape = Tape(layout(network, batch, steps, record_states), file.fileno())
        write_inputs(laid_out, tape, inputs)
        processes = build(laid_out)
        marked = recorders(laid_out, tape, batch, steps)
        attach(processes, marked)
        _run({name: processes[name] for name in marked}, laid_out, batch * steps)
        if progress is not None:
            progress(steps, steps)
        return replay(network, laid_out, tape, placement, length, record, record_states)


def _run(processes: Mapping[str, Any], plan: Plan, steps: int) -> None:
    table = models(plan)
    chosen = {name: table[type(process)] for name, process in processes.items()}
    channels = [(wire, _channel(processes, chosen, wire)) for wire in plan.wires]
    actors = [_model(name, process, chosen[name], channels) for name, process in processes.items()]

    def work(model: Any) -> None:
        try:
            for time_step in range(1, steps + 1):
                model.time_step = time_step
                model.run_spk()
        except BaseException:
            for _, channel in channels:
                channel.close()
            raise

    with ThreadPoolExecutor(len(actors)) as pool:
        futures = [pool.submit(work, actor) for actor in actors]
    faults = [fault for fault in (future.exception() for future in futures) if fault is not None]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, BackendError)):
        raise fault


def _channel(processes: Mapping[str, Any], chosen: Mapping[str, Any], wire: Wire) -> _Channel:
    port = getattr(processes[wire.target], wire.in_port)
    reshape = tuple(port.shape) if wire.reshape is not None else None
    return _Channel(wire.in_port, getattr(chosen[wire.source], wire.out_port).d_type, reshape)


def _model(name: str, process: Any, model: Any, channels: list[tuple[Wire, _Channel]]) -> Any:
    """The process's model with its Vars set and its ports made by Lava's own builder."""
    builder = PyProcessBuilder(model, 0, process.proc_params)
    builder.set_variables([VarInitializer(v.name, v.shape, v.init, v.id) for v in process.vars])
    ports = [*process.in_ports, *process.out_ports]
    kinds = [type(port).__name__ for port in ports]
    types = [getattr(model, port.name).d_type for port in ports]
    builder.set_py_ports(
        [PortInitializer(p.name, p.shape, t, k, 1) for p, t, k in zip(ports, types, kinds, strict=True)]
    )
    for wire, channel in channels:
        if wire.target == name:
            builder.csp_ports.setdefault(wire.in_port, []).append(channel)
        if wire.source == name:
            builder.csp_ports.setdefault(wire.out_port, []).append(channel)
    return builder.build()
