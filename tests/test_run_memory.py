"""What a run allocates is known before it begins, and kept."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from busy_networks import busy_case
from random_networks import Case, one_core, same

import spikeport
from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Synapses
from spikeport.converters.placement import Core, Placement, Slice
from spikeport.deploy.backends.simulator import simulator as driver
from spikeport.deploy.backends.simulator.engines import simulator
from spikeport.deploy.backends.simulator.events.engine import EventsEngine
from spikeport.deploy.backends.simulator.memory import Demand, Portion, batch_for, parse_size, portion_for, written
from spikeport.deploy.backends.simulator.simulator import Simulator
from spikeport.deploy.codec import Codec
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.execute import ENCODING, execute
from spikeport.deploy.gather import Room
from spikeport.errors import DataError
from spikeport.models import digits


def long_case(seed: int) -> Case:
    """A busy network, 4 samples of 400 steps."""
    case = busy_case(seed)
    inputs = {n: np.resize(d, (4, 400, *d.shape[2:])).astype(np.int64) for n, d in case.inputs.items()}
    return replace(case, inputs=inputs)


@pytest.mark.parametrize("chunk", [1, 16, 400])
def test_a_run_stays_below_its_prediction_and_not_far_below(chunk: int) -> None:
    for seed in range(4):
        case = long_case(seed)
        ready = simulator(case.network, case.placement, "events")
        ready.run(case.inputs, ["p0"], ["p1"], portion=Portion(4, chunk))  # compiles all; weights count apart
        tracemalloc.start()
        ready.run(case.inputs, ["p0"], ["p1"], portion=Portion(4, chunk))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        predicted = ready.demand(400, ["p0"], ["p1"])
        assert peak < predicted.of(4, chunk)
        assert predicted.of(4, chunk) - predicted.fixed < 6 * peak


def spread(channels: int, side: int, cores: int) -> Case:
    """A convolution whose every spike reaches every core: each has some of its channels."""
    zero = np.zeros((), np.int64)
    conv = Conv2d(
        np.ones((channels, channels, 3, 3), np.int64), *[(channels, side, side)] * 2, (1, 1), (1, 1), (1, 1), 1
    )
    source = Population("in", conv.source_shape, "input", *[zero] * 8)
    target = Population("p", conv.target_shape, "lif", zero + 4095, zero, zero + 9, *[zero] * 5, shift=1)
    network = ChipNetwork({"in": source, "p": target}, {"s": Synapses("s", "in", "p", conv)}, ("in",), ("p",), 1e-3)
    edges = np.linspace(0, target.size, cores + 1).astype(int).tolist()
    parts = tuple(Core((Slice("p", a, b),), {}) for a, b in pairwise(edges))
    return Case(network, {"in": np.ones((1, 2, source.size), np.uint8)}, Placement(parts, ((0, 0, 0, 0),) * cores, {}))


def full(sources: int, targets: int) -> Case:
    """A dense layer."""
    zero = np.zeros((), np.int64)
    source = Population("in", (sources,), "input", *[zero] * 8)
    target = Population("p", (targets,), "lif", zero + 4095, zero, zero + 9, *[zero] * 5, shift=1)
    group = Synapses("s", "in", "p", Dense(np.ones((targets, sources), np.int64)))
    network = ChipNetwork({"in": source, "p": target}, {"s": group}, ("in",), ("p",), 1e-3)
    return Case(network, {"in": np.ones((1, 2, sources), np.uint8)}, one_core(network))


@pytest.mark.parametrize("case", [spread(32, 24, 32), full(700, 900)], ids=["tables", "weights"])
def test_the_prediction_holds_for_what_is_made_before_the_run(case: Case) -> None:
    Simulator(case.network, case.placement, EventsEngine()).run(case.inputs)  # compiles every kernel
    tracemalloc.start()
    ready = Simulator(case.network, case.placement, EventsEngine())
    ready.run(case.inputs, portion=Portion(1, 2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    predicted = ready.demand(2, [], []).of(1, 2)
    assert peak < predicted < 4 * peak


@pytest.fixture(scope="module")
def deployed() -> Deployment:
    network = spikeport.read(digits.network_path())
    codec = spikeport.codec_for(network, encode=digits.ENCODER)
    return spikeport.compile(network, "loihi1", digits.load_train()[0][:4], codec)


def test_less_memory_means_smaller_pieces_and_the_same_result(
    deployed: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "threads", lambda: 1)  # each needs some, too
    images = digits.load_test()[0][:24]
    plenty, little = (deployed.run(images, record=["lif1"], memory=size) for size in (1 << 30, 14 << 20))
    assert little.memory is not None
    assert plenty.memory is not None
    assert little.memory <= 14 << 20 < plenty.memory
    assert same(plenty.activity, little.activity)
    assert np.array_equal(plenty.output, little.output)
    assert np.array_equal(plenty.spikes["lif1"], little.spikes["lif1"])


def test_an_input_larger_than_the_memory_streams_from_its_file(deployed: Deployment, tmp_path: Path) -> None:
    spikes = replace(deployed, codec=Codec())
    data = (np.random.default_rng(0).random((1, 60_000, 8, 8), dtype=np.float32) < 0.02).astype(np.uint8)
    np.save(tmp_path / "spikes.npy", data)
    limit = 48 << 20
    assert data.size * ENCODING > limit
    streamed = spikes.run(np.load(tmp_path / "spikes.npy", mmap_mode="r"), memory=limit)
    assert streamed.memory is not None
    assert streamed.memory <= limit
    whole = spikes.run(data, memory=1 << 30)
    assert np.array_equal(streamed.output, whole.output)
    assert same(streamed.activity, whole.activity)


def test_results_that_do_not_fit_go_into_files_and_read_like_arrays() -> None:
    room = Room(1000)
    inside, outside = room.zeros((10, 10), np.uint8), room.zeros((1000, 10), np.int64)
    outside[500] = 3
    assert type(inside) is np.ndarray
    assert isinstance(outside, np.memmap)
    assert outside.sum() == 30


def test_too_little_memory_is_refused_with_both_numbers(deployed: Deployment) -> None:
    with pytest.raises(
        DataError,
        match=r"one sample needs at least .* MiB .* three quarters of the memory are 768 KiB.* use fewer steps",
    ):
        execute(deployed, digits.load_test()[0][:2], memory=1 << 20)


def test_a_backend_that_cannot_bound_its_memory_says_so(deployed: Deployment) -> None:
    with pytest.raises(DataError, match="backend reference cannot bound its memory; leave that to auto, events"):
        execute(deployed, digits.load_test()[0][:2], backend="reference", memory=1 << 30)


def test_no_memory_at_all_is_too_little(deployed: Deployment) -> None:
    with pytest.raises(DataError, match="quarters of the memory are 0 B"):
        execute(deployed, digits.load_test()[0][:2], memory=0)


@pytest.mark.parametrize(("text", "size"), [("2GiB", 2 << 30), ("1.5MiB", 3 << 19), ("4096", 4096), ("7B", 7)])
def test_sizes_are_read_as_written(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GiB", "1e999GiB", "nanGiB", "2GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is not a size; write for example 2GiB"):
        parse_size(text)


def test_the_batch_shrinks_before_a_run_is_refused_and_steps_fill_what_is_left() -> None:
    needed = Demand(fixed=100, sample=10, sample_step=5, kept=5)
    assert batch_for(needed, samples=50, most=64, limit=100 + 20 * 64) == 50
    assert batch_for(needed, samples=50, most=64, limit=300) == 7
    limit = 100 + 7 * (15 + 5 * 12)  # 84 steps of one sample at a time
    assert portion_for(needed, 7, steps=40, limit=limit, threads=1) == Portion(samples=2, steps=40)
    assert portion_for(needed, 7, steps=40, limit=limit, threads=3) == Portion(samples=1, steps=28)
    assert [written(size) for size in (100, 3 << 10, 5 << 29)] == ["100 B", "3 KiB", "2.5 GiB"]


def test_values_cut_in_several_batches_are_one_warning(deployed: Deployment) -> None:
    images = digits.load_test()[0][:130].astype(np.float32)
    images[::2, ..., 0, 0] = 99.0
    clamping = replace(deployed, codec=replace(deployed.codec, encoder=replace(deployed.codec.encoder, clamp=True)))
    (said,) = [f.message for f in clamping.run(images).findings if f.code == "input-clamped"]
    assert said == f"65 of {images.size} input values were cut to 0 .. 16."
