"""What calibration data say: the spikes that enter, and what the float network did with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.converters.circuit import FloatPopulation

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Recorded on the network's clock, B samples, T steps.

    Attributes:
        inputs: per input population, what the chip will receive, (B, T, n).
        targets: per population with neurons, what the float network gave: spikes (B, T, n), or the membrane
            potential in the trained units where it is an integrator.
    """

    inputs: Mapping[str, Ints]
    targets: Mapping[str, Floats]


@dataclass(frozen=True)
class Peaks:
    """Largest abs u and v of the float dynamics, in trained units."""

    u: float
    v: float


def float_peaks(p: FloatPopulation, arriving: Floats, target: Floats) -> Peaks:
    """Run the float dynamics of one population on ``arriving`` (B, T, n), its inputs in trained units.

    Resets follow ``target``, what the float network really did, so that one difference does not grow.
    """
    a, b, amount, bias, u, v = (
        np.broadcast_to(np.asarray(x, dtype=np.float64), p.shape).reshape(-1)
        for x in (p.current_decay, p.membrane_decay, p.reset_amount, p.bias, p.u_init, p.v_init)
    )
    lowest = -np.inf if p.v_min is None else np.broadcast_to(p.v_min, p.shape).reshape(-1)
    peak_u, peak_v = _largest(u), max(_largest(v), _largest(p.threshold) if p.model != "integrator" else 0.0)
    for t in range(arriving.shape[1]):
        u = a * u + arriving[:, t]
        v = np.maximum(b * v + u + bias, lowest)
        peak_u, peak_v = max(peak_u, _largest(u)), max(peak_v, _largest(v))
        v = _reset(p, v, target[:, t], amount)
    return Peaks(peak_u, peak_v)


def _largest(x: NDArray[np.floating]) -> float:
    return float(np.abs(x).max(initial=0.0))


def _reset(p: FloatPopulation, v: Floats, spikes: Floats, amount: Floats) -> Floats:
    if p.model == "lif":
        return np.where(spikes > 0, 0.0, v)
    return v - spikes * amount if p.model == "lif_subtract" else v
