"""Sigma-delta units in integers: how large their registers' unit is, and how many low bits their messages leave out.

With S units of the state per unit of the trained activation and state_exp = e, a message counts 2^e / S of the trained
activation. S is such that the largest weight fills the chip's 8 bits, and no larger: e then leaves messages of about 10
bits, short enough that the next layer's sums of messages times weights stay within 24. Sending floors a change to whole
messages, which loses half a message's unit on average: 2^-11 of the largest activation at 10 bits.

Source of the arithmetic: `spikeport.converters.chip_network` (lava-nc 0.10.0 `PySigmaDeltaModelFixed`); both exponents
have 3 bits, bias and threshold count whole messages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.converters.chip_network import Ints, Population
from spikeport.converters.circuit import FloatPopulation
from spikeport.converters.passes.lower_sigma_delta import LARGEST_MESSAGE
from spikeport.converters.passes.quantize.calibration import Peaks
from spikeport.converters.passes.quantize.registers import BIAS_MAX, VTH_MAX, bias_registers, flat, packed

Floats = NDArray[np.float64]
MESSAGE_BITS = 10
"""Messages keep at least this many bits, where the state has them."""
STATE_EXP_MAX = 7
HEADROOM = 2.0
"""Other data than the calibration set may bring sums this much larger before they leave 24 bits..."""
READOUT_HEADROOM = 4.0
"""...and this much where a sum is read out: it has bits to spare."""


def unit_peaks(p: FloatPopulation, arriving: Floats, target: Floats) -> Peaks:
    """Largest sum of changes (of received values, for an input unit) and largest activation, in trained units.

    Args:
        p: the units.
        arriving: (B, T, n) what they receive.
        target: (B, T, n) the trained network's activations.
    """
    sums = arriving if p.model == "delta" else arriving.cumsum(1)
    reached = float(np.abs(sums).max(initial=0.0)) + float(np.abs(p.bias).max())
    return Peaks(reached, float(np.abs(target).max(initial=0.0)))


def largest_unit_scale(p: FloatPopulation, peaks: Peaks, weights: Floats, max_exp: int) -> float:
    """The largest S at which sums, messages, ``weights``, threshold and bias fit their registers.

    Input units that hear one input each repeat its payloads as they are: they lose nothing, and stay short.
    """
    finest = float(1 << STATE_EXP_MAX)
    largest_weight = float(np.abs(weights).max(initial=0.0))
    if p.model == "delta" and weights.size == p.size and np.ptp(weights) == 0.0 and largest_weight > 0.0:
        return 1.0 / largest_weight
    bounds = [
        (STATE_LIMIT / (READOUT_HEADROOM if p.model == "sigma" else HEADROOM), peaks.u),
        (LARGEST_MESSAGE * (finest if p.model == "sigma_delta" else 1.0) / HEADROOM, _sent(p, peaks)),
        (254.0 * 2**max_exp, largest_weight),
        (max(254.0, 2**MESSAGE_BITS * largest_weight / (peaks.v or 1.0)), largest_weight),
        (VTH_MAX * finest, float(np.abs(p.threshold).max())),
        (BIAS_MAX * finest, float(np.abs(p.bias).max())),
    ]
    return float(min((end / size for end, size in bounds if size > 0), default=1.0))


def _sent(p: FloatPopulation, peaks: Peaks) -> float:
    return 0.0 if p.model == "sigma" else peaks.v


def state_exp(p: FloatPopulation, peaks: Peaks, scale: float) -> int:
    """Low bits that messages leave out: as many as keep `MESSAGE_BITS`, or the bias asks for; none for inputs."""
    if p.model != "sigma_delta":
        return 0
    wanted = max(peaks.v * scale / 2**MESSAGE_BITS, float(np.abs(p.bias).max()) * scale / BIAS_MAX, 1.0)
    return int(np.clip(np.ceil(np.log2(wanted)), 0, STATE_EXP_MAX))


def unit_at(name: str, p: FloatPopulation, peaks: Peaks, scale: float) -> Population:
    """The integer population at ``scale`` = S."""
    exponent = state_exp(p, peaks, scale)
    zero: Ints = np.zeros((), np.int64)
    mantissa, bias_exp = bias_registers(flat(p.bias, p) * scale / 2.0**exponent)
    threshold = np.clip(np.rint(packed(p.threshold, p) * scale / 2.0**exponent), 0, VTH_MAX)
    return Population(
        name=name, shape=p.shape, model=p.model, du=zero, dv=zero,
        vth=np.asarray(threshold, np.int64), reset=zero, bias_mant=mantissa, bias_exp=bias_exp,
        u_init=zero, v_init=zero, max_spikes=p.max_spikes, shift=p.shift, scale=scale, offset=packed(p.offset, p),
        state_exp=exponent, rectified=p.rectified,
    )  # fmt: skip


def message_unit(population: Population) -> float:
    """What a payload of 1 is worth in trained units."""
    return 2.0**population.state_exp / population.scale
