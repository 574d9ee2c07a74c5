"""What torch's exporters write comes in as the network it was: the same values, the user's names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from onnx_models import MODELS, built, exported, written
from torch import Tensor, nn

from spikeport.converters.network import Activation, Linear, Network
from spikeport.converters.passes.fold import fold
from spikeport.converters.passes.infer import check
from spikeport.converters.read.onnx.read import read_onnx
from spikeport.deploy.backends.float import run_float
from spikeport.errors import ModelError

node = helper.make_node


def outputs(network: Network, x: Tensor) -> np.ndarray:
    """What the network gives for a batch, as one step."""
    ((_, values),) = run_float(network, x.numpy()[:, None]).outputs.items()
    return values[:, 0]


def assert_same(network: Network, model: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        expected = model(x).numpy()
    np.testing.assert_allclose(outputs(network, x), expected, atol=1e-6 * np.abs(expected).max() + 1e-6)


# ---- whole networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(MODELS))
def test_networks_of_the_torchscript_exporter_give_torchs_values(name: str, tmp_path: Path) -> None:
    model, x = built(name)
    network = read_onnx(exported(model, x[:1], tmp_path / "a.onnx", dynamo=False))
    check(network)
    assert network.findings == ()
    assert_same(network, model, x)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(MODELS))
def test_networks_of_the_dynamo_exporter_give_torchs_values(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    model, x = built(name)
    network = read_onnx(exported(model, x[:1], tmp_path / "a.onnx", dynamo=True))
    assert network.findings == ()
    assert_same(network, model, x)


def test_a_recorded_file_of_the_dynamo_exporter_gives_torchs_values() -> None:
    """Exporting takes seconds; this file, with its weights beside it, was written by torch 2.13."""
    folder = Path(__file__).parent / "recordings"
    network = read_onnx(folder / "resnet_dynamo.onnx")
    with np.load(folder / "resnet_dynamo.npz") as recorded:
        np.testing.assert_allclose(outputs(network, torch.from_numpy(recorded["x"])), recorded["y"], atol=1e-6)
    assert {"layer1.0.conv1", "layer1.0.relu.relu_1", "layer2.0.down.0", "pool", "fc"} <= set(network.nodes)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_folding_leaves_one_map_between_activations(name: str, tmp_path: Path) -> None:
    model, x = built(name)
    network = fold(read_onnx(exported(model, x[:1], tmp_path / "a.onnx", dynamo=False))).result
    kinds = {type(node).__name__ for node in network.nodes.values()}
    assert kinds <= {"Input", "Output", "Activation", "MaxPool", "Linear", "Conv", "SparseMap"}


@pytest.mark.parametrize("options", [{}, {"dynamic_axes": {"x": {0: "batch"}}, "input_names": ["x"]}])
@pytest.mark.parametrize("opset", [13, 17, 20])
def test_batch_axis_may_be_fixed_or_open(options: dict[str, object], opset: int, tmp_path: Path) -> None:
    model, x = built("lenet")
    path = exported(model, x[:3], tmp_path / "a.onnx", dynamo=False, opset_version=opset, **options)
    network = read_onnx(path)
    assert network.shapes[network.inputs[0]] == (1, 28, 28)
    assert_same(network, model, x)


# ---- names -----------------------------------------------------------------------------------------------------------


def test_layers_are_called_as_the_modules_are(tmp_path: Path) -> None:
    model, x = built("resnet")
    names = set(read_onnx(exported(model, x[:1], tmp_path / "a.onnx", dynamo=False)).nodes)
    assert {"conv1", "layer1.0.conv1", "layer1.0.relu", "layer1.0.relu_1", "layer2.0.down.0", "pool", "fc"} <= names
    assert not [name for name in names if "/" in name or "::" in name]


def test_parts_of_a_concatenation_say_where_they_stand(tmp_path: Path) -> None:
    model, x = built("densenet")
    names = set(read_onnx(exported(model, x[:1], tmp_path / "a.onnx", dynamo=False)).nodes)
    assert {"Concat[0:6]", "Concat[6:10]", "norms.1", "convs.1"} <= names


def test_names_are_unique_where_a_module_is_used_twice(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(torch.relu(self.fc(x)))

    model, x = Twice(), torch.rand(2, 3)
    network = read_onnx(exported(model, x, tmp_path / "a.onnx", dynamo=False))
    assert [name for name, n in network.nodes.items() if isinstance(n, Linear)] == ["fc", "fc#2"]
    assert_same(network, model, x)


# ---- activations in levels -------------------------------------------------------------------------------------------


class RoundDown(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.floor(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class Clipped(nn.Module):
    """QCFS as its authors' code has it: clip, multiply, floor, divide."""

    def __init__(self, ceiling: float | list[float], levels: int) -> None:
        super().__init__()
        self.ceiling, self.levels = nn.Parameter(torch.tensor(ceiling)), levels

    def forward(self, x: Tensor) -> Tensor:
        x = torch.clamp(x / self.ceiling, 0, 1)
        return RoundDown.apply(x * self.levels + 0.5) / self.levels * self.ceiling


