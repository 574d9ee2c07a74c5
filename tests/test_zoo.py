"""The zoo's commands and its first method, on recordings small enough for seconds."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport.converters.network import Neuron
from spikeport.deploy.cli.main import main
from spikeport.deploy.zoo import da_lif
from spikeport.deploy.zoo.deployed import deploy_run
from spikeport.deploy.zoo.reproduction import REPRODUCTIONS, Claim, Reproduction, ResultTable, Spread, trained
from spikeport.models.zoo import METHODS, recipe

SMALL = {"epochs": 2, "steps": 4, "hidden": 24, "held_out": 20}
FIELDS = np.dtype([("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "<u4")])


def part(rng: np.random.Generator, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recordings whose class is the row where most of their events fall."""
    labels = rng.integers(0, 10, samples)
    events = np.zeros((samples, 300), FIELDS)
    events["y"] = np.where(rng.random(events.shape) < 0.7, 3 * labels[:, None] + 2, rng.integers(0, 34, events.shape))
    events["x"], events["p"] = rng.integers(0, 34, events.shape), rng.integers(0, 2, events.shape)
    events["t"] = rng.integers(0, 300_000, events.shape)
    return events.ravel(), np.arange(samples + 1) * 300, labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "nmnist.npz"
    arrays = {}
    for name, samples in (("train", 90), ("test", 30)):
        for what, array in zip(("events", "offsets", "labels"), part(rng, samples), strict=True):
            arrays[f"{name}_{what}"] = array
    np.savez(path, **arrays)
    return path


def settings() -> list[str]:
    return [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON and messages of one command."""
    code = main(["zoo", *map(str, words), "--json", "-"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {}, err


def test_every_method_of_the_table_has_a_recipe_and_a_reproduction() -> None:
    assert set(REPRODUCTIONS) == set(METHODS)
    for name in METHODS:
        assert recipe(name).config().seed == 0


def test_the_list_names_papers_and_figures(capsys: pytest.CaptureFixture[str]) -> None:
    code, record, _ = run(capsys)
    assert code == 0
    assert [m["name"] for m in record["methods"]] == list(METHODS)
    assert all(m["paper"] and m["published"] and m["data"] for m in record["methods"])


def test_train_and_deploy_end_in_files_accuracy_and_energy(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    code, trained, _ = run(capsys, "train", "da-lif", "--data", data, "--seed", "3", "-o", folder, *settings())
    assert (code, trained["config"]["seed"], trained["config"]["epochs"]) == (0, 3, 2)
    code, record, _ = run(capsys, "deploy", folder, "--target", "loihi1")
    assert code == 0
    assert record["float_accuracy"] == trained["figures"]["accuracy"]
    assert (folder / "model.nir").is_file()
    assert (folder / "model.spk").is_file()
    assert [e["profile"] for e in record["estimates"]] == ["loihi1", "loihi1-sanafe"]
    assert all(e["energy_j"] > 0 for e in record["estimates"])


def test_the_same_seed_trains_the_same_network(capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(capsys, "train", "da-lif", "--data", data, "-o", tmp_path / name, *settings())
    first, second = ((tmp_path / name / "net.safetensors").read_bytes() for name in ("a", "b"))
    assert first == second


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["train", "nothing", "-o", "run"], "no method 'nothing' in the zoo; there are da-lif"),
        (["train", "da-lif", "-o", "run", "--set", "epochs"], "write NAME=VALUE"),
        (["train", "da-lif", "-o", "run", "--set", "speed=3"], "no setting 'speed'; there are seed, epochs"),
        (["reproduce", "da-lif", "--seeds", "1,1"], "write different whole numbers"),
    ],
)
def test_bad_input_is_one_message(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    data: Path,
    tmp_path: Path,
    words: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, message = run(capsys, *words, "--data", data)
    assert code == 2
    assert reason in message
    assert list(tmp_path.iterdir()) == []


def test_folder_without_a_training_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, message = run(capsys, "deploy", tmp_path)
    assert code == 2
    assert "is no run folder" in message


def test_per_step_constants_train_but_do_not_deploy(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    words = ["--data", data, "-o", tmp_path / "run", *settings(), "--set", "neuron=per-step"]
    code, _, _ = run(capsys, "train", "da-lif", *words)
    assert code == 0
    code, _, message = run(capsys, "deploy", tmp_path / "run")
    assert code == 3, message
    assert "neurons1: its membrane decay changes from step to step" in message


def test_folding_alpha_away_changes_no_answer(data: Path, tmp_path: Path) -> None:
    run, chosen, _ = trained("da-lif", SMALL, data, tmp_path / "run")
    deployed = deploy_run(run, chosen, "loihi2")
    plain = da_lif.plain(deployed.network)
    gains = [n.input_gain for n in plain.nodes.values() if isinstance(n, Neuron)]
    assert all(gain == 1 for gain in gains)
    assert not np.array_equal(plain.nodes["fc1"].weight, deployed.network.nodes["fc1"].weight)
    assert da_lif.folding_agreement(run, deployed) == 1.0


def test_layers_that_nearly_fall_silent_are_warned_about(data: Path, tmp_path: Path) -> None:
    lively = {"neuron": "lif", "decay": 0.9, "gain": 1.0}
    run, chosen, _ = trained("da-lif", SMALL | lively, data, tmp_path / "run")
    quiet = replace(chosen, network=lambda given: _deaf(chosen.network(given)))
    warned = {f.where for f in deploy_run(run, quiet, "loihi2").findings if f.code == "nearly-silent"}
    assert warned == {"neurons1", "neurons2"}
    assert "nearly-silent" not in {f.code for f in deploy_run(run, chosen, "loihi2").findings}


def _deaf(network):
    nodes = dict(network.nodes)
    for name in ("neurons1", "neurons2"):
        nodes[name] = replace(nodes[name], threshold=np.float32(50.0) * nodes[name].threshold)
    return replace(network, nodes=nodes)


def test_a_claim_that_does_not_hold_is_shown_as_one() -> None:
    table = ResultTable("t", {"a": "a"}, ({"a": Spread((0.5, 0.6))},))
    found = Reproduction("da-lif", (0, 1), (table,), (Claim("better", False, "-1 point"),))
    record = found.as_dict()
    assert record["claims"] == [{"claim": "better", "holds": False, "found": "-1 point"}]
    assert record["tables"][0]["rows"][0]["a"]["values"] == (0.5, 0.6)
    assert Spread((0.5, 0.6)).percent() == "55.0 ± 7.1 %"
    assert Spread((0.5,)).percent() == "50.0 %"
