"""A delay of spikes, for what has none of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.lava.compatibility import prepare

prepare()

from lava.magma.core.decorator import implements, requires, tag  # noqa: E402
from lava.magma.core.model.py.model import PyLoihiProcessModel  # noqa: E402
from lava.magma.core.model.py.ports import PyInPort, PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.process.ports.ports import InPort, OutPort  # noqa: E402
from lava.magma.core.process.process import AbstractProcess  # noqa: E402
from lava.magma.core.process.variable import Var  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402

Ints = NDArray[np.int32]


class SpikeDelay(AbstractProcess):  # type: ignore[misc]
    """Sends what it received ``delay`` steps ago, spikes or payloads; for delays into a Conv, which has none.

    Args:
        shape: of the population it delays.
        delay: steps; 0 only masks.
        mask: 1 for each line that is let through, of ``shape``; None: all.
    """

    def __init__(self, *, shape: tuple[int, ...], delay: int, mask: Ints | None = None, **kwargs: Any) -> None:
        super().__init__(shape=shape, delay=delay, **kwargs)
        self.s_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.mask = Var(shape=shape, init=1 if mask is None else mask)
        self.a_buff = Var(shape=(max(delay, 1), *shape), init=0)


@implements(proc=SpikeDelay, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySpikeDelayModelFixed(PyLoihiProcessModel):  # type: ignore[misc]
    """`SpikeDelay` in integers; it sends before it receives, so that a loop through it does not wait for itself."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    mask: Ints = LavaPyType(np.ndarray, np.int32, precision=1)
    a_buff: Ints = LavaPyType(np.ndarray, np.int32, precision=24)

    def run_spk(self) -> None:
        """One step."""
        if self.proc_params["delay"] == 0:
            self.s_out.send(self.s_in.recv() * self.mask)
            return
        self.s_out.send(self.a_buff[0])
        self.a_buff[:-1] = self.a_buff[1:]
        self.a_buff[-1] = self.s_in.recv() * self.mask
