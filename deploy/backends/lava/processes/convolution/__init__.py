"""Lava's convolution with the exponent that its fixed-point model ignores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.backends.lava.compatibility import prepare

prepare(convolution=True)

from lava.magma.core.decorator import implements, requires, tag  # noqa: E402
from lava.magma.core.model.py.ports import PyInPort, PyOutPort  # noqa: E402
from lava.magma.core.model.py.type import LavaPyType  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402
from lava.proc.conv.models import AbstractPyConvModel  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402
from lava.proc.conv.utils import signed_clamp  # noqa: E402

Ints = NDArray[np.int32]


class ShiftedConv(Conv):  # type: ignore[misc]
    """Lava's Conv with the ``weight_exp`` that `PyConvModelFixed` ignores: the finished sum · 2^weight_exp, floored."""


@implements(proc=ShiftedConv, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyShiftedConvModelFixed(AbstractPyConvModel):  # type: ignore[misc]
    """`ShiftedConv` in integers: the sum is shifted as `PyDenseModelBitAcc` does, then wrapped to 24 bits."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    a_buf: Ints = LavaPyType(np.ndarray, np.int32, precision=24)
    weight: Ints = LavaPyType(np.ndarray, np.int32, precision=8)

    def clamp_precision(self, x: Ints) -> Ints:
        """Shift, then wrap."""
        exponent = int(self.weight_exp.item())
        shifted = np.left_shift(x, exponent) if exponent > 0 else np.right_shift(x, -exponent)
        wrapped: Ints = signed_clamp(shifted, bits=24)
        return wrapped
