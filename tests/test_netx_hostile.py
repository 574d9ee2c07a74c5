"""Damaged and hostile .net files: one clear message each, nothing allocated unseen, nothing followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from net_files import CUBA, conv, dense, plain_input, write_net

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.read.netx.read import read_netx
from spikeport.deploy.cli.main import main
from spikeport.errors import ModelError


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Input, convolution, flatten, dense; a few kilobytes."""
    kernel = np.random.default_rng(0).integers(-60, 60, (2, 1, 3, 3)) * 2
    flatten = {"type": "flatten", "shape": np.array([8, 1, 1])}
    last = dense(np.ones((3, 8)) * 2, bias=np.array([2.0, 4.0, 6.0]), delay=np.array([0.0, 1.0, 2.0]))
    return write_net(tmp_path / "good.net", [plain_input(1, 4, 4), conv(kernel, (2, 2, 2), CUBA), flatten, last])


@pytest.mark.parametrize("content", [b"", b"weights", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2000)])
def test_what_is_no_hdf5_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.net").write_bytes(content)
    with pytest.raises(ModelError, match="not a readable HDF5 file, or damaged"):
        read_netx(tmp_path / "x.net")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_file_is_refused(good: Path, share: float) -> None:
    content = good.read_bytes()
    good.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match=r"good.net: .*damaged"):
        read_netx(good)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "no.net", tmp_path):
        with pytest.raises(ModelError, match="cannot be opened"):
            read_netx(path)


def no_layers(file: h5py.File) -> None:
    del file["layer"]


def empty(file: h5py.File) -> None:
    del file["layer"]
    file.create_group("layer")


def gap(file: h5py.File) -> None:
    file.move("layer/1", "layer/7")


def strange_number(file: h5py.File) -> None:
    file.move("layer/1", "layer/01")


def too_many(file: h5py.File) -> None:
    for index in range(4, 1002):
        file.create_group(f"layer/{index}")


def layer_is_data(file: h5py.File) -> None:
    del file["layer/1"]
    file["layer/1"] = 3


def no_type(file: h5py.File) -> None:
    del file["layer/1/type"]


def numeric_type(file: h5py.File) -> None:
    del file["layer/1/type"]
    file["layer/1/type"] = 5


def soft_link(file: h5py.File) -> None:
    del file["layer/1/weight"]
    file["layer/1/weight"] = h5py.SoftLink("/layer/3/weight")


def external_link(file: h5py.File) -> None:
    del file["layer/1"]
    file["layer/1"] = h5py.ExternalLink("/etc/passwd", "/")


def virtual(file: h5py.File) -> None:
    del file["layer/3/weight"]
    layout = h5py.VirtualLayout((3, 8), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "w", (3, 8))
    file.create_virtual_dataset("layer/3/weight", layout)


def bomb(file: h5py.File) -> None:
    del file["layer/3/weight"]
    file.create_dataset("layer/3/weight", (60_000, 60_000), "f4", chunks=(1000, 1000), compression="gzip")


def dense_bomb(file: h5py.File) -> None:
    del file["layer/3/weight"]
    zeros = np.zeros((8193, 8192), np.int8)
    file.create_dataset("layer/3/weight", data=zeros, chunks=(4096, 8192), compression="gzip", compression_opts=9)


def compound(file: h5py.File) -> None:
    del file["layer/3/weight"]
    file["layer/3/weight"] = np.zeros((3, 8), [("a", "f4"), ("b", "i4")])


def text_as_weight(file: h5py.File) -> None:
    del file["layer/3/weight"]
    file["layer/3/weight"] = "many"


def number_as_neuron(file: h5py.File) -> None:
    del file["layer/3/neuron/type"]
    file["layer/3/neuron/type"] = 1.5


def nested_group(file: h5py.File) -> None:
    file.create_group("layer/3/neuron/more/and/more")


def no_values(file: h5py.File) -> None:
    del file["layer/3/bias"]
    file["layer/3/bias"] = h5py.Empty("f4")


def empty_bias(file: h5py.File) -> None:
    del file["layer/3/bias"]
    file["layer/3/bias"] = np.zeros(0)


def endless_sampling(file: h5py.File) -> None:
    file["simulation/Ts"] = np.inf


def many_neurons(file: h5py.File) -> None:
    file["layer/0/shape"][:] = (1 << 20, 1 << 20, 1 << 20)


def far_padding(file: h5py.File) -> None:
    file["layer/1/padding"][:] = 1 << 21
    file["layer/1/shape"][:] = (2, 1 << 22, 1 << 22)


HOSTILE: dict[Callable[[h5py.File], None], str] = {
    no_layers: "'layer' is missing in '/': not a lava-dl .net file",
    empty: "it has 0 layers",
    gap: "not numbered 0 to 3: there is '7'",
    strange_number: "there is '01'",
    too_many: "it has 1002 layers; spikeport reads 1 to 1000",
    layer_is_data: "'1' is not a group",
    no_type: "'type' is missing in '/layer/1'",
    numeric_type: "should be a short text",
    soft_link: "link to somewhere else",
    external_link: "link to somewhere else",
    virtual: "keeps its data in another file",
    bomb: r"declares \(60000, 60000\): more than 2 GiB in all",
    dense_bomb: "weight has 67117056 values; spikeport reads 1 to 67108864",
    compound: "neither numbers nor text",
    text_as_weight: "weight is the text 'many' instead of numbers",
    number_as_neuron: "neuron/type should be a text",
    nested_group: "holds no data",
    no_values: "holds no data",
    empty_bias: "bias has 0 values",
    endless_sampling: "simulation/Ts should be one number above 0",
    many_neurons: "spikeport reads at most 4194304 in a layer",
    far_padding: "spikeport reads at most 4194304 in a layer",
}


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda f: f.__name__)
def test_hostile_file_is_refused_with_its_reason(good: Path, spoil: Callable[[h5py.File], None]) -> None:
    with h5py.File(good, "r+") as file:
        spoil(file)
    with pytest.raises(ModelError, match=HOSTILE[spoil]) as caught:
        read_netx(good)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("good.net: ")


def test_text_heap_that_would_send_hdf5_in_circles_is_refused(good: Path) -> None:
    data = bytearray(good.read_bytes())
    start = data.find(b"GCOL")
    data[start + 24 : start + 32] = (2**64 - 16).to_bytes(8, "little")
    good.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        read_netx(good)


def mutated(content: bytes, seed: int) -> bytes:
    """One to eight bytes changed, anywhere."""
    rng, data = np.random.default_rng(seed), bytearray(content)
    for position in rng.integers(0, len(data), rng.integers(1, 9)):
        data[position] = rng.integers(0, 256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(60))
def test_mutated_files_are_read_or_refused_never_a_traceback(good: Path, seed: int) -> None:
    good.write_bytes(mutated(good.read_bytes(), seed))
    try:
        network = read_netx(good)
    except ModelError:
        return
    assert isinstance(network, ChipNetwork)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(6))
def test_three_hundred_mutated_files_give_one_message_each(
    good: Path, block: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(good.parent)
    content, refused = good.read_bytes(), 0
    for seed in range(1000 + block * 50, 1050 + block * 50):
        good.write_bytes(mutated(content, seed))
        code = main(["compile", "good.net", "--target", "loihi2", "-o", "good.spk"])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert code in (0, 2, 3)
        assert (said.lower().count("error:") == 1) == (code != 0)
        refused += code != 0
    assert 0 < refused < 50
