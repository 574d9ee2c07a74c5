"""Place: seats distinct, on the mesh, near those they talk to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Population, Sparse, Synapses
from spikeport.converters.mesh import hops, serpentine
from spikeport.converters.passes.place import near_seats, place, swap_gains
from spikeport.converters.placement import Core, Slice
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import load_profile

LOIHI = load_profile("loihi1")
NOTHING = ChipNetwork({}, {}, (), (), 1e-3)


def cores(count: int) -> tuple[Core, ...]:
    return tuple(Core((Slice("layer", k, k + 1),), {}) for k in range(count))


def way(traffic: np.ndarray, seats: tuple[tuple[int, int, int, int], ...]) -> float:
    east_west, north_south, crossings = hops(seats)
    return float((traffic * (east_west + north_south + 16 * crossings)).sum())


def test_hops_go_east_west_then_north_south() -> None:
    east_west, north_south, crossings = hops([(0, 1, 0, 2), (0, 4, 3, 0), (1, 4, 3, 0)])
    assert (east_west[0, 1], north_south[0, 1], crossings[0, 1]) == (3, 3, 0)
    assert (east_west[1, 2], north_south[1, 2], crossings[1, 2]) == (0, 0, 1)


def test_neighbours_in_the_serpentine_are_at_most_one_hop_apart() -> None:
    seats = serpentine(LOIHI.mesh, 128, 128)
    east_west, north_south, _ = hops(seats)
    assert len(set(seats)) == 128
    assert (np.diagonal(east_west, 1) + np.diagonal(north_south, 1)).max() == 1


@pytest.mark.parametrize("count", [0, 1, 5, 128, 300])
def test_seats_are_distinct_and_on_the_mesh(count: int) -> None:
    traffic = np.random.default_rng(count).integers(0, 9, (count, count))
    seats = near_seats(traffic, LOIHI)
    assert len(set(seats)) == count
    assert {chip for chip, *_ in seats} == set(range(-(-count // 128)))
    assert all(x < 8 and y < 4 and core < 4 for _, x, y, core in seats)


def test_cores_that_talk_most_get_the_same_tile() -> None:
    traffic = np.ones((12, 12), dtype=np.int64)
    traffic[0, 11] = 1000
    seats = near_seats(traffic, LOIHI)
    assert seats[0][:3] == seats[11][:3]


def test_swapping_never_makes_the_way_longer() -> None:
    traffic = np.random.default_rng(0).integers(0, 50, (40, 40))
    seats = near_seats(traffic, LOIHI)
    assert way(traffic, seats) < 0.97 * way(traffic, serpentine(LOIHI.mesh, 128, 40))


def test_the_same_arguments_give_the_same_seats() -> None:
    traffic = np.random.default_rng(1).integers(0, 50, (30, 30))
    assert near_seats(traffic, LOIHI) == near_seats(traffic, LOIHI)


@settings(deadline=None)
@given(arrays(np.int64, (6, 6), elements=st.integers(0, 9)), st.permutations(range(6)), st.integers(0, 5))
def test_gain_of_a_swap_is_the_way_before_less_the_way_after(traffic: np.ndarray, order: list[int], core: int) -> None:
    flow = (traffic + traffic.T).astype(float)
    np.fill_diagonal(flow, 0)
    seats = serpentine(LOIHI.mesh, 4, 6)  # two chips
    sitting = [seats[k] for k in order]
    east_west, north_south, crossings = hops(sitting)
    gains = swap_gains(core, flow, (east_west + north_south + 16.0 * crossings))
    for other in range(6):
        swapped = list(sitting)
        swapped[core], swapped[other] = sitting[other], sitting[core]
        assert gains[other] == (way(flow, tuple(sitting)) - way(flow, tuple(swapped))) / 2


def test_cores_that_are_connected_get_the_same_tile() -> None:
    zero = np.zeros((), dtype=np.int64)
    layer = Population("layer", (12,), "lif", *[zero] * 8)
    link = csr_array(([1], ([11], [0])), shape=(12, 12))
    net = replace(NOTHING, populations={"layer": layer}, synapses={"l": Synapses("l", "layer", "layer", Sparse(link))})
    placement = place(cores(12), {"layer": "neurons"}, net, LOIHI).result
    assert placement.seats[0][:3] == placement.seats[11][:3]
    assert placement.binding == {"layer": "neurons"}


def test_several_chips_are_said() -> None:
    outcome = place(cores(129), {}, NOTHING, LOIHI)
    assert "needs 2 chips of loihi1" in str(outcome.findings[0])


def test_more_cores_than_seats_are_refused() -> None:
    with pytest.raises(DoesNotFitError, match="4097 cores do not fit the 4096 of loihi1"):
        place(cores(4097), {}, NOTHING, LOIHI)
