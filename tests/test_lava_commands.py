"""run --backend lava, verify, export-lava and doctor, as a user calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_cli import DIALECT, write_nir

from spikeport.deploy.backends.lava import compare, compatibility
from spikeport.deploy.cli.main import main

needs_lava = pytest.mark.skipif(
    not compatibility.installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a compiled model and data, which is also the current one."""
    monkeypatch.chdir(tmp_path)
    write_nir(tmp_path / "model.nir")
    spikes = np.random.default_rng(0).integers(0, 2, (3, 20, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", input=spikes, label=[0, 1, 2])
    compiling = ["compile", "model.nir", "--target", "loihi2", "--data", "data.npz", "-o", "model.spk"]
    assert main([*compiling, "--dialect", DIALECT]) == 0
    return tmp_path


def record(path: str) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


@needs_lava
def test_run_on_lava_gives_what_the_simulator_gives(folder: Path) -> None:
    for backend in ("reference", "lava"):
        running = ["run", "model.spk", "--data", "data.npz", "--backend", backend, "--record", "all"]
        assert main([*running, "--save", f"{backend}.npz", "--json", f"{backend}.json"]) == 0
    ours, lavas = np.load("reference.npz"), np.load("lava.npz")
    assert set(ours) == set(lavas)
    assert all(np.array_equal(ours[name], lavas[name]) for name in ours)
    one, other = record("reference.json"), record("lava.json")
    assert (one.pop("backend"), other.pop("backend")) == ("reference", "lava")
    assert one == other


@needs_lava
def test_verify_says_equal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "model.spk", "--data", "data.npz", "--samples", "2", "--json", "v.json"]) == 0
    assert "equal in every spike and every state" in capsys.readouterr().out
    found = record("v.json")
    assert (found["equal"], found["samples"], found["first_difference"]) == (True, 2, None)
    assert all(line["differing_spikes"] == line["differing_states"] == 0 for line in found["populations"])


@needs_lava
def test_verify_exits_with_1_and_shows_the_first_difference(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    difference = compare.Difference(0, 7, "lif", 2, "v", 640, 704)
    found = compare.Comparison(1, 21, {"lif": 3}, {"lif": 0}, {"lif": 1}, {"lif": 63}, difference)
    monkeypatch.setattr(compare, "compare", lambda *arguments: found)
    assert main(["verify", "model.spk", "--data", "data.npz"]) == 1
    shown = capsys.readouterr().out.split()
    assert all(word in shown for word in ("lif", "2", "7", "v", "640", "704"))


@needs_lava
def test_exported_module_runs_in_plain_lava(folder: Path) -> None:
    assert main(["export-lava", "model.spk", "-o", "my_net.py", "--json", "e.json"]) == 0
    assert {p["process"] for p in record("e.json")["processes"]} == {"RingBuffer", "Dense", "LIF"}
    text = (
        "import my_net, numpy as np\n"
        "from lava.magma.core.run_conditions import RunSteps\n"
        "data = np.load('data.npz')['input'][0].T\n"
        "processes = my_net.build({'n_in': data})\n"
        "lif = next(p for p in processes.values() if type(p).__name__ == 'LIF')\n"
        "lif.run(condition=RunSteps(num_steps=20), run_cfg=my_net.run_config())\n"
        "try: print(lif.v.get().tolist())\n"
        "finally: lif.stop()\n"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.splitlines()[-1])) == 3


@pytest.mark.parametrize("name", ["net.txt", "my net.py", "missing/net.py"])
def test_export_refuses_names_that_are_no_module_or_cannot_be_written(name: str, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    assert main(["export-lava", "model.spk", "-o", name]) == 2
    assert sorted(folder.rglob("*")) == before


def test_backend_without_lava_names_the_command(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeport.deploy.backends.lava.run.installed", lambda: False)
    assert main(["run", "model.spk", "--data", "data.npz", "--backend", "lava"]) == 2
    assert compatibility.INSTALL in capsys.readouterr().err


def test_doctor_prints_the_command_that_mends(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeport.deploy.report.health.installed", lambda: False)
    assert main(["doctor", "--json", "-"]) == 0
    checks = {check["what"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["lava-nc"]["usable"] == "optional"
    assert checks["lava-nc"]["mend"] == compatibility.INSTALL
    assert checks["numpy"]["found"] == np.__version__


@needs_lava
def test_doctor_finds_lava_usable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["healthy"] is True
    assert next(c for c in found["checks"] if c["what"] == "lava-nc")["usable"] == "yes"
