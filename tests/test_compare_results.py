"""compare: what it reports is what happened."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from test_any_network import network
from test_compare import data, f, small

import spikeport
from spikeport.converters.network import Input, Linear, Network, Neuron, Output
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.compare.compare import compare
from spikeport.deploy.compare.comparison import Comparison
from spikeport.deploy.compare.distances import edits, van_rossum
from spikeport.deploy.compare.first import Place
from spikeport.errors import DataError


def compared(net: Network, given: np.ndarray, target: str = "loihi2", **options: object) -> Comparison:
    deployment = spikeport.compile(net, target, data(), options=spikeport.CompileOptions(scales=2))
    return compare(net, deployment, given, **options)  # type: ignore[arg-type]


def loss(result: Comparison, effect: str) -> float:
    (found,) = (e for e in result.effects if e.effect == effect)
    return found.alone.mismatch


def one(weight: float, neuron: Neuron) -> Network:
    nodes = {"in": Input((1,)), "fc": Linear(f([[weight]])), "lif": neuron, "out": Output((1,))}
    return network(nodes, ("in", "fc"), ("fc", "lif"), ("lif", "out"))


def test_layers_say_what_both_sides_did() -> None:
    net, given = small(), data(8, seed=3)
    deployment = spikeport.compile(net, "loihi2", data(), options=spikeport.CompileOptions(scales=2))
    result = compare(net, deployment, given, effects=False)
    run = deployment.run(given, record=["all"])
    truth = spikeport.run_float(net, given, record=net.neurons).spikes
    for layer in result.layers:
        theirs, ours = run.spikes[layer.layer], truth[layer.layer]
        assert layer.float_spikes == ours.sum() > 0
        assert layer.chip_rate == pytest.approx(theirs.mean())
        assert layer.shared == pytest.approx(np.minimum(ours, theirs).sum() / max(ours.sum(), theirs.sum()))
        assert layer.differing_samples == (ours != theirs).any((1, 2)).sum()
    assert result.chip_classes.tolist() == deployment.codec.decode(run.output).classes.tolist()
    assert result.effects == ()


def test_the_first_difference_is_the_first_and_shows_both_membranes() -> None:
    net, given = small(seed=4), data(16, seed=3)
    result = compared(net, given, effects=False)
    deployment = spikeport.compile(net, "loihi2", data(), options=spikeport.CompileOptions(scales=2))
    truth = spikeport.run_float(net, given, record=net.neurons).spikes
    run = deployment.run(given, record=["all"])
    wrong = {name: truth[name] != run.spikes[name] for name in net.neurons}
    first = result.first
    assert first is not None
    steps = {name: int(w.any((0, 2)).argmax()) for name, w in wrong.items() if w.any()}
    assert first.place.step == min(steps.values())
    assert wrong[first.place.layer][first.place.sample, first.place.step, first.place.neuron]
    at = first.steps.index(first.place.step)
    assert first.trained.spikes[at] != first.chip.spikes[at]
    fires = [bool(side.decided[at] > side.threshold) for side in (first.trained, first.chip)]
    assert fires == [bool(first.trained.spikes[at]), bool(first.chip.spikes[at])]


def test_membranes_are_compared_in_the_users_units() -> None:
    net, given = small(neuron=Neuron(f(0.9), f(1.0), v_reset=f(-0.5), v_init=f(-0.5))), data(8, seed=1)
    deployment = spikeport.compile(net, "loihi2", data(), options=spikeport.CompileOptions(scales=2))
    hidden = compare(net, deployment, given, effects=False).layers[0]
    chip = simulate(deployment.network, {"in": given}, deployment.placement, (), ["hidden"]).v["hidden"]
    seen = chip / deployment.network.populations["hidden"].scale - 0.5
    error = seen - spikeport.run_float(net, given, record=["hidden"]).membranes["hidden"]
    assert hidden.threshold == pytest.approx(1.5)
    assert hidden.membrane_rms == pytest.approx(np.sqrt((error**2).mean()), rel=1e-4)
    assert hidden.membrane_worst == pytest.approx(np.abs(error).max(), rel=1e-4)
    assert hidden.membrane_rms_before < hidden.membrane_rms


def test_a_start_above_zero_makes_no_threshold_smaller() -> None:
    net = small(neuron=Neuron(f(1.0), f(1.0), reset="subtract", v_init=f(0.5)))
    assert compared(net, data(4, seed=1), effects=False).layers[0].threshold == pytest.approx(1.0)


def test_what_the_chip_can_hold_exactly_costs_nothing() -> None:
    nodes = {"in": Input((4,)), "fc": Linear(f(np.array([[4, -2, 8, 6], [2, 6, -4, 8]]) / 8))}
    nodes |= {"lif": Neuron(f(1.0), f(1.0)), "out": Output((2,))}
    net = network(nodes, ("in", "fc"), ("fc", "lif"), ("lif", "out"))
    given = data(6, shape=(4,))
    result = compare(net, spikeport.compile(net, "loihi2", given), given)
    assert result.first is None
    assert result.gap == result.chip.mismatch == 0
    assert all(e.alone.mismatch == e.without.mismatch == 0 for e in result.effects)
    assert result.layers[0].float_spikes > 50
    assert result.layers[0].victor_purpura == result.layers[0].van_rossum == 0


@pytest.mark.parametrize("comparison", [">", ">="])
def test_a_threshold_register_that_decides_as_trained_costs_nothing(comparison: str) -> None:
    """v moves in eighths: 0.9 decides as every threshold between 7/8 and 1, and the register holds the nearest one."""
    nodes = {"in": Input((4,)), "fc": Linear(f(np.array([[4, -2, 8, 6], [2, 6, -4, 8]]) / 8)), "out": Output((2,))}
    nodes |= {"lif": Neuron(f(1.0), f(0.9), comparison=comparison)}  # type: ignore[arg-type]
    net = network(nodes, ("in", "fc"), ("fc", "lif"), ("lif", "out"))
    given = data(6, shape=(4,))
    deployment = spikeport.compile(net, "loihi2", given)
    lif = deployment.network.populations["lif"]
    registers = lif.vth * 64 / lif.scale
    result = compare(net, deployment, given)
    assert 0 < abs(registers - 0.9) < 0.125
    assert result.chip.mismatch == 0
    assert all(e.alone.mismatch == 0 for e in result.effects)


def test_a_decay_too_slow_for_12_bits_is_found_to_be_the_cause() -> None:
    given = (np.random.default_rng(0).random((6, 2500, 1)) < 0.01).astype(np.int64)
    net = one(0.125, Neuron(f(0.9994), f(1.0), reset="subtract"))
    result = compare(net, spikeport.compile(net, "loihi2", given[:1, :1000]), given)
    losses = {e.effect: e.alone.mismatch for e in result.effects}
    assert result.chip.mismatch > 0.3
    assert max(losses, key=lambda name: losses[name]) == "decays"
    without = next(e.without for e in result.effects if e.effect == "decays")
    assert without.mismatch < result.chip.mismatch / 2


def test_a_neuron_model_that_the_chip_lacks_is_found_to_be_the_cause() -> None:
    net = one(2.5, Neuron(f(0.5), f(1.0), reset="subtract", max_spikes=None))
    given = data(6, shape=(1,))
    result = compare(net, spikeport.compile(net, "loihi1", given), given)
    lost = {e.effect: e for e in result.effects}
    assert lost["neuron"].note == "lif: single-spike"
    assert lost["neuron"].alone.mismatch == pytest.approx(result.chip.mismatch)
    assert result.chip.mismatch > 0.1
    assert lost["neuron"].without.mismatch == 0


def test_states_that_wrap_are_found_to_be_the_cause() -> None:
    net = one(1.0, Neuron(f(0.5), f(1.0), current_decay=f(0.99)))
    quiet, loud = np.zeros((1, 60, 1), np.int64), np.ones((1, 60, 1), np.int64)
    quiet[:, 5] = 1
    options = spikeport.CompileOptions(scales=2, split="never")
    result = compare(net, spikeport.compile(net, "loihi2", quiet, options=options), loud)
    lost = {e.effect: e for e in result.effects}
    assert not lost["overflow"].note.startswith("0 ")
    assert lost["overflow"].without.mismatch < result.chip.mismatch
    assert any(finding.code == "overflow" for finding in result.findings)


def test_early_spikes_belong_to_the_pipeline() -> None:
    neuron = Neuron(f(0.0), f(0.5), bias=f(0.8))
    net = small()
    nodes = {**net.nodes, "last": neuron}
    net = replace(net, nodes=nodes)
    result = compared(net, data(4))
    assert loss(result, "pipeline") == 0  # what is sent before the input's first step is no one's input here
    assert result.chip.mismatch == 0


def test_accuracy_counts_labels_and_without_them_agreement() -> None:
    net, given = small(), data(8, seed=3)
    labels = np.arange(8) % 3
    result = compared(net, given, labels=labels, effects=False)
    assert result.trained.accuracy == (result.trained_classes == labels).mean()
    assert result.chip.accuracy == (result.chip_classes == labels).mean()
    unlabelled = compared(net, given, effects=False)
    assert unlabelled.trained.accuracy == 1.0
    assert unlabelled.chip.accuracy == (unlabelled.chip_classes == unlabelled.trained_classes).mean()


def test_effects_and_their_interaction_add_up_to_the_gap() -> None:
    net, given = small(), data(40, seed=3)
    labels = spikeport.codec_for(net).decode(spikeport.run_float(net, given).outputs["out"]).classes
    result = compared(net, given, labels=labels)
    assert result.trained.accuracy == 1.0
    parts = sum(result.trained.accuracy - e.alone.accuracy for e in result.effects)
    assert parts + result.interaction == pytest.approx(result.gap)


def test_batches_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    net, given = small(), data(7, seed=3)
    codec = spikeport.codec_for(net, "rate:seed=3")
    deployment = spikeport.compile(net, "loihi2", given / 2, codec, options=spikeport.CompileOptions(scales=2))
    whole = compare(net, deployment, given / 2)
    monkeypatch.setattr("spikeport.deploy.compare.work.BUDGET", 1)
    cut = compare(net, deployment, given / 2)
    assert [e.alone for e in whole.effects] == [e.alone for e in cut.effects]
    for layer, again in zip(whole.layers, cut.layers, strict=True):
        assert asdict(layer) == pytest.approx(asdict(again))
    assert whole.first == cut.first


def test_of_two_batches_the_layer_nearer_to_the_input_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    places = [Place(0, 3, "last", 1), Place(1, 3, "hidden", 2), Place(2, 3, "last", 0)]
    monkeypatch.setattr("spikeport.deploy.compare.work.BUDGET", 1)
    monkeypatch.setattr("spikeport.deploy.compare.work.earliest", lambda differing, first: places[first])
    found = compared(small(), data(3), effects=False).first
    assert found is not None
    assert found.place == places[1]


def test_another_network_is_refused_and_another_file_is_said(tmp_path: object) -> None:
    net = small()
    deployment = spikeport.compile(net, "loihi2", data())
    wider = one(1.0, Neuron(f(0.9), f(1.0)))
    with pytest.raises(DataError, match="not compiled from this network: 'hidden' is missing in the network"):
        compare(wider, deployment, data())
    other = compare(replace(net, source_hash="a" * 64), deployment, data(), effects=False)
    assert [finding.code for finding in other.findings] == ["other-source"]
    spoken = compare(replace(net, dialect="norse"), deployment, data(), effects=False)
    assert [finding.code for finding in spoken.findings] == ["other-dialect"]


def test_data_and_labels_must_fit() -> None:
    net = small()
    deployment = spikeport.compile(net, "loihi2", data())
    with pytest.raises(DataError, match="the data are empty"):
        compare(net, deployment, data()[:0])
    with pytest.raises(DataError, match=r"labels of shape \(3,\) for 4 samples"):
        compare(net, deployment, data(), np.zeros(3, np.int64))


# ---- distances, against their definitions ---------------------------------------------------------------------------


def trains(seed: int, steps: int = 40) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 3, (1, steps, 1)) * (rng.random((1, steps, 1)) < 0.2)


def times(train: np.ndarray) -> list[int]:
    return [t for t, count in enumerate(train[0, :, 0]) for _ in range(count)]


def edit_distance(a: list[int], b: list[int], cost: float) -> float:
    """Victor and Purpura's recursion as it is defined."""
    if not a or not b:
        return float(len(a) + len(b))
    moved = edit_distance(a[1:], b[1:], cost) + cost * abs(a[0] - b[0])
    return min(edit_distance(a[1:], b, cost) + 1, edit_distance(a, b[1:], cost) + 1, moved)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cost", [0.0, 0.1, 0.7, 3.0])
