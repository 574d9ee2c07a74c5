"""Neurons beyond Lava's LIF: reset by subtraction, several spikes per step, refractory period, readout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.lava.compatibility import prepare

prepare()

from lava.magma.core.decorator import implements, requires, tag  # noqa: E402
from lava.magma.core.model.py.ports import PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.process.variable import Var  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402
from lava.proc.lif.models import AbstractPyLifModelFixed  # noqa: E402
from lava.proc.lif.process import LIF  # noqa: E402

Ints = NDArray[np.int32]


class GeneralLIF(LIF):  # type: ignore[misc]
    """Lava's LIF with reset by subtraction, several spikes per step, a refractory period and a lower bound of v.

    Per step, after u and v were updated as `LIF` does::

        v = max(v, v_min);  v = 0 in the ``refractory`` steps after a spike, and in the first ``hold`` steps
        reset=None:  s = v > vth · 2^6;  v = 0 where s
        otherwise:   s = how often v stays above vth · 2^6, at most max_spikes; each takes reset · 2^6 off v

    Args:
        reset: 17-bit mantissa of what a spike takes off v, one or per neuron; None: v becomes 0.
        max_spikes: spikes per step with ``reset``; more than 1 is sent as a graded payload.
        refractory: steps after a spike in which v is held at 0.
        v_min: lower bound of v in v's own 24-bit units, one or per neuron; None: only the register's.
        hold: steps at the start in which v is held at 0.
        lif: whatever `LIF` takes: shape, u, v, du, dv, vth, bias_mant, bias_exp, name.
    """

    def __init__(
        self,
        *,
        reset: int | Ints | None = None,
        max_spikes: int = 1,
        refractory: int = 0,
        v_min: int | Ints | None = None,
        hold: int = 0,
        **lif: Any,
    ) -> None:
        super().__init__(reset=reset, max_spikes=max_spikes, refractory=refractory, v_min=v_min, **lif)
        self.hold = Var(shape=lif["shape"], init=hold)


class _AbstractGeneralLIFModel(AbstractPyLifModelFixed):  # type: ignore[misc]
    """What `GeneralLIF` and `Integrator` share; Lava forbids a model for a Process to derive from another's."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: int = LavaPyType(int, np.int32, precision=17)
    hold: Ints = LavaPyType(np.ndarray, np.int32, precision=8)

    def scale_threshold(self) -> None:
        """Align threshold and reset with v."""
        reset = self.proc_params["reset"]
        self.effective_vth = np.left_shift(np.int64(self.vth), self.vth_shift)
        self.effective_reset = None if reset is None else np.left_shift(np.int64(reset), self.vth_shift)
        self.isthrscaled = True

    def subthr_dynamics(self, activation_in: Ints) -> None:
        """u and v as in Lava, then the lower bound and the refractory period."""
        super().subthr_dynamics(activation_in)
        v_min = self.proc_params["v_min"]
        if v_min is not None:
            self.v[:] = np.maximum(self.v, v_min)
        self.v[self.hold > 0] = 0

    def spiking_activation(self) -> Ints:
        """Spikes of this step, as a count."""
        excess = np.int64(self.v) - self.effective_vth
        if self.effective_reset is None:
            return np.asarray(excess > 0, dtype=np.int32)
        worth = (excess - 1) // np.maximum(self.effective_reset, 1) + 1
        return np.asarray(np.clip(worth, 0, self.proc_params["max_spikes"]), dtype=np.int32)

    def reset_voltage(self, spike_vector: Ints) -> None:
        """Take the spikes off v and start the refractory period."""
        if self.effective_reset is None:
            self.v[spike_vector > 0] = 0
        else:
            self.v[:] = self.v - spike_vector * self.effective_reset
        refractory = self.proc_params["refractory"]
        self.hold[:] = np.where(spike_vector > 0, refractory, np.maximum(self.hold - 1, 0))


@implements(proc=GeneralLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyGeneralLIFModelFixed(_AbstractGeneralLIFModel):
    """`GeneralLIF` in integers."""


class Integrator(GeneralLIF):
    """A readout: u and v as in `LIF`, v is never reset and nothing is sent. Takes `GeneralLIF`'s v_min and hold."""


@implements(proc=Integrator, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyIntegratorModelFixed(_AbstractGeneralLIFModel):
    """`Integrator` in integers."""

    def spiking_activation(self) -> Ints:
        """None."""
        return np.zeros(self.v.shape, dtype=np.int32)
