"""Recording models of Lava's sigma-delta units; see `spikeport.deploy.backends.lava.recording`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.deploy.backends.lava.compatibility import prepare

prepare()

from lava.proc.sdn.models import PyDeltaModelFixed, PySigmaDeltaModelFixed, PySigmaModelFixed  # noqa: E402
from lava.proc.sdn.process import Delta, Sigma, SigmaDelta  # noqa: E402


class _Tee:
    """Stands before an output port and keeps what was sent last."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.last = np.zeros(0, np.int32)

    def send(self, data: NDArray[np.int32]) -> None:
        """Keep ``data`` and send it on."""
        self.last = data
        self._port.send(data)


class _RecordedUnits:
    """Mixin in front of a Lava sigma-delta model; sigma is recorded as u, the activation as v."""

    registers: ClassVar[tuple[str, ...]] = ("sigma", "act", "residue", "error")
    recorded: ClassVar[tuple[str, str]] = ("sigma", "act")
    sends: ClassVar[bool] = True

    def run_spk(self: Any) -> None:
        """One step, from zero at the first of a sample."""
        recorder = self.proc_params["recorder"]
        sample, step = recorder.place(self.time_step)
        if not isinstance(self.s_out, _Tee):
            self.s_out = _Tee(self.s_out)
        if step == 0:
            for register in self.registers:
                setattr(self, register, np.zeros_like(getattr(self, register)))
        before = [getattr(self, register).copy() for register in self.recorded]
        super().run_spk()  # type: ignore[misc]
        if recorder.track is not None:
            self._write(recorder.track, (sample, step), before)

    def _write(self: Any, track: Any, here: tuple[int, int], before: list[Any]) -> None:
        after = [getattr(self, register) for register in self.recorded]
        spikes = self.s_out.last if self.sends else np.zeros_like(self.s_out.last)
        changed = (before[0] != after[0]) | (before[1] != after[1]) | (spikes != 0)
        track.spikes[here] = spikes.reshape(-1)
        track.active[here] = changed.reshape(-1)
        track.overflow[here] = tuple(int(np.count_nonzero(np.abs(x) >= STATE_LIMIT)) for x in after)
        if track.u is not None and track.v is not None:
            track.u[here], track.v[here] = (x.reshape(-1) for x in after)


class _RecordedDelta(_RecordedUnits, PyDeltaModelFixed):  # type: ignore[misc]
    pass


class _RecordedSigmaDelta(_RecordedUnits, PySigmaDeltaModelFixed):  # type: ignore[misc]
    pass


class _RecordedSigma(_RecordedUnits, PySigmaModelFixed):  # type: ignore[misc]
    """A readout: what Lava's Sigma sends, its sum, is a state to us."""

    registers = ("sigma",)
    recorded = ("sigma", "sigma")
    sends = False


SIGMA_DELTA_UNITS: Mapping[type, type] = {Delta: _RecordedDelta, SigmaDelta: _RecordedSigmaDelta, Sigma: _RecordedSigma}
