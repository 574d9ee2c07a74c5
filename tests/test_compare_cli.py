"""``spikeport compare``: tables, JSON, one page; and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Linear, Network
from spikeport.deploy.cli.main import main

STEPS = 20
HIDDEN = "hidden <b>&"


def trained(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    layers = [
        ("fc", Linear(rng.normal(0.1, 0.5, (8, 6)).astype(np.float32))),
        (HIDDEN, leaky(0.9, alpha=0.6)),
        ("fc2", Linear(rng.normal(0.1, 0.5, (3, 8)).astype(np.float32))),
        ("last", leaky(0.8)),
    ]
    return sequential(layers, (6,), 1e-3, "snntorch:reset=subtract,reset_delay=0")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network, its deployment for loihi2, and data in one folder."""
    folder = tmp_path_factory.mktemp("compare")
    rng = np.random.default_rng(0)
    spikes = (rng.random((12, STEPS, 6)) < 0.3).astype(np.uint8)
    np.savez(folder / "data.npz", input=spikes, label=np.arange(12) % 3)
    spikeport.write(trained(), folder / "model.nir")
    network = spikeport.read(folder / "model.nir")
    options = spikeport.CompileOptions(scales=2, split="never")
    spikeport.compile(network, "loihi2", spikes[:2], options=options).save(folder / "model.spk")
    return folder


@pytest.fixture
def folder(good: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(good)
    return good


def said(capsys: pytest.CaptureFixture[str], line: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(line.split())
    printed = capsys.readouterr()
    return code, printed.out, " ".join(printed.err.split())


def test_json_holds_layers_effects_and_the_first_difference(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "compare model.nir model.spk --data data.npz --json -")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert [layer["layer"] for layer in record["layers"]] == [HIDDEN, "last"]
    assert record["effects"][0]["effect"] == "weights"
    assert record["first_difference"]["layer"] in (HIDDEN, "last")
    lost = sum(e["lost"] for e in record["effects"])
    assert lost + record["interaction"] == pytest.approx(record["accuracy_trained"] - record["accuracy_chip"])
    assert len(record["classes"]) == record["samples"] == 12


def test_tables_name_the_layers_and_the_effects(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "compare model.nir model.spk --data data.npz --samples 4")
    assert code == 0
    for words in (
        HIDDEN,
        "what each effect costs",
        "pipeline",
        "interaction",
        "the first difference:",
        "4 of 20 steps",
    ):
        assert words in out


def test_without_effects_there_is_no_table_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "compare model.nir model.spk --data data.npz --no-effects")
    assert code == 0
    assert "what each effect costs" not in out


class Page(HTMLParser):
    """Checks that tags are closed in their order, and gathers the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_self_contained_and_escapes_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = said(capsys, "compare model.nir model.spk --data data.npz --html page.html")
    text = Path("page.html").read_text()
    page = Page()
    page.feed(text)
    assert code == 0
    assert page.open == []
    assert HIDDEN in page.text
    assert "<b>&" not in text
    assert not [word for word in ("http", "<script", "src=", "@import", "url(") if word in text]
    assert "What each effect of the hardware costs" in page.text


def test_the_deployments_own_dialect_is_taken_where_none_is_named(
    tmp_path: Path, nir_file: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ones = np.ones(3, np.float32)
    lif = {"type": "LIF", "tau": 0.01 * ones, "r": 10 * ones, "v_leak": 0 * ones, "v_threshold": ones}
    nodes = {
        "in": {"type": "Input", "shape": np.array([3])},
        "lif": {**lif, "v_reset": 0 * ones},
        "out": {"type": "Output", "shape": np.array([3])},
    }
    nir_file(nodes, [("in", "lif"), ("lif", "out")])  # type: ignore[operator]
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", np.ones((2, 10, 3), np.uint8))
    dialect = "snntorch:reset=zero,reset_delay=0,dt=1e-3"
    assert main(f"compile model.nir --target loihi1 --data data.npy -o a.spk --dialect {dialect}".split()) == 0
    code, _, err = said(capsys, "compare model.nir a.spk --data data.npy --no-effects")
    assert code == 0
    assert "compiled as" not in err
    code, _, err = said(capsys, "compare model.nir a.spk --data data.npy --no-effects --dialect norse --dt 1e-3")
    assert "but the deployment was compiled as 'snntorch:dt=0.001,reset=zero,reset_delay=0'" in err


def test_another_file_is_said_and_another_structure_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spikeport.write(trained(seed=1), folder / "other.nir")
    code, _, err = said(capsys, "compare other.nir model.spk --data data.npz --no-effects")
    assert code == 0
    assert "the deployment was compiled from another file" in err
    fewer = trained()
    shorter = sequential([("fc", fewer.nodes["fc"]), (HIDDEN, fewer.nodes[HIDDEN])], (6,), 1e-3, fewer.dialect)
    spikeport.write(shorter, folder / "shorter.nir")
    code, _, err = said(capsys, "compare shorter.nir model.spk --data data.npz")
    assert code == 2
    assert "the deployment was not compiled from this network: 'last' is missing in the network" in err


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("compare model.spk model.spk --data data.npz", "model.spk is a compiled deployment; this needs the trained"),
        ("compare model.nir model.nir --data data.npz", "model.nir is a trained network; compile it first"),
        ("compare model.nir model.spk --data data.npz --tau 0", "--tau 0 must be above 0"),
        ("compare model.nir model.spk --data data.npz --html model.spk", "it is one of the command's own inputs"),
        ("compare model.nir model.spk --data data.npz --html page.txt", "this file ends in .html"),
        ("compare model.nir model.spk --data model.nir", "model.nir"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str, what: str
) -> None:
    code, out, err = said(capsys, line)
    assert (code, out) == (2, "")
    assert what in err
    assert "Traceback" not in err


def test_a_conventional_network_is_no_side_of_the_comparison(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "ann.onnx").write_bytes(b"\x08\x08\x12\x00\x3a\x00")
    code, _, err = said(capsys, "compare ann.onnx model.spk --data data.npz")
    assert code == 2
    assert "ann.onnx is a conventional network, the deployment was compiled from a spiking one. Compare the .nir" in err


def test_python_says_the_same(folder: Path) -> None:
    network = spikeport.read(folder / "model.nir")
    deployment = spikeport.Deployment.load(folder / "model.spk")
    given = np.load(folder / "data.npz")
    result = spikeport.compare(network, deployment, given["input"], given["label"])
    assert result.samples == 12
    assert replace(result, effects=()).interaction == result.gap
