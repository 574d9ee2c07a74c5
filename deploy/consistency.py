"""Whether a deployment that was read from a file makes sense: sizes, registers, seats.

A checksum only says that nothing changed since it was made; a file may still have been made wrong. Names, shapes and
ranges of registers are `spikeport.converters.check`'s; here stands what only a file can get wrong.
"""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.converters.check import check_chip_network
from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.placement import Placement
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.records import NonsenseError
from spikeport.errors import ModelError
from spikeport.hw_profiles.profile import Limits

MAX_NEURONS = 1 << 31


def check(deployment: Deployment) -> None:
    """Check that the parts of ``deployment`` fit each other and the chip's registers.

    Raises:
        NonsenseError: they do not; the message names the part, the value and the limit.
    """
    network = deployment.network
    _require(isfinite(network.dt) and network.dt > 0, "network", f"dt = {network.dt} s must be above 0")
    for population in network.populations.values():
        _check_population(population)
    for synapses in network.synapses.values():
        _check_synapses(synapses, deployment.profile.limits)
    try:
        check_chip_network(network)
    except ModelError as error:
        raise NonsenseError(str(error)) from error
    _check_placement(deployment.placement, network)


def _check_population(p: Population) -> None:
    """Sizes first: they are Python integers here, later NumPy's, which overflow."""
    _require(bool(p.shape) and all(d >= 1 for d in p.shape), p.name, f"shape {p.shape} must be positive")
    _require(prod(p.shape) < MAX_NEURONS, p.name, f"{prod(p.shape)} neurons are more than {MAX_NEURONS}")
    _require(p.offset.shape in ((), (p.size,)), p.name, f"offset has shape {p.offset.shape} for {p.size} neurons")
    _require(bool(np.isfinite(p.offset).all()), p.name, "offset must be finite")
    _require(isfinite(p.scale) and p.scale > 0, p.name, f"scale = {p.scale} must be above 0")
    if p.v_min is not None:
        _require(p.v_min.shape in ((), (p.size,)), p.name, f"v_min has shape {p.v_min.shape} for {p.size} neurons")
        _check_range(p.v_min, -STATE_LIMIT, STATE_LIMIT, f"{p.name}: v_min")
    for field, low, high in (("max_spikes", 1, 2**31), ("refractory", 0, 2**16), ("shift", 0, 2**16)):
        _require(low <= getattr(p, field) <= high, p.name, f"{field} = {getattr(p, field)} must lie in {low} .. {high}")


def _check_synapses(s: Synapses, limits: Limits) -> None:
    low, high = limits.weight_exp_min.value, limits.weight_exp_max.value
    _require(low <= s.weight_exp <= high, s.name, f"weight_exp = {s.weight_exp} must lie in {low} .. {high}")
    _require(1 <= s.num_weight_bits <= 8, s.name, f"weights of {s.num_weight_bits} bits; there are 1 .. 8")
    _check_range(np.asarray(s.delay), 0, limits.max_delay.value, f"{s.name}: delay")
    weights = s.connectivity.matrix.data if isinstance(s.connectivity, Sparse) else s.connectivity.weight
    step = 1 << (8 - s.num_weight_bits + (s.sign_mode == "mixed"))
    _require(not (weights % step).any(), s.name, f"weights of {s.num_weight_bits} bits must be multiples of {step}")
    match s.connectivity:
        case Dense(weight=weight):
            _require(weight.ndim == 2, s.name, f"dense weights of shape {weight.shape}")
        case Conv2d(weight=weight, source_shape=source, target_shape=target):
            _require(weight.ndim == 4 and weight.size > 0, s.name, f"a kernel of shape {weight.shape}")
            sane = min(*source, *target) >= 1 and prod(source) < MAX_NEURONS and prod(target) < MAX_NEURONS
            _require(sane, s.name, f"a convolution from {source} to {target}")


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
