"""Lava's own process models, made to start each sample anew and to write what they did on a tape.

The arithmetic stays Lava's: every model here is a subclass that calls its parent's `run_spk`. A batch is one long run
of Lava; at the first step of each sample neurons return to their initial state and synapses forget what is under way.
No sinks, monitors or Vars are read, so a recorded network has fewer operating-system processes than a plain one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import DS_OFFSET, STATE_LIMIT, STATE_SHIFT, decay
from spikeport.deploy.backends.lava.compatibility import prepare
from spikeport.deploy.backends.lava.plan import Plan, islands
from spikeport.deploy.backends.lava.tape import Tape, Track

prepare()

from lava.proc.dense.models import PyDelayDenseModelBitAcc, PyDenseModelBitAcc  # noqa: E402
from lava.proc.dense.process import DelayDense, Dense  # noqa: E402
from lava.proc.io.source import PySendModelFixed, RingBuffer  # noqa: E402
from lava.proc.lif.models import PyLifModelBitAcc  # noqa: E402
from lava.proc.lif.process import LIF  # noqa: E402
from lava.proc.sparse.models import PyDelaySparseModelBitAcc, PySparseModelBitAcc  # noqa: E402
from lava.proc.sparse.process import DelaySparse, Sparse  # noqa: E402

from spikeport.deploy.backends.lava.processes import delay, neurons  # noqa: E402
from spikeport.deploy.backends.lava.recording_sigma_delta import SIGMA_DELTA_UNITS  # noqa: E402


@dataclass(frozen=True)
class Recorder:
    """What a model is handed through its Process's ``proc_params["recorder"]``.

    Attributes:
        steps: chip steps per sample.
        track: of a population; None for synapses.
        progress: (1,) counter of steps begun, for the one part of an island that counts them; else None.
        before: what the counter stands at when the island starts.
    """

    steps: int
    track: Track | None
    progress: NDArray[np.int64] | None
    before: int

    def place(self, time_step: int) -> tuple[int, int]:
        """Count a step, and give (sample, chip step from 0) of Lava's time step, which counts from 1."""
        if self.progress is not None:
            self.progress[0] = self.before + time_step
        return divmod(time_step - 1, self.steps)


def recorders(plan: Plan, tape: Tape, batch: int, steps: int) -> Mapping[str, Recorder]:
    """A recorder for every part that runs, by part name; islands run one after the other, ``batch * steps`` each."""
    tracks = {part: tape.track(population) for population, part in plan.names.items()}
    return {
        name: Recorder(steps, tracks.get(name), tape.progress if name == island[0] else None, k * batch * steps)
        for k, island in enumerate(islands(plan))
        for name in island
    }


def attach(parts: Mapping[str, Any], recorders: Mapping[str, Recorder]) -> None:
    """Hand every Process in ``parts`` its recorder."""
    for name, recorder in recorders.items():
        parts[name].proc_params["recorder"] = recorder


class _RecordedSource(PySendModelFixed):  # type: ignore[misc]
    """Sends the samples on the tape instead of a ring buffer's data."""

    def run_spk(self) -> None:
        recorder: Recorder = self.proc_params["recorder"]
        sample, step = recorder.place(self.time_step)
        if recorder.track is not None:
            self.s_out.send(recorder.track.spikes[sample, step].reshape(self.data.shape[:-1]))


