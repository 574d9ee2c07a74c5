"""Damaged and hostile ``.nir`` files end in one ModelError: no traceback, no large allocation, no foreign file."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Linear
from spikeport.converters.read.nir import read_nir
from spikeport.converters.read.nir_file import MAX_DEPTH
from spikeport.converters.write.nir import write_nir
from spikeport.errors import ModelError


@pytest.fixture
def good(tmp_path: Path) -> Path:
    weight = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    network = sequential([("fc", Linear(weight)), ("lif", leaky(0.9))], (4,), 1e-4)
    write_nir(network, tmp_path / "good.nir")
    return tmp_path / "good.nir"


def test_truncation_anywhere_is_refused(good: Path, tmp_path: Path) -> None:
    data = good.read_bytes()
    for size in [0, 1, 8, 63, *range(100, len(data) - 1, len(data) // 23), len(data) - 1]:
        cut = tmp_path / "cut.nir"
        cut.write_bytes(data[:size])
        with pytest.raises(ModelError, match=r"cut\.nir"):
            read_nir(cut)


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bits_are_read_or_refused_never_a_traceback(good: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(good.read_bytes())
    for position in rng.integers(0, len(data), size=1 + seed % 8):
        data[position] ^= 1 << int(rng.integers(8))
    flipped = tmp_path / "flipped.nir"
    flipped.write_bytes(data)
    try:
        network = read_nir(flipped)
    except ModelError:
        return
    assert network.inputs
    assert network.outputs


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not hdf5", b"\x89HDF\r\n\x1a\n", b"\x00" * 4096])
def test_other_formats_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.nir"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"other\.nir: not a readable HDF5 file"):
        read_nir(path)


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.nir", tmp_path):
        with pytest.raises(ModelError, match="cannot be opened"):
            read_nir(path)


def absurd_size(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", shape=(1 << 20, 1 << 20), dtype="f4", chunks=(1024, 1024))


def undersized_bomb(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", shape=(1 << 12, 1 << 12), dtype="f4", chunks=(64, 64))


def object_array(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", data=np.array(["a", "b"], object), dtype=h5py.string_dtype())


def ragged_array(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    kind = h5py.vlen_dtype(np.float32)
    file["node/nodes/fc"].create_dataset("weight", data=[np.ones(2, "f4"), np.ones(3, "f4")], dtype=kind)


def compound_array(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", data=np.zeros(3, [("a", "f4"), ("b", "i4")]))


def complex_array(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", data=np.ones((3, 4), complex))


def no_data(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc"].create_dataset("weight", data=h5py.Empty("f4"))


def soft_link(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    file["node/nodes/fc/weight"] = h5py.SoftLink("/node/nodes/lif/tau")


def external_link(file: h5py.File) -> None:
    del file["node/nodes/fc"]
    file["node/nodes/fc"] = h5py.ExternalLink("elsewhere.h5", "/fc")


def external_storage(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    group = file["node/nodes/fc"]
    group.create_dataset("weight", shape=(3, 4), dtype="f4", external=[("elsewhere.bin", 0, 48)])


def virtual_dataset(file: h5py.File) -> None:
    del file["node/nodes/fc/weight"]
    layout = h5py.VirtualLayout(shape=(3, 4), dtype="f4")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "w", shape=(3, 4))
    file["node/nodes/fc"].create_virtual_dataset("weight", layout)


def endless_subgraphs(file: h5py.File) -> None:
    # A hard link back to the root: a subgraph that contains itself.
    file["node/nodes/again"] = file["node"]


def wide_edges(file: h5py.File) -> None:
    del file["node/edges"]
    file["node"].create_dataset("edges", data=np.array([["a", "b", "c"]], object), dtype=h5py.string_dtype())


def numeric_edges(file: h5py.File) -> None:
    del file["node/edges"]
    file["node"].create_dataset("edges", data=np.zeros((4, 2)))


def long_edge_name(file: h5py.File) -> None:
    del file["node/edges"]
    file["node"].create_dataset("edges", data=np.array([["x" * 5000, "fc"]], object), dtype=h5py.string_dtype())


def no_edges(file: h5py.File) -> None:
    del file["node/edges"]


def no_nodes(file: h5py.File) -> None:
    del file["node/nodes"]


def no_type(file: h5py.File) -> None:
    del file["node/nodes/fc/type"]


def numeric_type(file: h5py.File) -> None:
    del file["node/nodes/fc/type"]
    file["node/nodes/fc"].create_dataset("type", data=3)


def type_not_utf8(file: h5py.File) -> None:
    del file["node/nodes/fc/type"]
    file["node/nodes/fc"].create_dataset("type", data=np.bytes_(b"\xff\xfe"))


def top_is_no_graph(file: h5py.File) -> None:
    del file["node"]
    file.create_group("node").create_dataset("type", data="LIF", dtype=h5py.string_dtype())


def not_nir(file: h5py.File) -> None:
    del file["node"]


HOSTILE: dict[Callable[[h5py.File], None], str] = {
    absurd_size: "more than 2 GiB",
    undersized_bomb: "declares 67108864 bytes, the file holds 0",
    object_array: "neither numbers nor text",
    ragged_array: "neither numbers nor text",
    compound_array: "neither numbers nor text",
    complex_array: "neither numbers nor text",
    no_data: "holds no data",
    soft_link: "is a link to somewhere else",
    external_link: "is a link to somewhere else",
    external_storage: "keeps its data in another file",
    virtual_dataset: "keeps its data in another file",
    endless_subgraphs: f"deeper than {MAX_DEPTH}",
    wide_edges: r"edges of shape \(1, 3\)",
    numeric_edges: "not pairs of node names",
    long_edge_name: "by 5000 characters",
    no_edges: "no nodes or no edges",
    no_nodes: "no nodes or no edges",
    no_type: "'fc' has no type",
    numeric_type: "should be a short text",
    type_not_utf8: "damaged",
    top_is_no_graph: "the top node is a LIF, not a NIRGraph",
    not_nir: "'node' is missing",
}


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda f: f.__name__)
def test_hostile_file_is_refused_with_its_reason(good: Path, spoil: Callable[[h5py.File], None]) -> None:
    with h5py.File(good, "r+") as file:
        spoil(file)
    with pytest.raises(ModelError, match=HOSTILE[spoil]) as caught:
        read_nir(good)
    assert "\n" not in str(caught.value)


def test_text_heap_that_would_send_hdf5_in_circles_is_refused(good: Path) -> None:
    data = bytearray(good.read_bytes())
    start = data.find(b"GCOL")
    assert start > 0
    # The first object's size, just below 2^64: HDF5 1.14 adds its header, wraps around and never returns.
    data[start + 24 : start + 32] = (2**64 - 16).to_bytes(8, "little")
    good.write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        read_nir(good)


def test_text_longer_than_the_file_is_refused_before_it_is_allocated(good: Path) -> None:
    with h5py.File(good) as file:
        offset = file["node/type"].id.get_offset()
    data = bytearray(good.read_bytes())
    data[offset : offset + 4] = (2**32 - 1).to_bytes(4, "little")
    good.write_bytes(data)
    with pytest.raises(ModelError, match="longer than the whole file"):
        read_nir(good)


def test_texts_of_fixed_length_are_read_too(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        del file["node/nodes/lif/type"]
        file["node/nodes/lif"].create_dataset("type", data=np.bytes_(b"LIF"))
    assert "lif" in read_nir(good).nodes


def test_graph_without_nodes_is_refused(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        del file["node/nodes"], file["node/edges"]
        file.create_group("node/nodes")
        file["node"].create_dataset("edges", shape=(0, 2), dtype=h5py.string_dtype())
    with pytest.raises(ModelError, match="no nodes"):
        read_nir(good)