def test_victor_purpura_is_its_recursion(seed: int, cost: float) -> None:
    a, b = trains(seed, 14), trains(seed + 100, 14)
    found = edits(a, b, cost, 2)
    assert found is not None
    assert found.distance == pytest.approx(edit_distance(times(a), times(b), cost))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tau", [0.7, 10.0])
def test_van_rossum_is_its_integral(seed: int, tau: float) -> None:
    a, b = trains(seed), trains(seed + 100)
    signed = [(t, 1) for t in times(a)] + [(t, -1) for t in times(b)]
    # 1/tau times the integral of exp(-(t - t_i)/tau) · exp(-(t - t_j)/tau) from the later one on.
    square = sum(s * r * np.exp(-abs(t - u) / tau) / 2 for t, s in signed for u, r in signed)
    assert van_rossum(a, b, tau)[0, 0] == pytest.approx(np.sqrt(square))


def test_the_distances_are_elephants() -> None:
    """Computed with elephant 1.2.1 (`victor_purpura_distance`, q = 0.1 per step; `van_rossum_distance`, tau = 10)."""
    a, b = np.zeros((1, 300, 1), np.int64), np.zeros((1, 300, 1), np.int64)
    a[0, [3, 40, 41, 120, 200, 288]], b[0, [5, 40, 60, 119, 260]] = 1, 1
    found = edits(a, b, 0.1, 2)
    assert found is not None
    assert found.distance == pytest.approx(5.2)
    # elephant leaves out the factor 1/2 of van Rossum's integral.
    assert van_rossum(a, b, 10.0)[0, 0] * np.sqrt(2) == pytest.approx(2.262638292214499)
    assert found.matches == 3


def test_trains_with_thousands_of_spikes_get_no_edit_distance() -> None:
    many = np.full((1, 2, 1), 5000)
    assert edits(many, many, 0.1, 2) is None
