"""Place: cores onto the mesh so that traffic × distance is small.

Cores come in the order of the flow, so a serpentine over the tiles already puts neighbours side by side. Swapping
seats, as long as that shortens the way of all packets, does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.mesh import Seat, hops, serpentine
from spikeport.converters.passes.partition import core_reach
from spikeport.converters.placement import Core, Placement
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import Profile

_SWEEPS = 5
_CROSSING = 16.0  # tiles that a chip crossing is worth: more than the way across a chip, so chips stay compact


def place(
    cores: Sequence[Core],
    binding: Mapping[str, str],
    network: ChipNetwork,
    profile: Profile,
) -> Outcome[Placement]:
    """Seats for ``cores``, the same for the same arguments.

    A run's traffic is not known yet: every neuron counts as one packet to each core it reaches.

    Args:
        cores, binding: what `partition` gave.
        network: the program.
        profile: the chip.

    Raises:
        DoesNotFitError: more cores than seats.
    """
    available = profile.limits.cores.value * profile.limits.chips.value
    if len(cores) > available:
        raise DoesNotFitError(f"{len(cores)} cores do not fit the {available} of {profile.name}")
    placement = Placement(tuple(cores), near_seats(core_reach(network, cores), profile), dict(binding))
    return Outcome(placement, _findings(placement, profile))


def near_seats(traffic: NDArray[np.integer], profile: Profile) -> tuple[Seat, ...]:
    """A seat for each core so that those with much ``traffic``, (cores, cores) packets, sit near each other."""
    seats = serpentine(profile.mesh, profile.limits.cores.value, len(traffic))
    east_west, north_south, crossings = hops(seats)
    order = _improve(traffic.astype(np.float64), east_west + north_south + _CROSSING * crossings)
    return tuple(seats[k] for k in order)


def _improve(traffic: NDArray[np.float64], distance: NDArray[np.float64]) -> Ints:
    """Which seat each core takes: swaps, best first for each core in turn, until none shortens the way."""
    flow = traffic + traffic.T
    np.fill_diagonal(flow, 0.0)
    order, between = np.arange(len(flow)), distance.copy()
    for _ in range(_SWEEPS):
        swapped = [core for core in range(len(flow)) if _swap_best(core, order, flow, between)]
        if not swapped:
            break
    return order


def _swap_best(core: int, order: Ints, flow: NDArray[np.float64], between: NDArray[np.float64]) -> bool:
    """Swap ``core`` with the core that gains most, in place; False where no swap gains."""
    gains = swap_gains(core, flow, between)
    best = int(np.argmax(gains))
    if gains[best] <= 1e-9:
        return False
    pair, swapped = [core, best], [best, core]
    order[pair] = order[swapped]
    between[pair] = between[swapped]
    between[:, pair] = between[:, swapped]
    return True


def swap_gains(core: int, flow: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) by how much Σ flow · distance / 2 falls when ``core`` swaps seats with each other core.

    ``flow`` and ``distance`` (n, n) are symmetric with zero diagonals. Swapping i and j changes Σ_k over k not i, j
    (f_ik - f_jk)(d_jk - d_ik); the way between the two stays.
    """
    own = flow[core] @ distance  # own[j] = Σ_k f_ik d_jk
    before_own = float(flow[core] @ distance[core])
    before_other = np.einsum("jk,jk->j", flow, distance)
    other = flow @ distance[core]  # other[j] = Σ_k f_jk d_ik
    between = 2.0 * flow[core] * distance[core]
    gains: NDArray[np.float64] = before_own + before_other - own - other - between
    return gains


def _findings(placement: Placement, profile: Profile) -> tuple[Finding, ...]:
    if placement.chips <= 1:
        return ()
    text = f"needs {placement.chips} chips of {profile.name}; spikes between chips are slower than on one chip."
    return (Finding("several-chips", "warning", "", text, "A smaller network would stay on one chip."),)
