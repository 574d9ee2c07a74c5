"""DA-LIF: what is learnt, what the chip makes of it, and the claims on real recordings (slow)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport.converters.network import Network, Neuron
from spikeport.deploy.zoo import da_lif
from spikeport.deploy.zoo.deployed import deploy_run
from spikeport.deploy.zoo.reproduction import trained
from spikeport.errors import DataError, UnsupportedOnChipError
from spikeport.models.da_lif.recipe import RECIPE, DALIFConfig, build, split
from spikeport.models.network import neurons_of

SMALL: dict[str, Any] = {"epochs": 2, "steps": 4, "hidden": 24, "held_out": 20}


def test_per_step_constants_train_but_do_not_deploy(tiny_nmnist: Path, tmp_path: Path) -> None:
    run, chosen, figures = trained("da-lif", SMALL | {"neuron": "per-step"}, tiny_nmnist, tmp_path / "run")
    assert 0 < figures["neurons1.decay"] < 1
    with pytest.raises(UnsupportedOnChipError, match="neurons1: its membrane decay changes from step to step"):
        deploy_run(run, chosen, "loihi2")


@pytest.mark.parametrize(("neuron", "learns"), [("da-lif", 2), ("da-lif-sigmoid", 2), ("plif", 1), ("lif", 0)])
def test_each_kind_learns_its_own_constants_per_layer(neuron: Any, learns: int) -> None:
    net = build(DALIFConfig(neuron=neuron, decay=0.6, gain=0.4), (2, 3, 3), 4)
    spiking = [part for _, part in neurons_of(net) if part.spiking]
    assert [len(list(part.parameters())) for part in spiking] == [learns, learns]
    for part in spiking:
        (constants,) = part.constants()
        assert constants.membrane_decay.item() == pytest.approx(0.6)
        assert constants.input_gain is not None
        assert constants.input_gain.item() == pytest.approx(0.4)


def test_late_task_is_silent_in_its_second_half(tiny_nmnist: Path, tmp_path: Path) -> None:
    run, _, _ = trained("da-lif", SMALL | {"epochs": 1, "late": True}, tiny_nmnist, tmp_path / "run")
    frames = RECIPE.samples(run).train.frames
    assert frames.shape[1] == 4
    assert frames[:, :2].any()
    assert not frames[:, 2:].any()


def test_folding_alpha_away_changes_no_answer(tiny_nmnist: Path, tmp_path: Path) -> None:
    run, chosen, _ = trained("da-lif", SMALL, tiny_nmnist, tmp_path / "run")
    deployed = deploy_run(run, chosen, "loihi2")
    plain = da_lif.plain(deployed.network)
    gains = [n.input_gain for n in plain.nodes.values() if isinstance(n, Neuron)]
    assert all(gain == 1 for gain in gains)
    assert not np.array_equal(plain.nodes["fc1"].weight, deployed.network.nodes["fc1"].weight)
    assert da_lif.folding_agreement(run, deployed) == 1.0


def test_layers_that_nearly_fall_silent_are_warned_about(tiny_nmnist: Path, tmp_path: Path) -> None:
    lively = {"neuron": "lif", "decay": 0.9, "gain": 1.0}
    run, chosen, _ = trained("da-lif", SMALL | lively, tiny_nmnist, tmp_path / "run")
    quiet = replace(chosen, network=lambda given: _deaf(chosen.network(given)))
    warned = {f.where for f in deploy_run(run, quiet, "loihi2").findings if f.code == "nearly-silent"}
    assert warned == {"neurons1", "neurons2"}
    assert "nearly-silent" not in {f.code for f in deploy_run(run, chosen, "loihi2").findings}


def _deaf(network: Network) -> Network:
    nodes = dict(network.nodes)
    for name in ("neurons1", "neurons2"):
        nodes[name] = replace(nodes[name], threshold=np.float32(50.0) * nodes[name].threshold)
    return replace(network, nodes=nodes)


def test_best_fixed_decay_is_chosen_on_samples_that_neither_train_nor_test(
    monkeypatch: pytest.MonkeyPatch, tiny_nmnist: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(da_lif, "HELD_BACK", 30)
    monkeypatch.setattr(da_lif, "TASKS", {"tiny": SMALL})
    name = da_lif.best_of_grid("tiny", 1, tiny_nmnist, tmp_path)
    runs = {name: da_lif.run_of("tiny", name, 1, tiny_nmnist, tmp_path, 30) for name in da_lif.FIXED}
    scores = {name: figures["validation"] for name, (_, _, figures) in runs.items()}
    assert scores[name] == max(scores.values())
    run = runs[name][0]
    parts, validation = split(run)
    whole = RECIPE.samples(replace(run, config=run.config.model_copy(update={"validation": 0})))
    assert validation is not None
    assert (len(parts.train), len(validation), len(parts.test)) == (70, 30, 20)
    joined = np.concatenate([validation.frames, parts.train.frames])
    np.testing.assert_array_equal(joined, whole.train.frames)
    np.testing.assert_array_equal(parts.test.frames, whole.test.frames)


@pytest.mark.slow
def test_late_decision_needs_the_slow_decay_that_da_lif_finds(shared_data: Path, tmp_path: Path) -> None:
    found = {}
    for variant in ("LIF tau=2", "DA-LIF"):
        runs = [da_lif.run_of(da_lif.LATE, variant, seed, shared_data, tmp_path) for seed in range(3)]
        found[variant] = [da_lif.result_of(*run) for run in runs]
    mean = {variant: np.mean([r.accuracy for r in results]) for variant, results in found.items()}
    assert mean["DA-LIF"] > mean["LIF tau=2"] + 0.05
    assert min(decay for r in found["DA-LIF"] for decay in r.decays) > 0.8
    assert all(r.folded == 1.0 for r in found["DA-LIF"])
    assert abs(np.mean([r.fine.accuracy for r in found["DA-LIF"]]) - mean["DA-LIF"]) <= 0.005


def test_a_late_decision_needs_a_half_to_be_silent() -> None:
    with pytest.raises(DataError, match="steps=1 must be 2"):
        DALIFConfig(late=True, steps=1)