class Shifted(Clipped):
    """QCFS as the paper writes it: floor, then clip."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.floor(x * self.levels / self.ceiling + 0.5) / self.levels
        return self.ceiling * torch.clamp(x, 0, 1)


class Rounded(Clipped):
    """The same with a rounding and a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.clamp(torch.round(torch.relu(x) * (self.levels / self.ceiling)), max=self.levels)
        return x * (self.ceiling / self.levels)


@pytest.mark.parametrize("kind", [Clipped, Shifted, Rounded])
@pytest.mark.parametrize(("ceiling", "levels"), [(2.7, 8), (1.0, 4), (0.3, 1)])
def test_qcfs_is_one_activation_with_levels(kind: type[Clipped], ceiling: float, levels: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), kind(ceiling, levels), nn.Linear(40, 4)).eval()
    x = torch.randn(8, 6)
    network = read_onnx(exported(model, x, tmp_path / "a.onnx", dynamo=False))
    assert list(network.nodes) == ["input", "0", "1", "2", "output"]
    found = network.nodes["1"]
    assert isinstance(found, Activation)
    assert found.levels == levels
    assert found.ceiling == pytest.approx(ceiling)
    assert_same(network, model, x)


def test_qcfs_with_a_threshold_per_channel(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(6, 3), Clipped([0.5, 1.0, 2.0], 4), nn.Linear(3, 2)).eval()
    network = read_onnx(exported(model, torch.randn(2, 6), tmp_path / "a.onnx", dynamo=False))
    found = network.nodes["1"]
    assert isinstance(found, Activation)
    assert found.ceiling is not None
    np.testing.assert_allclose(found.ceiling, [0.5, 1.0, 2.0])


def test_a_floor_that_is_no_qcfs_is_refused(tmp_path: Path) -> None:
    class Odd(Clipped):
        def forward(self, x: Tensor) -> Tensor:
            return torch.floor(x * 3 + 0.25) / 3

    model = nn.Sequential(nn.Linear(6, 3), Odd(1.0, 3))
    with pytest.raises(ModelError, match=r"\(Floor, .* is no QCFS activation whose constants match"):
        read_onnx(exported(model, torch.randn(2, 6), tmp_path / "a.onnx", dynamo=False))


# ---- quantized files -------------------------------------------------------------------------------------------------


def qdq(source: str, target: str, scale: str, zero: str) -> list[object]:
    return [
        node("QuantizeLinear", [source, scale, zero], [f"{target}_q"], f"{source}_QuantizeLinear"),
        node("DequantizeLinear", [f"{target}_q", scale, zero], [target]),
    ]


def test_quantized_weights_are_read_exactly_and_said(tmp_path: Path) -> None:
    stored = np.array([[-128, 5, 127], [1, 2, 3]], np.int8)
    scales = np.array([0.5, 0.25], np.float32)
    nodes = [
        node("DequantizeLinear", ["fc.weight", "s", "z"], ["w"], axis=0),
        node("Gemm", ["x", "w"], ["y"], transB=1),
    ]
    constants = {"fc.weight": stored, "s": scales, "z": np.zeros(2, np.int8)}
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3], constants, 13))
    found = network.nodes["fc"]
    assert isinstance(found, Linear)
    np.testing.assert_array_equal(found.weight, stored * scales[:, None])
    assert [f.code for f in network.findings] == ["weights-dequantized"]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_a_quantizer_that_cuts_at_zero_is_an_activation_in_levels(
    relu: bool, kind: type[np.integer], tmp_path: Path
) -> None:
    lowest = np.iinfo(kind).min
    rectifier = [node("Relu", ["m"], ["r"], "act")] if relu else []
    nodes = [node("Mul", ["x", "three"], ["m"]), *rectifier, *qdq("r" if relu else "m", "y", "s", "z")]
    constants = {"three": np.float32(3), "s": np.float32(0.1), "z": kind(lowest)}
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 5], constants, 17))
    (found,) = [n for n in network.nodes.values() if isinstance(n, Activation)]
    assert found.levels == 255
    x = torch.tensor([[-1.0, 0.02, 0.3, 2.0, 90.0]])
    # 0.02 · 3 is 0.6 of a step, so it rounds up to one.
    np.testing.assert_allclose(outputs(network, x), [[0, 0.1, 0.9, 6.0, 25.5]], rtol=1e-6)


