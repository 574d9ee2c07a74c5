"""No ONNX file, however damaged, does more than raise one ModelError: no traceback, no memory, no file outside."""

from __future__ import annotations

import resource
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import built, exported, written
from onnx_mutants import mutants

from spikeport.converters.read.onnx.read import read_onnx
from spikeport.errors import ModelError

node = helper.make_node
# Far above what the mutants' bases need, far below what their claims ask for.
MOST_BYTES = 300 << 20


def _read_mutants(data: bytes, count: int, folder: Path, seed: int) -> tuple[int, int]:
    """How many damaged files were refused, and how many were still networks."""
    refused, read = 0, 0
    longest = 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _, damaged in mutants(data, count, seed):
        path = folder / "mutant.onnx"
        path.write_bytes(damaged)
        try:
            read_onnx(path)
            read += 1
        except ModelError as error:
            longest = max(longest, len(str(error)))
            refused += 1
    assert longest < 12_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_BYTES
    return refused, read


@pytest.mark.parametrize("base", ["mlp", "conv1d", "resnet", "densenet"])
def test_mutated_files_are_refused_in_one_message_each(base: str, tmp_path: Path) -> None:
    model, x = built(base)
    data = exported(model, x[:1], tmp_path / "a.onnx", dynamo=False).read_bytes()
    refused, read = _read_mutants(data, 50, tmp_path, seed=1)
    assert refused > 35
    assert refused + read == 50


@pytest.mark.slow
@pytest.mark.parametrize("base", ["lenet", "vgg", "mobilenet", "resnet", "densenet"])
def test_many_mutated_files_are_refused_in_one_message_each(base: str, tmp_path: Path) -> None:
    model, x = built(base)
    data = exported(model, x[:1], tmp_path / "a.onnx", dynamo=False).read_bytes()
    assert sum(_read_mutants(data, 1000, tmp_path, seed=2)) == 1000


# ---- external data ---------------------------------------------------------------------------------------------------


def external(folder: Path, location: str, length: str = "32", offset: str = "0") -> Path:
    """A model whose weights lie at ``location``."""
    path = written(folder / "a.onnx", [node("Gemm", ["x", "w"], ["y"])], [1, 4], {"w": np.ones((4, 2), np.float32)})
    model = onnx.load(path)
    (tensor,) = model.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path.write_bytes(model.SerializeToString())
    return path


def test_external_weights_beside_the_model_are_read(tmp_path: Path) -> None:
    values = np.arange(10, dtype=np.float32)
    (tmp_path / "weights.bin").write_bytes(values.tobytes())
    network = read_onnx(external(tmp_path, "weights.bin", offset="8"))
    (weight,) = [n.weight for n in network.nodes.values() if hasattr(n, "weight")]
    np.testing.assert_array_equal(weight, values[2:].reshape(4, 2).T)


@pytest.mark.parametrize(
    "place", ["../w.bin", "/etc/passwd", "C:\\w.bin", "..\\w.bin", "", "link.bin", "inner/../../w.bin"]
)
def test_external_weights_elsewhere_are_not_touched(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(32))
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    with pytest.raises(ModelError, match="the model's own folder"):
        read_onnx(external(folder, place))


@pytest.mark.parametrize(
    ("length", "offset", "reason"),
    [
        ("32", "8", "ends 8 bytes too early"),
        ("31", "0", "needs 32 bytes, its entry says 31"),
        (str(1 << 60), "0", "its entry says"),
        ("32", "-1", "its entry says"),
        ("32", str(1 << 70), "bytes too early"),
        ("many", "0", "no numbers"),
    ],
)
def test_external_entries_that_do_not_fit_are_refused(length: str, offset: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(32))
    with pytest.raises(ModelError, match=reason):
        read_onnx(external(tmp_path, "w.bin", length, offset))


def test_a_short_external_file_is_refused_before_memory_is_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(32))
    path = external(tmp_path, "w.bin", str(1 << 30))
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].dims[:] = [1 << 14, 1 << 14]
    path.write_bytes(model.SerializeToString())
    tracemalloc.start()
    with pytest.raises(ModelError, match="ends 1073741792 bytes too early"):
        read_onnx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24


# ---- claims ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [[1 << 40, 2], [-1, 8], [1] * 40, [3, 3]])
def test_shapes_that_the_data_do_not_have_are_refused(dims: list[int], tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx", [node("Gemm", ["x", "w"], ["y"])], [1, 4], {"w": np.ones((4, 2), np.float32)})
    model = onnx.load(path)
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="initialiser 'w'"):
        read_onnx(path)


def test_an_input_of_billions_of_elements_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.onnx", [node("Relu", ["x"], ["y"])], [1, 3, 1 << 20, 1 << 20])
    with pytest.raises(ModelError, match="each axis needs"):
        read_onnx(path)


def test_layers_that_padding_makes_huge_are_refused(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"], pads=[20_000] * 4), node("Relu", ["c"], ["y"])]
    path = written(tmp_path / "a.onnx", nodes, [1, 1, 1, 1], {"w": np.ones((1, 1, 1, 1), np.float32)})
    with pytest.raises(ModelError, match=r"\(1, 40001, 40001\).* 67108864 at most"):
        read_onnx(path)


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Relu", ["b"], ["y"])]
    with pytest.raises(ModelError, match="reads 'b', which nothing before it gives"):
        read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3]))


def test_computed_constants_are_bounded_in_all(tmp_path: Path) -> None:
    nodes = [node("Concat", [f"c{k}"] * 8, [f"c{k + 1}"], axis=0) for k in range(12)]
    nodes += [node("ReduceSum", ["c12"], ["s"]), node("Add", ["x", "s"], ["y"])]
    with pytest.raises(ModelError, match="would make a constant of the shape"):
        read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3], {"c0": np.ones(64, np.float32)}))


@pytest.mark.parametrize("data", [b"", b"\x08", b"PK\x03\x04 no model", bytes(1000), b"\x89HDF\r\n\x1a\n"])
def test_other_files_are_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"a\.onnx: (not a readable ONNX file|no ONNX model)"):
        read_onnx(tmp_path / "a.onnx")


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be opened"):
        read_onnx(tmp_path / "none.onnx")
