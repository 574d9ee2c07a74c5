"""The zoo's commands, on recordings small enough for seconds."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikeport.deploy.cli.main import main
from spikeport.deploy.zoo.reproduction import REPRODUCTIONS, Claim, Reproduction, ResultTable, Spread
from spikeport.models.zoo import METHODS, recipe

SMALL = {"epochs": 2, "steps": 4, "hidden": 24, "held_out": 20}


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


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_of_a_method_is_explained(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, record, _ = run(capsys, "settings", name)
    assert code == 0
    assert {row["name"] for row in record["settings"]} == set(recipe(name).config.model_fields)
    assert [row["name"] for row in record["settings"] if not row["meaning"]] == []


def test_train_and_deploy_end_in_files_accuracy_and_energy(
    capsys: pytest.CaptureFixture[str], tiny_nmnist: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    code, trained, _ = run(capsys, "train", "da-lif", "--data", tiny_nmnist, "--seed", "3", "-o", folder, *settings())
    assert (code, trained["config"]["seed"], trained["config"]["epochs"]) == (0, 3, 2)
    code, record, _ = run(capsys, "deploy", folder, "--target", "loihi1")
    assert code == 0
    assert record["float_accuracy"] == trained["figures"]["accuracy"]
    assert (folder / "model.nir").is_file()
    assert (folder / "model.spk").is_file()
    assert [e["profile"] for e in record["estimates"]] == ["loihi1", "loihi1-sanafe"]
    assert all(e["energy_j"] > 0 for e in record["estimates"])


def test_the_same_seed_trains_the_same_network(
    capsys: pytest.CaptureFixture[str], tiny_nmnist: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        run(capsys, "train", "da-lif", "--data", tiny_nmnist, "-o", tmp_path / name, *settings())
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
    tiny_nmnist: Path,
    tmp_path: Path,
    words: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, message = run(capsys, *words, "--data", tiny_nmnist)
    assert code == 2
    assert reason in message
    assert list(tmp_path.iterdir()) == []


def test_folder_without_a_training_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, message = run(capsys, "deploy", tmp_path)
    assert code == 2
    assert "is no run folder" in message


def test_a_claim_that_does_not_hold_is_shown_as_one() -> None:
    table = ResultTable("t", {"a": "a"}, ({"a": Spread((0.5, 0.6))},))
    found = Reproduction("da-lif", (0, 1), (table,), (Claim("better", False, "-1 point"),))
    record = found.as_dict()
    assert record["claims"] == [{"claim": "better", "holds": False, "found": "-1 point"}]
    assert record["tables"][0]["rows"][0]["a"]["values"] == (0.5, 0.6)
    assert Spread((0.5, 0.6)).percent() == "55.0 ± 7.1 %"
    assert Spread((0.5,)).percent() == "50.0 %"