def test_a_clip_below_the_top_level_leaves_fewer_levels(tmp_path: Path) -> None:
    nodes = [node("Clip", ["x", "zero", "six"], ["r"]), *qdq("r", "y", "s", "z")]
    constants = {"zero": np.float32(0), "six": np.float32(6), "s": np.float32(0.05), "z": np.uint8(0)}
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 5], constants, 17))
    (found,) = [n for n in network.nodes.values() if isinstance(n, Activation)]
    assert (found.levels, found.ceiling) == (120, pytest.approx(6.0))


def test_quantizing_again_behind_a_max_pool_changes_nothing(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), *qdq("r", "a", "s", "z"), node("MaxPool", ["a"], ["m"], kernel_shape=[2, 2]),
             *qdq("m", "y", "s", "z")]  # fmt: skip
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 1, 3, 3], {"s": np.float32(0.1), "z": np.uint8(0)}, 17))
    assert network.findings == ()
    assert [type(n).__name__ for n in network.nodes.values()] == ["Input", "Activation", "MaxPool", "Output"]


def test_quantizers_that_cannot_be_followed_are_named(tmp_path: Path) -> None:
    nodes = [*qdq("x", "a", "s", "z"), node("Mul", ["a", "s"], ["m"], "gain"), *qdq("m", "y", "s", "middle")]
    constants = {"s": np.float32(0.1), "z": np.uint8(0), "middle": np.uint8(128)}
    findings = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 5], constants, 17)).findings
    assert [(f.code, f.severity, f.where) for f in findings] == [
        ("quantizer-ignored", "warning", "x"),
        ("quantizer-ignored", "warning", "gain"),
    ]
    assert "keeps negative values" in findings[1].message


def test_qonnx_quant_nodes_are_weights_and_levels(tmp_path: Path) -> None:
    quant = {"domain": "qonnx.custom_op.general", "narrow": 0, "rounding_mode": "ROUND"}
    nodes = [
        node("Quant", ["fc.weight", "s", "z", "bits"], ["w"], signed=1, **quant),
        node("MatMul", ["x", "w"], ["m"]),
        node("Relu", ["m"], ["r"], "act"),
        node("Quant", ["r", "s", "z", "bits"], ["y"], signed=0, **quant),
    ]
    weight = np.array([[0.9, -3.0], [0.26, 0.1]], np.float32)
    constants = {"fc.weight": weight, "s": np.float32(0.25), "z": np.float32(0), "bits": np.float32(4)}
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 2], constants, 17))
    found, act = network.nodes["fc"], network.nodes["act"]
    assert isinstance(found, Linear)
    assert isinstance(act, Activation)
    np.testing.assert_array_equal(found.weight, np.array([[1.0, 0.25], [-2.0, 0.0]]))
    assert (act.levels, act.ceiling) == (15, pytest.approx(3.75))


# ---- what stands behind the last layer -------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "ArgMax"])
def test_the_end_of_a_classifier_is_left_out_and_said(last: str, tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node(last, ["r"], ["e"], "the end", axis=1), node("Cast", ["e"], ["y"], to=1)]
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3]))
    assert [(f.code, f.where) for f in network.findings] == [("end-dropped", "the end")]
    np.testing.assert_array_equal(outputs(network, torch.tensor([[-1.0, 2.0, 3.0]])), [[0, 2, 3]])


def test_classes_of_every_pixel_are_said_to_be_many(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("ArgMax", ["r"], ["y"], axis=1)]
    (found,) = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3, 4, 5])).findings
    assert found.severity == "warning"
    assert "along axis 1" in found.message
    assert "here there are 20" in found.advice


def test_the_largest_of_all_samples_is_no_class(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("ArgMax", ["r"], ["y"], "most")]
    with pytest.raises(ModelError, match=r"'most' .* compares samples with each other \(axis 0 of 2\)"):
        read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3]))
