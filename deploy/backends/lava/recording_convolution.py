"""Recording models of convolutions, apart from the others because Lava's convolution takes a second to load."""

from __future__ import annotations

from collections.abc import Mapping

from spikeport.deploy.backends.lava.compatibility import prepare
from spikeport.deploy.backends.lava.recording import RestartedSynapses

prepare(convolution=True)

from lava.proc.conv.models import PyConvModelFixed  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402

from spikeport.deploy.backends.lava.processes.convolution import PyShiftedConvModelFixed, ShiftedConv  # noqa: E402


class _RestartedConv(RestartedSynapses, PyConvModelFixed):  # type: ignore[misc]
    buffer = "a_buf"


class _RestartedShiftedConv(RestartedSynapses, PyShiftedConvModelFixed):
    buffer = "a_buf"


CONVOLUTIONS: Mapping[type, type] = {Conv: _RestartedConv, ShiftedConv: _RestartedShiftedConv}
"""Process class to recording model."""
