"""A file is what it holds, not what it is called; options that do not belong to it are refused."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Activation, Edge, Flatten, Linear, Network, Neuron, Output
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.source import kind_of_file, read
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.cli.main import main
from spikeport.errors import ModelError

ONNX_START = b"\x08\x08\x12\x07pytorch\x1a\x052.5.1:\x02\n\x00"


def network() -> Network:
    weight = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    return sequential([("fc", Linear(weight)), ("lif", leaky(0.9))], (4,), 1e-3, "snntorch:reset=zero,reset_delay=0")


def conventional() -> Network:
    weight = np.ones((3, 4), np.float32)
    return sequential([("flat", Flatten(0, -1)), ("fc", Linear(weight)), ("relu", Activation())], (2, 2), 1.0)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_nir(network(), tmp_path / "model.nir")
    return tmp_path / "model.nir"


def test_a_nir_file_is_read_under_any_name(model: Path) -> None:
    other = model.rename(model.with_suffix(".onnx"))
    assert kind_of_file(other) == "nir"
    assert str(spikeport.read(other)) == str(read(str(other)))


def test_lava_dl_files_and_onnx_are_told_by_content(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.bin", "w") as file:
        file["layer/0/type"] = np.array([b"input"])
    (tmp_path / "b.bin").write_bytes(ONNX_START)
    assert [kind_of_file(tmp_path / name) for name in ("a.bin", "b.bin")] == ["netx", "onnx"]


def test_where_the_content_says_nothing_the_name_decides_whose_message_it_is(tmp_path: Path) -> None:
    for name, kind in (("a.nir", "nir"), ("a.net", "netx"), ("a.onnx", "onnx"), ("a.dat", "unknown")):
        (tmp_path / name).write_bytes(b"\x00damaged")
        assert kind_of_file(tmp_path / name) == kind


def test_the_published_networks_are_told_apart(shared_data: Path) -> None:
    assert kind_of_file(shared_data / "lava_dl/tiny.net") == "netx"
    assert kind_of_file(shared_data / "nir_paper/02_cnn/cnn_sinabs.nir") == "nir"


def test_a_sample_belongs_to_modules_and_a_dialect_to_nir(model: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.nir: a sample \(and its axes\) traces a live module"):
        read(model, np.zeros((1, 4)))  # type: ignore[call-overload]
    onnx = model.with_name("a.onnx")
    onnx.write_bytes(ONNX_START)
    with pytest.raises(ModelError, match=r"a\.onnx: a dialect and a dt belong to a NIR file; an ONNX file needs"):
        read(onnx, dialect="nir")
    with pytest.raises(ModelError, match="Sequential: a live module is read by running it once: give a sample"):
        read(torch.nn.Sequential())  # type: ignore[call-overload]
    with pytest.raises(ModelError, match="Sequential: a live module says itself what it means"):
        read(torch.nn.Sequential(), dialect="nir")  # type: ignore[call-overload]
    with pytest.raises(ModelError, match=r"model\.nir: an input shape belongs to a \.net file; a NIR file has its own"):
        read(model, input_shape=(4,))
    with pytest.raises(ModelError, match=r"an input shape belongs to a \.net file; a module has its sample"):
        read(torch.nn.Sequential(), input_shape=(4,))  # type: ignore[call-overload]


def test_what_is_no_model_is_called_what_it_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", input=np.zeros(3))
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.txt").write_text("hello")
    for name, what in (("a.npz", "never unpickled"), ("a.npy", "an array file"), ("a.txt", "neither NIR, nor ONNX")):
        with pytest.raises(ModelError, match=what):
            read(tmp_path / name)
    with pytest.raises(ModelError, match=r"a dict is no model\. Models are \.nir, \.onnx"):
        read({})  # type: ignore[call-overload]
    with pytest.raises(ModelError, match="does not exist"):
        read(tmp_path / "none.nir")


def test_inspect_shows_what_becomes_of_a_network(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model), "--target", "loihi1", "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["is"] == "a spiking network"
    assert [(p["layer"], p["model"], p["shift"]) for p in record["becomes"]["populations"]] == [
        ("input", "input", 0),
        ("lif", "lif_subtract", 1),
    ]


def test_inspect_says_every_refusal_of_the_chip_beside_what_the_model_holds(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeport.converters.read.source.read", lambda *_, **__: conventional())
    assert main(["inspect", str(model), "--json", "-"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["is"].startswith("a conventional network; convert makes it spike")
    assert "loihi2 cannot run it: relu (Activation)" in said.err


def test_inspect_says_that_two_outputs_cannot_be_deployed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = sequential([("lif", leaky(0.9))], (4,), 1e-3)
    nodes = {**one.nodes, "second": Output((4,))}
    two = infer(replace(one, nodes=nodes, edges=(*one.edges, Edge("input", "second")))).result
    write_nir(two, tmp_path / "two.nir")
    assert main(["inspect", str(tmp_path / "two.nir")]) == 0
    assert "loihi2 cannot run it: the network has 2 outputs" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("command", ["compile {} --target loihi2 -o a.spk", "run {} --backend float --data {}"])
def test_a_conventional_network_is_sent_to_convert(
    model: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    monkeypatch.setattr("spikeport.converters.read.source.read", lambda *_, **__: conventional())
    assert main(command.format("model.nir", "model.nir").split()) == 3
    assert "Convert the network first: spikeport convert model.nir --to spiking" in capsys.readouterr().err


def test_every_neuron_that_the_chip_refuses_is_named_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weight = np.ones((3, 3), np.float32)
    endless = leaky(0.9, reset="none")
    layers = [("a", Linear(weight)), ("first", endless), ("b", Linear(weight)), ("second", endless)]
    nodes = sequential(layers, (3,), 1e-3).nodes
    unreset = {n: replace(node, reset="none") if isinstance(node, Neuron) else node for n, node in nodes.items()}
    write_nir(replace(sequential(layers, (3,), 1e-3), nodes=unreset), tmp_path / "a.nir")
    assert main(["inspect", str(tmp_path / "a.nir"), "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [f["message"].count("without any reset") for f in record["becomes"]["findings"]] == [2]
    assert all(f"{name}: spikes without any reset" in record["becomes"]["refused"] for name in ("first", "second"))
