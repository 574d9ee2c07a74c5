"""Partition: every limit in turn, and a slow unrolled oracle."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from random_networks import same
from scipy.sparse import csr_array

from spikeport.converters.chip_network import (
    ChipNetwork,
    Connectivity,
    Conv2d,
    Dense,
    Population,
    Sparse,
    Synapses,
)
from spikeport.converters.connectivity import fan_out_onto
from spikeport.converters.passes.partition import core_reach, partition
from spikeport.converters.passes.synapse_memory import (
    block_bits,
    shared_kernels,
    shared_kernels_of_tile,
    synapse_bits,
    synapse_bytes,
)
from spikeport.converters.passes.tiles import Tile, fan_out_onto_tile, grid
from spikeport.converters.placement import Core, Placement
from spikeport.deploy.backends.simulator.engines import run_on
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.errors import DoesNotFitError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile, load_profile

REGISTERS = ("du", "dv", "vth", "reset", "bias_mant", "bias_exp", "u_init", "v_init")


def ints(value: object) -> NDArray[np.int64]:
    return np.asarray(value, dtype=np.int64)


def population(name: str, shape: tuple[int, ...], model: Any = "lif", **changes: Any) -> Population:
    return Population(name, shape, model, **{**dict.fromkeys(REGISTERS, ints(0)), **changes})


def network(populations: list[Population], links: list[tuple[str, str, Connectivity]], **group: Any) -> ChipNetwork:
    synapses = [Synapses(f"{a}->{b}", a, b, how, **group) for a, b, how in links]
    return ChipNetwork(
        {p.name: p for p in populations}, {s.name: s for s in synapses}, (populations[0].name,), (), 1e-3
    )


def dense(n_in: int, n_out: int) -> Dense:
    return Dense(np.ones((n_out, n_in), dtype=np.int64))


def conv(c_in: int, c_out: int, size: int, groups: int = 1) -> Conv2d:
    """3x3, stride 1, same size."""
    kernel = np.ones((c_out, c_in // groups, 3, 3), dtype=np.int64)
    return Conv2d(kernel, (c_in, size, size), (c_out, size, size), (1, 1), (1, 1), (1, 1), groups)


def feed_forward(how: Connectivity, n_in: int, shape: tuple[int, ...], **changes: Any) -> ChipNetwork:
    return network([population("in", (n_in,), "input"), population("layer", shape, **changes)], [("in", "layer", how)])


def chip(sharing: bool = True, **limits: int) -> Profile:
    """Loihi 1 with other limits."""
    base = load_profile("loihi1")
    changed = {key: getattr(base.limits, key).model_copy(update={"value": v}) for key, v in limits.items()}
    shares = base.features.weight_sharing_conv.model_copy(update={"value": sharing})
    return base.model_copy(
        update={
            "limits": base.limits.model_copy(update=changed),
            "features": base.features.model_copy(update={"weight_sharing_conv": shares}),
        }
    )


def pieces(net: ChipNetwork, profile: Profile, name: str = "layer") -> tuple[int, str]:
    """Cores that hold a part of the layer, and what binds."""
    cores, binding = partition(net, profile).result
    return sum(any(s.population == name for s in core.slices) for core in cores), binding[name]


def test_neurons_bind() -> None:
    assert pieces(feed_forward(dense(2, 2049), 2, (2049,)), load_profile("loihi1")) == (3, "neurons")


def test_reset_by_subtraction_takes_two_compartments_on_loihi1_and_one_on_loihi2() -> None:
    net = feed_forward(dense(2, 1024), 2, (1024,), model="lif_subtract")
    assert pieces(net, load_profile("loihi1")) == (2, "neurons")
    assert pieces(net, load_profile("loihi2"))[0] == 1


def test_synaptic_memory_binds_and_the_finding_says_so() -> None:
    outcome = partition(feed_forward(dense(1000, 256), 1000, (256,)), load_profile("loihi1"))
    # 131 072 bytes for 1000 sources are 16 words each: 9 words hold 64 synapses, 7 more hold 53, and 117 < 256 / 2
    assert outcome.findings[0].message == "layer layer needs 3 cores: synaptic memory 128 KB/core binds"


def test_fan_in_axons_bind() -> None:
    profile = chip(fan_in_axons_per_core=40)
    assert pieces(feed_forward(Sparse(csr_array(np.eye(100, dtype=np.int64))), 100, (100,)), profile) == (
        3,
        "fan-in axons",
    )


def test_fan_out_axons_bind_the_layer_that_sends() -> None:
    populations = [population("in", (2,), "input"), population("layer", (30,)), population("next", (60,))]
    net = network(populations, [("in", "layer", dense(2, 30)), ("layer", "next", dense(30, 60))])
    profile = chip(neurons_per_core=30, fan_out_axons_per_core=20)  # "next" takes 2 cores: 2 destinations a neuron
    assert pieces(net, profile) == (3, "fan-out axons")
    assert pieces(net, profile, "next") == (2, "neurons")


def test_threshold_sets_bind() -> None:
    net = feed_forward(dense(2, 100), 2, (100,), vth=ints(np.arange(100) // 2))
    assert pieces(net, load_profile("loihi1")) == (4, "threshold sets")
    assert pieces(net, load_profile("loihi2"))[0] == 1


def test_parameter_sets_bind() -> None:
    net = feed_forward(dense(2, 100), 2, (100,), dv=ints(np.arange(100)))
    assert pieces(net, load_profile("loihi1")) == (4, "parameter sets")


def test_synapse_formats_of_one_core_are_limited() -> None:
    net = network(
        [population("in", (2,), "input"), population("a", (2,)), population("b", (2,))],
        [("in", "a", dense(2, 2)), ("in", "b", Sparse(csr_array(np.eye(2, dtype=np.int64))))],
    )
    assert len(partition(net, chip(synapse_formats_per_core=1)).result[0]) == 2
    assert len(partition(net, chip(synapse_formats_per_core=2)).result[0]) == 1


def test_small_layers_share_a_core() -> None:
    populations = [population("in", (4,), "input"), population("a", (20,)), population("b", (10,))]
    cores, _ = partition(
        network(populations, [("in", "a", dense(4, 20)), ("a", "b", dense(20, 10))]), load_profile("loihi1")
    ).result
    assert [[s.population for s in core.slices] for core in cores] == [["a", "b"]]
    assert cores[0].usage["neurons"].used == 30
    assert cores[0].usage["fan-in axons"].used == 24


def test_a_layer_that_needs_several_cores_is_cut_evenly_along_channels() -> None:
    net = feed_forward(conv(1, 5, 20), 400, (5, 20, 20))
    cores, _ = partition(net, chip(neurons_per_core=900)).result
    assert [s.size for core in cores for s in core.slices] == [400, 800, 800]


def test_an_image_that_hears_too_much_is_cut_into_tiles_with_all_channels() -> None:
    net = feed_forward(conv(8, 8, 12), 8 * 144, (8, 12, 12))
    profile = chip(neurons_per_core=1000, fan_in_axons_per_core=600)  # along channels each core hears all 1152
    cores, binding = partition(net, profile).result
    assert len(cores) == 3
    assert binding["layer"] == "fan-in axons"
    assert all(len(core.slices) % 8 == 0 for core in cores)
    assert max(core.usage["fan-in axons"].used for core in cores) <= 600


def test_a_tile_of_whole_rows_is_one_slice_per_channel() -> None:
    tile = grid((3, 4, 5), 2, 1)[1]
    assert tile.ranges == ((10, 20), (30, 40), (50, 60))
    assert grid((3, 4, 5), 1, 1)[0].ranges == ((0, 60),)


def test_input_populations_occupy_no_core() -> None:
    cores, binding = partition(feed_forward(dense(5000, 1), 5000, (1,)), chip(fan_in_axons_per_core=5000)).result
    assert {s.population for core in cores for s in core.slices} == {"layer"}
    assert set(binding) == {"layer"}


def test_error_names_the_layer_the_number_and_the_limit() -> None:
    with pytest.raises(DoesNotFitError, match=r"layer layer: its neuron 0 alone needs 5000 axons .* has 4096; pool"):
        partition(feed_forward(dense(5000, 10), 5000, (10,)), load_profile("loihi1"))


def test_error_where_one_neuron_sends_to_too_many_cores() -> None:
    populations = [population("in", (2,), "input"), population("layer", (1,)), population("next", (50,))]
    net = network(populations, [("in", "layer", dense(2, 1)), ("layer", "next", dense(1, 50))])
    with pytest.raises(DoesNotFitError, match=r"layer layer: its neuron 0 alone needs 5 axons \(fan-out axons\)"):
        partition(net, chip(neurons_per_core=10, fan_out_axons_per_core=4))


def test_error_where_the_cores_do_not_suffice() -> None:
    profile = chip(cores=2, chips=1)
    with pytest.raises(DoesNotFitError, match=r"needs 3 cores, loihi1 has 2 \(1 x 2\); layer layer needs most \(3\)"):
        partition(feed_forward(dense(2, 2049), 2, (2049,)), profile)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vth": ints(1 << 17)}, r"layer layer: vth = 131072 does not fit"),
        ({"bias_mant": ints(-4097)}, r"bias_mant = -4097 .*\(-4096 \.\. 4095\)"),
        ({"dv": ints(4097)}, r"dv = 4097"),
        ({"u_init": ints(-(1 << 23))}, r"u_init = -8388608 .*\(-8388607 \.\. 8388608\)"),
        ({"v_init": ints(1 << 23)}, r"v_init = 8388608"),
        ({"max_spikes": 3}, r"sends up to 3 spikes per step"),
    ],
)
def test_a_register_outside_the_profile_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedOnChipError, match=message):
        partition(feed_forward(dense(2, 2), 2, (2,), **changes), load_profile("loihi1"))


def test_a_delay_outside_the_profile_is_refused() -> None:
    net = network([population("in", (2,), "input"), population("layer", (2,))], [("in", "layer", dense(2, 2))], delay=8)
    with pytest.raises(UnsupportedOnChipError, match=r"in->layer: delay 8 is outside loihi1's 0 \.\. 7"):
        partition(net, load_profile("loihi1"))


def test_a_model_the_chip_does_not_offer_is_refused() -> None:
    profile = chip().model_copy(update={"neuron_models": {"integrator": chip().neuron_models["integrator"]}})
    with pytest.raises(UnsupportedOnChipError, match="layer layer: loihi1 has no neuron model lif; it offers integ"):
        partition(feed_forward(dense(2, 2), 2, (2,)), profile)


def test_memory_of_a_block_follows_nengo_loihis_format() -> None:
    layout = load_profile("loihi1").synapse_format
    assert block_bits(ints([0, 1, 6, 7, 64, 65]), 8, layout).tolist() == [0, 64, 64, 128, 576, 640]


def test_delays_and_indices_cost_bits_and_dense_groups_need_no_index() -> None:
    profile, eye = load_profile("loihi1"), Sparse(csr_array(np.ones((64, 1), dtype=np.int64)))
    plain = Synapses("a", "a", "b", dense(1, 64))
    assert synapse_bytes(plain, 0, 64, profile) == 72  # 64 · 8 + 10 bits, up to 9 words
    assert synapse_bytes(Synapses("a", "a", "b", dense(1, 64), delay=7), 0, 64, profile) == 96  # 64 · 11 + 10
    assert synapse_bytes(Synapses("a", "a", "b", eye), 0, 64, profile) == 120  # 64 · (8 + 6) + 10


def test_the_8192_neurons_of_a_loihi2_core_take_13_bits_of_index() -> None:
    loihi2, one = load_profile("loihi2"), Sparse(csr_array(np.eye(8192, 1, dtype=np.int64)))
    bits = [synapse_bits(Synapses("a", "a", "b", one), n, loihi2.synapse_format) for n in (4096, 4097, 8192)]
    assert bits == [8 + 12, 8 + 13, 8 + 13]


def test_a_slice_longer_than_any_index_is_not_counted_short() -> None:
    one = Synapses("a", "a", "b", Sparse(csr_array(np.eye(5000, 1, dtype=np.int64))))
    assert synapse_bits(one, 5000, load_profile("loihi1").synapse_format) == 8 + 13


# --- the oracle: every synapse by itself -----------------------------------------------------------------------------


def unrolled(how: Connectivity) -> NDArray[np.int64]:
    """(n_target, n_source) synapses between each pair, by loops."""
    match how:
        case Dense(weight):
            return np.ones_like(weight)
        case Sparse(matrix):
            pattern = csr_array((np.ones_like(matrix.data), matrix.indices, matrix.indptr), matrix.shape)
            return pattern.toarray()
        case Conv2d():
            return _unrolled_conv(how)


def _unrolled_conv(c: Conv2d) -> NDArray[np.int64]:
    found = np.zeros((*c.target_shape, *c.source_shape), dtype=np.int64)
    outs, ins = c.target_shape[0] // c.groups, c.source_shape[0] // c.groups
    for o, y, x in np.ndindex(*c.target_shape):
        for i, ky, kx in np.ndindex(*c.weight.shape[1:]):
            row = y * c.stride[0] + ky * c.dilation[0] - c.padding[0]
            column = x * c.stride[1] + kx * c.dilation[1] - c.padding[1]
            if 0 <= row < c.source_shape[1] and 0 <= column < c.source_shape[2]:
                found[o, y, x, o // outs * ins + i, row, column] += 1
    return found.reshape(np.prod(c.target_shape), np.prod(c.source_shape))


@st.composite
def convs(draw: st.DrawFn) -> Conv2d:
    groups = draw(st.integers(1, 2))
    c_in, c_out = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 3))
    kernel, stride, padding, dilation = (
        (draw(st.integers(a, b)), draw(st.integers(a, b))) for a, b in ((1, 3), (1, 3), (0, 2), (1, 2))
    )
    size = (draw(st.integers(5, 8)), draw(st.integers(5, 8)))
    out = [(size[k] + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in (0, 1)]
    weight = np.ones((c_out, c_in // groups, *kernel), dtype=np.int64)
    return Conv2d(weight, (c_in, *size), (c_out, out[0], out[1]), stride, padding, dilation, groups)


@settings(deadline=None)
@given(convs(), st.data())
def test_shared_kernels_are_the_distinct_relative_target_lists(c: Conv2d, data: st.DataObject) -> None:
    matrix = unrolled(c)
    start = data.draw(st.integers(0, len(matrix) - 1))
    stop = data.draw(st.integers(start + 1, len(matrix)))
    pixels = c.source_shape[1] * c.source_shape[2]
    lists = set()
    for source in range(matrix.shape[1]):
        targets = np.flatnonzero(matrix[start:stop, source])
        # a target and the tap that reaches it: the position difference says which tap, whatever the pixel
        place = np.array(np.unravel_index(targets + start, c.target_shape))
        at = np.array(np.unravel_index(source, c.source_shape))[1:]
        taps = at[:, None] - place[1:] * np.array(c.stride)[:, None]
        lists.add((source // pixels, tuple(place[0]), *map(tuple, taps)))
    counts, copies = shared_kernels(c, start, stop)
    assert sorted(np.repeat(counts, copies)[np.repeat(counts, copies) > 0]) == sorted(len(k[1]) for k in lists if k[1])


@settings(deadline=None)
@given(convs(), st.data())
def test_kernels_of_a_tile_are_the_distinct_relative_target_lists(c: Conv2d, data: st.DataObject) -> None:
    tile = drawn_tile(c, data)
    matrix, pixels, lists = unrolled(c)[tile.index], c.source_shape[1] * c.source_shape[2], set()
    for source in range(matrix.shape[1]):
        place = np.array(np.unravel_index(tile.index[matrix[:, source] > 0], c.target_shape))
        at = np.array(np.unravel_index(source, c.source_shape))[1:]
        taps = at[:, None] - place[1:] * np.array(c.stride)[:, None]
        lists.add((source // pixels, tuple(place[0]), *map(tuple, taps)))
    counts, copies = shared_kernels_of_tile(c, tile)
    stored = np.repeat(counts, copies)
    assert sorted(stored[stored > 0]) == sorted(len(k[1]) for k in lists if k[1])


@settings(deadline=None)
@given(convs(), st.data())
def test_fan_out_onto_a_tile_counts_its_synapses(c: Conv2d, data: st.DataObject) -> None:
    tile = drawn_tile(c, data)
    counts = unrolled(c)[tile.index].sum(0)
    assert fan_out_onto_tile(c, tile).tolist() == counts.tolist()
    assert fan_out_onto(c, tile.ranges).tolist() == counts.tolist()


def drawn_tile(c: Conv2d, data: st.DataObject) -> Tile:
    rows, columns = (
        (start := data.draw(st.integers(0, size - 1)), data.draw(st.integers(start + 1, size)))
        for size in c.target_shape[1:]
    )
    return Tile(c.target_shape, rows, columns)


@st.composite
def networks(draw: st.DrawFn) -> ChipNetwork:
    c = draw(convs())
    shape, n = c.target_shape, int(np.prod(c.target_shape))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    loop = Sparse(csr_array((rng.random((n, n)) < 0.1).astype(np.int64)))
    last = draw(st.integers(1, 12))
    model = draw(st.sampled_from(["lif", "lif_subtract"]))
    populations = [
        population("in", c.source_shape, "input"),
        population("conv", shape, model, vth=ints(rng.integers(0, 5, n))),
        population("out", (last,), "integrator", shift=1),
    ]
    return network(populations, [("in", "conv", c), ("conv", "conv", loop), ("conv", "out", dense(n, last))])


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(6, 60), st.integers(2, 5), st.integers(300, 4000), st.integers(30, 400))
def test_no_core_exceeds_a_limit_and_counts_match_the_unrolled_network(
    net: ChipNetwork, neurons: int, thresholds: int, memory: int, axons: int
) -> None:
    profile = chip(
        sharing=False,
        neurons_per_core=neurons,
        threshold_sets_per_core=thresholds,
        synaptic_memory_bytes_per_core=8 * memory,
        fan_in_axons_per_core=axons,
        fan_out_axons_per_core=500,
        cores=1000,
    )
    try:
        cores, binding = partition(net, profile).result
    except DoesNotFitError as error:
        assert "alone needs" in str(error)  # noqa: PT017  (a refusal is fine; a wrong cut is not)
        return
    _check_cover(net, cores)
    assert set(binding) == {"conv", "out"}
    for index, core in enumerate(cores):
        used = {name: use.used for name, use in core.usage.items()}
        assert used == {**used, **_oracle(net, cores, index, profile)}
        assert all(use.used <= use.limit for use in core.usage.values())


def _check_cover(net: ChipNetwork, cores: tuple[Core, ...]) -> None:
    for name in ("conv", "out"):
        slices = sorted((s.start, s.stop) for core in cores for s in core.slices if s.population == name)
        assert slices[0][0] == 0
        assert slices[-1][1] == net.populations[name].size
        assert all(a[1] == b[0] for a, b in pairwise(slices))


def _rows(net: ChipNetwork, core: Core, name: str) -> NDArray[np.bool_]:
    held = np.zeros(net.populations[name].size, dtype=bool)
    for s in core.slices:
        if s.population == name:
            held[s.start : s.stop] = True
    return held


def _reach(net: ChipNetwork, core: Core, source: str) -> NDArray[np.bool_]:
    """(n_source,) whether a neuron has a target on the core."""
    into = [unrolled(s.connectivity)[_rows(net, core, s.target)] for s in net.out_of(source)]
    return np.concatenate(into).any(0) if into else np.zeros(net.populations[source].size, dtype=bool)


def _oracle(net: ChipNetwork, cores: tuple[Core, ...], index: int, profile: Profile) -> dict[str, int]:
    core, bits = cores[index], 0
    for s in net.synapses.values():
        width = {Dense: 8, Sparse: 14, Conv2d: 14}[type(s.connectivity)]  # pieces stay below 65 neurons
        for count in unrolled(s.connectivity)[_rows(net, core, s.target)].sum(0):
            blocks = [min(64, count - k) for k in range(0, count, 64)]
            bits += sum(-(-(n * width + 10) // 64) * 64 for n in blocks)
    sent = sum(
        int(_reach(net, other, name)[_rows(net, core, name)].sum()) for other in cores for name in ("conv", "out")
    )
    each = {name: profile.neuron_models[p.model].compartments for name, p in net.populations.items() if name != "in"}
    return {
        "neurons": sum(int(_rows(net, core, name).sum()) * n for name, n in each.items()),
        "synaptic memory": bits // 8,
        "fan-in axons": sum(int(_reach(net, core, name).sum()) for name in net.populations),
        "fan-out axons": sent,
    }


def test_reach_counts_neurons_with_a_target_on_the_other_core() -> None:
    populations = [population("in", (2,), "input"), population("layer", (4,)), population("next", (4,))]
    split = Sparse(csr_array(ints([[1, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]])))
    net = network(populations, [("in", "layer", dense(2, 4)), ("layer", "next", split)])
    cores, _ = partition(net, chip(neurons_per_core=2)).result
    assert core_reach(net, cores).tolist() == [[0, 0, 2, 0], [0, 0, 1, 1], [0] * 4, [0] * 4]


@pytest.mark.parametrize("engine", ["events", "dense"])
def test_engines_count_cores_that_hold_tiles_as_the_specification_does(engine: str) -> None:
    net = feed_forward(conv(8, 8, 12), 8 * 144, (8, 12, 12), vth=ints(3))
    cores, binding = partition(net, chip(neurons_per_core=1000, fan_in_axons_per_core=600)).result
    placement = Placement(cores, tuple((0, k, 0, 0) for k in range(len(cores))), binding)
    spikes = np.random.default_rng(0).random((2, 6, 8 * 144)) < 0.1
    arguments = net, {"in": spikes.astype(np.int64)}, placement, ["layer"]
    assert same(simulate(*arguments).activity, run_on(engine, *arguments).activity)
