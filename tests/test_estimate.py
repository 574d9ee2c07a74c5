"""Estimates: hand-made counts against sums done by hand."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Dense, Population, Sparse, Synapses
from spikeport.converters.placement import Core, Placement, Slice, Usage
from spikeport.deploy.activity import Activity, PopulationActivity
from spikeport.deploy.estimate import Estimate, estimate
from spikeport.errors import DataError
from spikeport.hw_profiles.profile import Profile, load_profile
from spikeport.hw_profiles.quantity import Quantity

LOIHI, FITTED, LOIHI2 = (load_profile(name) for name in ("loihi1", "loihi1-sanafe", "loihi2"))
STEPS = 2


def ints(value: object) -> NDArray[np.int64]:
    return np.asarray(value, dtype=np.int64)


def per_core(steps: list[list[int]]) -> NDArray[np.int32]:
    return np.asarray([steps], dtype=np.int32)


def population(name: str, size: int, model: str = "lif") -> Population:
    zero = ints(0)
    return Population(name, (size,), model, *[zero] * 8)  # type: ignore[arg-type]


# 3 inputs -> a (4 neurons: 2 on core 0, 2 on core 1) -> b (2 neurons, core 2); a -> b sparse, neuron 0 of a unconnected
NETWORK = ChipNetwork(
    {"in": population("in", 3, "input"), "a": population("a", 4), "b": population("b", 2)},
    {
        "in->a": Synapses("in->a", "in", "a", Dense(np.ones((4, 3), dtype=np.int64))),
        "a->b": Synapses("a->b", "a", "b", Sparse(csr_array(ints([[0, 1, 1, 0], [0, 0, 1, 1]])))),
    },
    ("in",),
    ("b",),
    1e-3,
)
USAGE = {"neurons": Usage(2, 1024, "compartments")}
PLACEMENT = Placement(
    tuple(Core((Slice(name, start, start + 2),), USAGE) for name, start in (("a", 0), ("a", 2), ("b", 0))),
    ((0, 0, 0, 0), (0, 1, 0, 0), (0, 3, 2, 0)),
    {"a": "neurons", "b": "neurons"},
)


def done(neurons: int, spikes: list[int], active: list[int], per_neuron: list[int]) -> PopulationActivity:
    return PopulationActivity(neurons, ints([spikes]), ints([active]), ints([per_neuron]))


# One sample. Step 1: inputs 0 and 1 spike. Step 2: they arrive (8 synops), neurons 1, 2 and 3 of a spike.
ACTIVITY = Activity(
    batch=1,
    steps=STEPS,
    populations={
        "in": done(3, [2, 0], [0, 0], [1, 1, 0]),
        "a": done(4, [0, 3], [0, 4], [0, 1, 1, 1]),
        "b": done(2, [0, 0], [0, 1], [0, 0]),
    },
    synops={"in->a": ints([[0, 8]]), "a->b": ints([[0, 4]])},
    core_synops={"dense": per_core([[0, 0, 0], [4, 4, 0]]), "sparse": per_core([[0, 0, 0], [0, 0, 4]])},
    core_active={("lif",): per_core([[0, 0, 0], [2, 2, 1]])},
    core_spikes=per_core([[0, 0, 0], [1, 2, 0]]),
    core_packets_out=per_core([[0, 0, 0], [1, 2, 0]]),
    core_packets_in=per_core([[2, 2, 0], [0, 0, 3]]),
    traffic=ints([[0, 0, 1], [0, 0, 2], [0, 0, 0], [2, 2, 0]]),
)
# Ways: core 0 -> 2: 3 east, 2 south; core 1 -> 2: 2 east, 2 south, twice.
EAST_WEST, NORTH_SOUTH, PACKETS = 3 + 2 * 2, 2 + 2 * 2, 3


def priced(profile: Profile, rate_hz: float | None = None) -> Estimate:
    return estimate(NETWORK, PLACEMENT, ACTIVITY, profile, rate_hz)


def with_price(profile: Profile, key: str, value: float | None) -> Profile:
    evidence = "unknown" if value is None else "measured"
    old = getattr(profile.prices, key)
    price = Quantity(value=value, unit=old.unit, source="a test", evidence=evidence)  # type: ignore[arg-type]
    return profile.model_copy(update={"prices": profile.prices.model_copy(update={key: price})})


def test_energy_by_the_fitted_list_is_the_sum_sana_fe_makes() -> None:
    synapse = 35.5 * 8 + 33.6 * 4
    soma = 51.2 * 6 * STEPS + 21.6 * 5 + 69.3 * 3
    network = 111 * PACKETS + 3.0 * EAST_WEST + 4.2 * NORTH_SOUTH
    found = priced(FITTED)
    assert found.energy_j == pytest.approx((synapse + soma + network) * 1e-12)
    assert found.evidence == "fitted"


def test_energy_by_davies_is_the_sum_done_by_hand() -> None:
    arrivals = PACKETS + 4  # two inputs, each to two cores
    dynamic = 23.6 * 12 + 81 * 5 + 52 * (12 - 5) + 1.7 * arrivals + 3.0 * EAST_WEST + 4.0 * NORTH_SOUTH
    found = priced(LOIHI)
    assert found.dynamic_j == pytest.approx(dynamic * 1e-12)
    assert found.latency_s is not None
    assert found.static_j == pytest.approx(0.104 * found.latency_s)
    assert found.evidence == "secondary"


def test_a_step_is_the_slowest_core_the_longest_way_and_the_barrier() -> None:
    barrier = 113 + (465 - 113) * (3 - 1) / (32 - 1)
    way = 3 * 4.1 + 2 * 6.5
    step1 = 2 * 5.3 + 2 * 2.1  # cores 0 and 1: two neurons at rest, two packets in
    step2 = max(2 * 8.4 + 4 * 3.5, 8.4 + 5.3 + 4 * 3.5 + 3 * 2.1)
    found = priced(LOIHI)
    assert found.latency_s == pytest.approx((step1 + step2 + 2 * (barrier + way)) * 1e-9)
    assert found.step_s == pytest.approx(found.latency_s / 2)
    assert found.barrier_s == pytest.approx(barrier * 1e-9)
    assert found.bottleneck.startswith("core 0 (a)")
    assert found.latency_evidence == "pre-silicon"


def test_packets_out_take_time_in_the_fitted_list() -> None:
    step2 = 2 * 6.0 + 2 * 3.7 + 4 * 3.8 + 2 * (30.0 + 5.1)  # core 1: one packet per spike
    step1 = 2 * 6.0 + 2 * 16.0
    way, barrier = 3 * 4.1 + 2 * 6.5, 1200  # 3 tiles: half way between 1000 (2) and 1400 (4)
    assert priced(FITTED).latency_s == pytest.approx((step1 + step2 + 2 * (way + barrier)) * 1e-9)


def test_loihi2_has_no_total_and_says_what_is_missing() -> None:
    found = priced(LOIHI2)
    assert (found.energy_j, found.dynamic_j, found.latency_s, found.power_w) == (None, None, None, None)
    assert "synaptic_op_dense_energy_pj" in found.missing
    assert "barrier_time_ns" in found.missing
    assert found.evidence == found.latency_evidence == "unknown"
    assert found.known_j == 0


def test_loihi2_at_the_prices_of_loihi1_has_an_assumed_total_that_says_so() -> None:
    found = priced(LOIHI2.with_prices_of(LOIHI))
    assert found.dynamic_j == priced(LOIHI).dynamic_j
    assert found.static_j == pytest.approx(0.2818 * (found.latency_s or 0))
    assert found.profile == "loihi2-at-loihi1-prices"
    assert found.evidence == "assumed"
    assert any(r.startswith("prices of loihi1, assumed for loihi2") for r in found.references)


@pytest.mark.parametrize("event", ["synaptic_op_sparse", "hop_east_west", "neuron_update_inactive"])
def test_one_unknown_price_opens_the_total_and_keeps_the_partial_sum(event: str) -> None:
    whole, found = priced(FITTED), priced(with_price(FITTED, f"{event}_energy_pj", None))
    (line,) = (line for line in whole.lines if line.name == event)
    assert found.energy_j is None
    assert found.missing == (f"{event}_energy_pj",)
    assert found.known_j == pytest.approx((whole.energy_j or 0) - (line.energy_j or 0))


def test_an_unknown_price_of_what_never_happened_opens_nothing() -> None:
    found = priced(with_price(FITTED, "synaptic_op_conv_energy_pj", None))
    assert found.missing == ()
    assert found.energy_j == priced(FITTED).energy_j


def test_unknown_times_leave_static_energy_open_but_not_the_dynamic_part() -> None:
    found = priced(with_price(LOIHI, "hop_east_west_time_ns", None))
    assert (found.latency_s, found.static_j, found.energy_j) == (None, None, None)
    assert found.dynamic_j == priced(LOIHI).dynamic_j
    assert found.missing == ("hop_east_west_time_ns",)


def test_what_a_list_leaves_out_is_repeated() -> None:
    assert any(text.startswith("barrier: ") for text in priced(LOIHI).not_covered)
    assert any(text.startswith("static: ") for text in priced(FITTED).not_covered)


def mixed(profile: Profile) -> Estimate:
    """The same run with b reset by subtraction, on the core of the second half of a."""
    populations = {**NETWORK.populations, "b": replace(NETWORK.populations["b"], model="lif_subtract")}
    shared = Core((Slice("a", 2, 4), Slice("b", 0, 2)), USAGE)
    done = replace(
        ACTIVITY,
        core_synops={"dense": per_core([[0, 0], [4, 4]]), "sparse": per_core([[0, 0], [0, 4]])},
        core_active={("lif",): per_core([[0, 0], [2, 2]]), ("lif_subtract",): per_core([[0, 0], [0, 1]])},
        core_spikes=per_core([[0, 0], [1, 2]]),
        core_packets_out=per_core([[0, 0], [1, 2]]),
        core_packets_in=per_core([[2, 2], [0, 3]]),
        traffic=ints([[0, 1], [0, 2], [2, 2]]),
    )
    placement = replace(PLACEMENT, cores=(PLACEMENT.cores[0], shared), seats=PLACEMENT.seats[:2])
    return estimate(replace(NETWORK, populations=populations), placement, done, profile)


def test_a_core_that_mixes_models_and_kinds_of_synapses_pays_for_each_by_itself() -> None:
    first, shared = mixed(FITTED).by_core
    assert first.energy_j == pytest.approx((35.5 * 4 + 51.2 * 4 + 21.6 * 2 + 69.3 + 111 + 3.0) * 1e-12)
    synapse, soma = 35.5 * 4 + 33.6 * 4, 51.2 * 6 * STEPS + 21.6 * (2 + 2) + 69.3 * 2
    assert shared.energy_j == pytest.approx((synapse + soma + 111 * 2) * 1e-12)


@pytest.mark.parametrize("profile", [LOIHI, FITTED])
def test_layers_and_cores_add_up_to_the_whole(profile: Profile) -> None:
    found = mixed(profile)
    for parts in (found.by_layer, found.by_core):
        assert sum(p.energy_j for p in parts) == pytest.approx(found.dynamic_j)
    assert sum(p.busy_s for p in found.by_layer) == pytest.approx(sum(p.busy_s for p in found.by_core))


def test_a_step_of_a_mixed_core_takes_the_time_of_its_own_events() -> None:
    barrier, way = 113 + (465 - 113) * (2 - 1) / (32 - 1), 4.1
    step1 = 6 * 5.3 + 2 * 2.1
    step2 = 4 * 8.4 + 2 * 5.3 + 8 * 3.5 + 3 * 2.1  # two of a in one compartment each, one of b in two; one of b at rest
    assert mixed(LOIHI).latency_s == pytest.approx((step1 + step2 + 2 * (barrier + way)) * 1e-9)


def test_a_layer_pays_for_its_inputs_its_neurons_and_its_packets() -> None:
    (layer,) = (p for p in priced(FITTED).by_layer if p.name == "a")
    network = 111 * PACKETS + 3.0 * EAST_WEST + 4.2 * NORTH_SOUTH
    assert layer.energy_j == pytest.approx((35.5 * 8 + 51.2 * 8 + 21.6 * 4 + 69.3 * 3 + network) * 1e-12)


def test_power_at_a_rate_counts_static_power_between_inferences() -> None:
    found = priced(LOIHI, rate_hz=1000.0)
    assert found.dynamic_j is not None
    assert found.power_at_rate_w == pytest.approx(0.104 + 1000 * found.dynamic_j)
    assert found.energy_at_rate_j == pytest.approx(found.power_at_rate_w / 1000)
    assert found.power_w == pytest.approx((found.energy_j or 0) * (found.max_rate_hz or 0))
    assert found.energy_delay_js == pytest.approx((found.energy_j or 0) * (found.latency_s or 0))


def test_a_rate_that_cannot_be_reached_is_noted() -> None:
    assert any("is more than one chip" in note for note in priced(LOIHI, rate_hz=1e9).notes)


def test_counts_are_means_over_the_batch() -> None:
    def twice(counts: Any) -> Any:
        return {k: twice(v) for k, v in counts.items()} if isinstance(counts, dict) else np.concatenate([counts] * 2)

    populations = {
        name: replace(p, spikes=twice(p.spikes), active=twice(p.active), per_neuron=twice(p.per_neuron))
        for name, p in ACTIVITY.populations.items()
    }
    cores = {f.name: twice(getattr(ACTIVITY, f.name)) for f in fields(ACTIVITY) if f.name.startswith("core_")}
    synops = twice(ACTIVITY.synops)
    both = replace(ACTIVITY, batch=2, populations=populations, synops=synops, traffic=2 * ACTIVITY.traffic, **cores)
    found = estimate(NETWORK, PLACEMENT, both, LOIHI)
    assert found.energy_j == pytest.approx(priced(LOIHI).energy_j)
    assert found.latency_s == pytest.approx(priced(LOIHI).latency_s)


def test_two_compartments_per_neuron_cost_two_updates() -> None:
    subtract = {**NETWORK.populations, "b": replace(NETWORK.populations["b"], model="lif_subtract")}
    found = estimate(replace(NETWORK, populations=subtract), PLACEMENT, ACTIVITY, FITTED)
    assert found.counts["neuron_access"] == (4 + 2 * 2) * STEPS
    assert found.counts["neuron_update_active"] == 4 + 2 * 1


def test_a_packet_between_chips_has_no_known_price() -> None:
    apart = replace(PLACEMENT, seats=(*PLACEMENT.seats[:2], (1, 0, 0, 0)))
    found = estimate(NETWORK, apart, ACTIVITY, LOIHI)
    assert found.missing == ("chip_crossing_energy_pj", "chip_crossing_time_ns")
    assert found.energy_j is None


def test_a_placement_cut_for_another_chip_is_noted() -> None:
    assert any("cut for cores of 1024" in note for note in priced(LOIHI2).notes)
    assert priced(LOIHI).notes == ()


def test_the_estimate_is_plain_json() -> None:
    text = json.dumps(priced(LOIHI, 10.0).as_dict(), allow_nan=False)
    assert json.loads(text)["profile"] == "loihi1"


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(DataError, match="rate must be positive"):
        priced(LOIHI, rate)


def test_a_run_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="0 samples"):
        estimate(NETWORK, PLACEMENT, replace(ACTIVITY, batch=0), LOIHI)
