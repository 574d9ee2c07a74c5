"""Every engine gives the reference's spikes, states and counts, bit for bit, however a run is cut."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from busy_networks import busy_case, widened
from random_networks import Case, one_core, random_case, same

from spikeport.converters.chip_network import ChipNetwork, Dense, Population, Synapses
from spikeport.deploy.backends.simulator import auto, classes, layer, team
from spikeport.deploy.backends.simulator import simulator as driver
from spikeport.deploy.backends.simulator.dense.products import Products
from spikeport.deploy.backends.simulator.engines import ENGINES, run_on
from spikeport.deploy.backends.simulator.memory import Portion
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.backends.simulator.simulation import Simulation
from spikeport.errors import DataError

NAMES = [name for name in ENGINES if name != "cuda" or torch.cuda.is_available()]


def expected(case: Case) -> Simulation:
    return simulate(case.network, case.inputs, case.placement, list(case.network.populations), inside(case))


def inside(case: Case) -> list[str]:
    return [name for name, p in case.network.populations.items() if p.model != "input"]


def found(case: Case, engine: str, chunk: int | None = None) -> Simulation:
    portion = None if chunk is None else Portion(1 + chunk % 3, chunk)
    everything = list(case.network.populations)
    return run_on(engine, case.network, case.inputs, case.placement, everything, inside(case), portion=portion)


def differs(a: Simulation, b: Simulation) -> list[str]:
    """Fields in which two runs are not equal."""
    return [f for f in ("spikes", "u", "v", "activity") if not same(getattr(a, f), getattr(b, f))]


@pytest.mark.parametrize("engine", NAMES)
def test_engines_equal_the_reference_on_small_networks_at_every_edge(engine: str) -> None:
    for seed in range(40 if engine == "events" else 12):
        case = random_case(seed, sigma_delta=seed % 2 == 1)
        assert differs(expected(case), found(case, engine, chunk=3 + seed % 7)) == [], seed


@pytest.mark.parametrize("engine", NAMES)
def test_engines_equal_the_reference_on_busy_networks(engine: str) -> None:
    for seed in range(12 if engine == "events" else 5):
        case = busy_case(seed)
        assert differs(expected(case), found(case, engine, chunk=1 + 5 * (seed % 4))) == [], seed


def test_single_rows_and_columns_of_a_loop_are_added_up() -> None:
    for seed in (1302, 1307):
        case = busy_case(seed)
        assert differs(expected(case), found(case, "dense", chunk=3)) == [], seed


@pytest.mark.slow
@pytest.mark.parametrize("block", range(20))
def test_engines_equal_the_reference_on_eleven_thousand_networks(block: int) -> None:
    cases = [(random_case, seed) for seed in range(block * 500, block * 500 + 500)]
    cases += [(busy_case, seed) for seed in range(1000 + block * 50, 1050 + block * 50)]
    for make, seed in cases:
        case = make(seed)
        wanted = expected(case)
        for engine in NAMES:
            assert differs(wanted, found(case, engine, chunk=1 + seed % 50)) == [], (make.__name__, seed, engine)


@pytest.mark.parametrize("batch", [1, 3])
def test_threads_share_samples_or_steps_and_change_nothing(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "threads", lambda: 3)
    monkeypatch.setattr(driver, "WORTH_THREADS", 0)
    monkeypatch.setattr(layer, "ROWS_PER_THREAD", 1)
    for seed in range(30, 36):
        case = busy_case(seed)
        few = replace(case, inputs={n: data[:batch] for n, data in case.inputs.items()})
        assert differs(expected(few), found(few, "events")) == [], seed


def test_torch_starts_no_threads_in_a_run_however_small_and_has_them_again_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process that is forked afterwards would wait for torch's own threads, which it has not."""
    before, seen = torch.get_num_threads(), []
    add = Products.add
    monkeypatch.setattr(Products, "add", lambda *args: (seen.append(torch.get_num_threads()), add(*args))[1])
    torch.set_num_threads(2)
    try:
        found(busy_case(9), "dense")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_torch_that_is_loaded_in_a_run_is_calm_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = [4]
    late = SimpleNamespace(get_num_threads=lambda: threads[-1], set_num_threads=threads.append)
    monkeypatch.setattr(team, "_LOADED_WITH", [])
    monkeypatch.delitem(sys.modules, "torch")
    with team.calm():
        monkeypatch.setitem(sys.modules, "torch", late)  # as an import would
        team._LOADED_WITH.append(team._calmed())
        assert threads[-1] == 1
    assert threads[-1] == 4


def test_registers_beyond_32_bits_are_computed_with_64() -> None:
    for exponent in (9, 16, 24):
        case = widened(busy_case(3), exponent)
        assert differs(expected(case), found(case, "auto")) == [], exponent


@pytest.mark.parametrize("engine", NAMES)
def test_sums_that_fill_32_bits_only_before_their_shift_are_exact(engine: str) -> None:
    zero = np.zeros((), np.int64)
    source = Population("in", (2,), "input", *[zero] * 8)
    target = Population("p", (1,), "lif", np.array(4095), np.array(4096), np.array(100), *[zero] * 5, shift=1)
    group = Synapses("s", "in", "p", Dense(np.array([[254, 254]])), weight_exp=-8, graded=True)
    network = ChipNetwork({"in": source, "p": target}, {"s": group}, ("in",), ("p",), 1e-3)
    case = Case(network, {"in": np.full((1, 4, 2), 2**23)}, one_core(network))
    assert differs(expected(case), found(case, engine)) == []


