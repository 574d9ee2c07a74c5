"""Whether a deployment that was read from a file makes sense: names, shapes, ranges of registers, seats.

A checksum only says that nothing changed since it was made; a file may still have been made wrong.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import DECAY_UNITY, STATE_LIMIT
from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.converters.passes.chip_limits import SIGMA_DELTA_EXP_MAX
from spikeport.converters.placement import Placement
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.records import NonsenseError
from spikeport.hw_profiles.profile import Limits

MAX_NEURONS = 1 << 31
_WEIGHTS = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-255, 0)}
_REGISTERS = {
    "du": (-1, DECAY_UNITY - 1),
    "dv": (0, DECAY_UNITY),
    "vth": (0, (1 << 17) - 1),
    "reset": (0, (1 << 17) - 1),
    "bias_mant": (-(1 << 12), (1 << 12) - 1),
    "bias_exp": (0, 7),
    "u_init": (-STATE_LIMIT, STATE_LIMIT),
    "v_init": (-STATE_LIMIT, STATE_LIMIT),
    "v_min": (-STATE_LIMIT, STATE_LIMIT),
}

_FIELDS = (
    ("max_spikes", 1, 2**32),
    ("refractory", 0, 2**16),
    ("hold_init", 0, 2**16),
    ("shift", 0, 2**16),
    ("spike_exp", 0, SIGMA_DELTA_EXP_MAX),
    ("state_exp", 0, SIGMA_DELTA_EXP_MAX),
)


def check(deployment: Deployment) -> None:
    """Check that the parts of ``deployment`` fit each other and the chip's registers.

    Raises:
        NonsenseError: they do not; the message names the part, the value and the limit.
    """
    check_program(deployment.network, deployment.profile.limits)
    _check_placement(deployment.placement, deployment.network)


def check_program(network: ChipNetwork, limits: Limits) -> None:
    """Check that the populations and synapses of ``network`` fit each other and the chip's registers.

    Raises:
        NonsenseError: as `check`.
    """
    _check_names(network)
    for population in network.populations.values():
        _check_population(population)
    for synapses in network.synapses.values():
        _check_synapses(synapses, network, limits)


def _check_names(network: ChipNetwork) -> None:
    populations = network.populations
    names = [(k, p.name) for k, p in populations.items()] + [(k, s.name) for k, s in network.synapses.items()]
    for key, name in names:
        _require(key == name, key, f"is called {name!r} inside")
    for end in (network.inputs, network.outputs):
        _require(
            bool(end) and set(end) <= set(populations),
            "network",
            f"inputs or outputs {end} are not among its populations",
        )
    inputs = {name for name, p in populations.items() if p.model == "input"}
    _require(
        inputs == set(network.inputs), "network", f"inputs are {network.inputs}, populations of model input {inputs}"
    )
    _require(isfinite(network.dt) and network.dt > 0, "network", f"dt = {network.dt} s must be above 0")


def _check_population(p: Population) -> None:
    _require(bool(p.shape) and all(d >= 1 for d in p.shape), p.name, f"shape {p.shape} must be positive")
    _require(prod(p.shape) < MAX_NEURONS, p.name, f"{prod(p.shape)} neurons are more than {MAX_NEURONS}")
    for register, (low, high) in _REGISTERS.items():
        if (value := getattr(p, register)) is not None:
            _check_range(value, low, high, f"{p.name}: {register}")
            _check_size(value, p, register)
    from_zero = p.model not in SIGMA_DELTA or not (p.u_init.any() or p.v_init.any() or p.hold_init)
    _require(from_zero, p.name, "sigma-delta units start from zero; u_init, v_init and hold_init must be 0")
    _check_size(p.offset, p, "offset")
    _require(bool(np.isfinite(p.offset).all()), p.name, "offset must be finite")
    _require(isfinite(p.scale) and p.scale > 0, p.name, f"scale = {p.scale} must be above 0")
    for field, low, high in _FIELDS:
        _require(low <= getattr(p, field) <= high, p.name, f"{field} = {getattr(p, field)} must lie in {low} .. {high}")


def _check_size(value: NDArray[Any], p: Population, field: str) -> None:
    _require(value.shape in ((), (p.size,)), p.name, f"{field} has shape {value.shape} for {p.size} neurons")


def _check_synapses(s: Synapses, network: ChipNetwork, limits: Limits) -> None:
    for end in (s.source, s.target):
        _require(end in network.populations, s.name, f"population {end!r} does not exist")
    source, target = network.populations[s.source], network.populations[s.target]
    _require(target.model != "input", s.name, f"ends at the input {target.name}")
    _require(1 <= s.num_weight_bits <= 8, s.name, f"weights of {s.num_weight_bits} bits")
    low, high = limits.weight_exp_min.value, limits.weight_exp_max.value
    _require(low <= s.weight_exp <= high, s.name, f"weight_exp = {s.weight_exp} must lie in {low} .. {high}")
    delay = np.asarray(s.delay)
    _require(delay.shape in ((), (source.size,)), s.name, f"delays of shape {delay.shape} for {source.size} sources")
    _check_range(delay, 0, limits.max_delay.value, f"{s.name}: delay")
    weights = s.connectivity.matrix.data if isinstance(s.connectivity, Sparse) else s.connectivity.weight
    _check_range(weights, *_WEIGHTS[s.sign_mode], f"{s.name}: weight")
    step = 1 << (8 - s.num_weight_bits + (s.sign_mode == "mixed"))
    _require(not (weights % step).any(), s.name, f"weights of {s.num_weight_bits} bits must be multiples of {step}")
    _check_geometry(s, source, target)


def _check_geometry(s: Synapses, source: Population, target: Population) -> None:
    match s.connectivity:
        case Dense(weight=weight) | Sparse(matrix=weight):
            shape = tuple(weight.shape)
            wanted = (target.size, source.size)
            _require(shape == wanted, s.name, f"weights of shape {shape} instead of {wanted}")
        case Conv2d() as conv:
            _check_conv(conv, s.name)
            sizes = (prod(conv.source_shape), prod(conv.target_shape))
            _require(sizes == (source.size, target.size), s.name, f"connects {sizes}, not {(source.size, target.size)}")


def _check_conv(conv: Conv2d, name: str) -> None:
    numbers = (*conv.source_shape, *conv.target_shape, *conv.stride, *conv.dilation, conv.groups)
    _require(all(n >= 1 for n in numbers) and min(conv.padding) >= 0, name, "a convolution's numbers must be positive")
    c_in, c_out = conv.source_shape[0], conv.target_shape[0]
    kernel = conv.weight.shape
    fits = len(kernel) == 4 and kernel[:2] == (c_out, c_in // conv.groups) and min(kernel) >= 1
    _require(
        fits and c_in % conv.groups == c_out % conv.groups == 0, name, f"kernel {kernel} for {c_in} to {c_out} channels"
    )
    for axis in (0, 1):
        reach = conv.source_shape[1 + axis] + 2 * conv.padding[axis] - conv.dilation[axis] * (kernel[2 + axis] - 1) - 1
        wanted = reach // conv.stride[axis] + 1
        _require(
            conv.target_shape[1 + axis] == wanted, name, f"its output must have {wanted} rows or columns on axis {axis}"
        )


def _check_placement(placement: Placement, network: ChipNetwork) -> None:
    _require(len(placement.seats) == len(placement.cores), "placement", "must seat every core")
    _require(len(set(placement.seats)) == len(placement.seats), "placement", "two cores share a seat")
    _require(all(min(seat) >= 0 for seat in placement.seats), "placement", "a seat is negative")
    slices = [s for core in placement.cores for s in core.slices]
    for name in {s.population for s in slices} | set(placement.binding):
        _require(name in network.populations, "placement", f"population {name!r} does not exist")
    for name, population in network.populations.items():
        bounds = sorted((s.start, s.stop) for s in slices if s.population == name)
        if bounds or population.model != "input":
            joined = [0, *(stop for _, stop in bounds)] == [*(start for start, _ in bounds), population.size]
            _require(joined, "placement", f"the cores do not hold each neuron of {name} once")


def _check_range(value: NDArray[Any], low: int, high: int, where: str) -> None:
    if value.size and (value.min() < low or value.max() > high):
        raise NonsenseError(f"{where} = {value.min()} .. {value.max()} must lie in {low} .. {high}")


def _require(holds: bool, where: str, message: str) -> None:
    if not holds:
        raise NonsenseError(f"{where}: {message}")