class _RecordedNeurons:
    """Mixin in front of a Lava neuron model."""

    _initial: tuple[Any, ...] | None = None
    _input: Any = None
    _fired: Any = None

    def run_spk(self: Any) -> None:
        recorder: Recorder = self.proc_params["recorder"]
        sample, step = recorder.place(self.time_step)
        if step == 0:
            _RecordedNeurons.restart(self)
        u, v = self.u.copy(), self.v.copy()
        super().run_spk()  # type: ignore[misc]
        if recorder.track is not None:
            self._write(recorder.track, sample, step, u, v)

    def restart(self: Any) -> None:
        registers = [self.u, self.v, *([self.hold] if hasattr(self, "hold") else [])]
        if self._initial is None:
            self._initial = tuple(register.copy() for register in registers)
        for register, initial in zip(registers, self._initial, strict=True):
            register[:] = initial

    def subthr_dynamics(self: Any, activation_in: NDArray[np.int32]) -> None:
        self._input = activation_in
        super().subthr_dynamics(activation_in)  # type: ignore[misc]

    def spiking_activation(self: Any) -> Any:
        self._fired = super().spiking_activation()  # type: ignore[misc]
        return self._fired

    def _write(self: Any, track: Track, sample: int, step: int, u: Any, v: Any) -> None:
        here = sample, step
        track.spikes[here] = self._fired.reshape(-1)
        changed = (u != self.u) | (v != self.v) | (self._fired != 0)
        track.active[here] = changed.reshape(-1)
        track.overflow[here] = self._overflow(u, v)
        if track.u is not None and track.v is not None:
            track.u[here], track.v[here] = self.u.reshape(-1), self.v.reshape(-1)

    def _overflow(self: Any, u: Any, v: Any) -> tuple[int, int]:
        """How many registers left their 24 bits: Lava says only where they landed."""
        u_wide = decay(u.astype(np.int64), self.du + DS_OFFSET) + (self._input.astype(np.int64) << STATE_SHIFT)
        v_wide = decay(v.astype(np.int64), self.dv) + self.u + self.effective_bias
        return int(np.count_nonzero(u_wide != self.u)), int(np.count_nonzero(np.abs(v_wide) >= STATE_LIMIT))


class _RecordedLIF(_RecordedNeurons, PyLifModelBitAcc):  # type: ignore[misc]
    pass


class _RecordedGeneralLIF(_RecordedNeurons, neurons.PyGeneralLIFModelFixed):
    pass


class _RecordedIntegrator(_RecordedNeurons, neurons.PyIntegratorModelFixed):
    pass


class RestartedSynapses:
    """Mixin in front of a Lava synapse model: what is under way does not reach the next sample."""

    buffer: ClassVar[str] = "a_buff"

    def run_spk(self: Any) -> None:
        """One step, from an empty buffer at the first of a sample."""
        if self.proc_params["recorder"].place(self.time_step)[1] == 0:
            setattr(self, self.buffer, np.zeros_like(getattr(self, self.buffer)))
        super().run_spk()  # type: ignore[misc]


class _RestartedDense(RestartedSynapses, PyDenseModelBitAcc):  # type: ignore[misc]
    pass


class _RestartedDelayDense(RestartedSynapses, PyDelayDenseModelBitAcc):  # type: ignore[misc]
    pass


class _RestartedSparse(RestartedSynapses, PySparseModelBitAcc):  # type: ignore[misc]
    pass


class _RestartedDelaySparse(RestartedSynapses, PyDelaySparseModelBitAcc):  # type: ignore[misc]
    pass


class _RestartedSpikeDelay(RestartedSynapses, delay.PySpikeDelayModelFixed):
    pass


_MODELS: Mapping[type, type] = {
    RingBuffer: _RecordedSource,
    LIF: _RecordedLIF,
    neurons.GeneralLIF: _RecordedGeneralLIF,
    neurons.Integrator: _RecordedIntegrator,
    Dense: _RestartedDense,
    DelayDense: _RestartedDelayDense,
    Sparse: _RestartedSparse,
    DelaySparse: _RestartedDelaySparse,
    delay.SpikeDelay: _RestartedSpikeDelay,
    **SIGMA_DELTA_UNITS,
}


def models(plan: Plan) -> dict[type, type]:
    """Process class to recording model, as Lava's `exception_proc_model_map` takes it; all that ``plan`` needs."""
    if not any(part.kind in ("Conv", "ShiftedConv") for part in plan.parts):
        return dict(_MODELS)
    from spikeport.deploy.backends.lava.recording_convolution import CONVOLUTIONS

    return {**_MODELS, **CONVOLUTIONS}