@pytest.mark.parametrize("engine", NAMES)
def test_the_lowest_payload_of_32_bits_is_counted_with_its_size(engine: str) -> None:
    zero = np.zeros((), np.int64)
    source = Population("in", (1,), "input", *[zero] * 8)
    delta, sigma = (Population(n, (1,), n, *[zero] * 8, shift=k + 1) for k, n in enumerate(("delta", "sigma")))
    groups = {
        "a": Synapses("a", "in", "delta", Dense(np.array([[128]])), graded=True),
        "b": Synapses("b", "delta", "sigma", Dense(np.array([[2]])), graded=True),
    }
    network = ChipNetwork({p.name: p for p in (source, delta, sigma)}, groups, ("in",), ("sigma",), 1e-3)
    case = Case(network, {"in": np.array([0, -(2**24), 0]).reshape(1, 3, 1)}, one_core(network))
    run = found(case, engine)
    assert run.spikes["delta"].min() == -(2**31)
    assert differs(expected(case), run) == []


def test_payloads_beyond_32_bits_go_to_the_reference_which_is_said() -> None:
    case = busy_case(4)
    case.inputs["vector"] = case.inputs["vector"].astype(np.int64) * 2**33
    run = found(case, "auto")
    assert differs(expected(case), run) == []
    assert {choice.engine for choice in run.engines.values()} == {"reference"}


def test_inputs_on_disk_are_read_chunk_by_chunk(tmp_path: Path) -> None:
    case = busy_case(5)
    for name, data in case.inputs.items():
        np.save(tmp_path / f"{name}.npy", data)
    mapped = {n: np.load(tmp_path / f"{n}.npy", mmap_mode="r") for n in case.inputs}
    assert differs(expected(case), found(replace(case, inputs=mapped), "events", chunk=4)) == []


def test_every_layer_says_which_engine_computed_it_and_why() -> None:
    case = busy_case(6)
    choices = found(case, "auto").engines
    assert list(choices) == inside(case)
    assert all("of its sources spike per step" in choice.reason for choice in choices.values())


def test_crowded_groups_are_tried_on_both_engines_and_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "SPARSE", 0.0)
    monkeypatch.setattr(auto, "SPARSE_GRADED", 0.0)
    case = busy_case(7)
    run = found(case, "auto", chunk=4)
    assert differs(expected(case), run) == []
    assert any("measured: events" in choice.reason for choice in run.engines.values())


@pytest.mark.parametrize(("few", "rate"), [(256, 0.05), (0, 0.0), (0, 1e9)])
def test_every_way_of_booking_counts_the_same(few: int, rate: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "FEW", few)
    monkeypatch.setattr(classes, "RATE", rate)
    for seed in (20, 21):
        case = busy_case(seed)
        assert differs(expected(case), found(case, "events", chunk=7)) == [], seed


class Draw:
    """A stop rule that ends each sample at a step of its own; see `stop.StopRule`."""

    population, drain = "p2", 3

    def __init__(self, steps: list[int]) -> None:
        self._steps = np.array(steps)

    def first(self, readings: np.ndarray, start: int, rows: np.ndarray) -> np.ndarray:
        at = self._steps[rows] - start
        return np.where((at >= 0) & (at < readings.shape[1]), at, -1)


def test_a_stopped_sample_is_the_beginning_of_its_whole_run() -> None:
    case = replace(busy_case(8), inputs={n: d[:1].repeat(4, 0) for n, d in busy_case(8).inputs.items()})
    whole = found(case, "events")
    depth, steps = case.network.populations["p2"].shift, whole.activity.steps
    stops = [0, 7, 18, 10**6]
    arguments = (case.network, case.inputs, case.placement, list(case.network.populations), inside(case))
    part = run_on("events", *arguments, stop=Draw(stops), portion=Portion(2, 5))
    used = [min(t + depth + 1 + 3, steps) for t in stops]
    assert part.steps_used is not None
    assert part.steps_used.tolist() == used
    for p in part.activity.populations.values():
        assert np.array_equal(p.per_neuron.sum(1), p.spikes.sum(1))
    for b, end in enumerate(used):
        for name, p in case.network.populations.items():
            kept = max(0, end - p.shift)
            assert np.array_equal(part.spikes[name][b, :kept], whole.spikes[name][b, :kept])
            assert not part.spikes[name][b, kept:].any()
        for mine, full in zip(counts(part, b), counts(whole, b), strict=True):
            assert np.array_equal(mine[:end], full[:end])
            assert not mine[end:].any()


def test_stopping_with_payloads_beyond_32_bits_is_refused_by_name() -> None:
    case = busy_case(4)
    case.inputs["vector"] = case.inputs["vector"].astype(np.int64) * 2**33
    with pytest.raises(DataError, match="vector sends payloads beyond 32 bits, which only the backend reference holds"):
        run_on("auto", case.network, case.inputs, case.placement, stop=Draw([0] * 6))


def counts(run: Simulation, sample: int) -> list[np.ndarray]:
    """Everything that is counted by step, of one sample."""
    a = run.activity
    layers = [x[sample] for p in a.populations.values() for x in (p.spikes, p.active)]
    cores = [*a.core_synops.values(), *a.core_active.values(), a.core_spikes, a.core_packets_in, a.core_packets_out]
    return layers + [x[sample] for x in (*a.synops.values(), *cores)]
