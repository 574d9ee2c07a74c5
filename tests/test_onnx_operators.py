"""Each ONNX operator that is read gives what ONNX's reference gives; the others are refused by name, all at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from onnx_models import written

from spikeport.converters.network import Conv, Embed, Flatten, Network, Permute, Scale
from spikeport.converters.read.onnx.read import read_onnx
from spikeport.deploy.backends.float import run_float
from spikeport.errors import ModelError, UnsupportedNodeError

node = helper.make_node
RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    ((_, values),) = run_float(network, x[:, None]).outputs.items()
    return values[:, 0]


def assert_as_reference(path: Path, shape: Sequence[int], x: np.ndarray | None = None) -> Network:
    """Read the file; its float execution equals ONNX's reference evaluator, shape included."""
    x = normal(1, *shape) if x is None else x
    (expected,) = ReferenceEvaluator(onnx.load(path)).run(None, {"x": x})
    network = read_onnx(path)
    actual = outputs(network, x)
    assert actual.shape == np.shape(expected)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    return network


# ---- what is exact ---------------------------------------------------------------------------------------------------

IMAGE, VECTOR = (2, 6, 5), (4,)
AWAY = {"far": ints(-1), "zero": np.float32(0), "six": np.float32(0.6)}

EXACT: dict[str, tuple[tuple[int, ...], list[Any], dict[str, Any]]] = {
    "Gemm": (VECTOR, [node("Gemm", ["x", "w", "b"], ["y"], alpha=0.5, beta=2.0)],
             {"w": normal(4, 3), "b": normal(1, 3)}),
    "Gemm, transposed": (VECTOR, [node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
                         {"w": normal(3, 4), "b": np.float32(2)}),
    "MatMul and Add": ((3, 4), [node("MatMul", ["x", "w"], ["m"]), node("Add", ["b", "m"], ["y"])],
                       {"w": normal(4, 2), "b": normal(2)}),
    "MatMul with a vector": ((3, 4), [node("MatMul", ["x", "w"], ["y"])], {"w": normal(4)}),
    "Conv, unequal ends": (IMAGE, [node("Conv", ["x", "w"], ["y"], pads=[0, 2, 1, 0])], {"w": normal(3, 2, 3, 2)}),
    "Conv, SAME_UPPER": (IMAGE, [node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER", strides=[2, 2])],
                         {"w": normal(3, 2, 3, 3)}),
    "Conv, SAME_LOWER": (IMAGE, [node("Conv", ["x", "w"], ["y"], auto_pad="SAME_LOWER")], {"w": normal(3, 2, 2, 2)}),
    "Conv, groups and gaps": (IMAGE, [node("Conv", ["x", "w", "b"], ["y"], group=2, dilations=[2, 1])],
                              {"w": normal(4, 1, 2, 3), "b": normal(4)}),
    "Conv 1-d": ((2, 9), [node("Conv", ["x", "w"], ["y"], pads=[1, 1], strides=[2])], {"w": normal(3, 2, 3)}),
    "BatchNormalization": (IMAGE, [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"], epsilon=0.1)],
                           {"s": normal(2), "b": normal(2), "m": normal(2), "v": normal(2) ** 2}),
    "BatchNormalization of vectors": (VECTOR, [node("BatchNormalization", ["x", "s", "b", "m", "v"], ["y"])],
                                      {"s": normal(4), "b": normal(4), "m": normal(4), "v": normal(4) ** 2}),
    "Add a constant": (IMAGE, [node("Add", ["x", "b"], ["y"])], {"b": normal(1, 2, 1, 1)}),
    "Add twice": (VECTOR, [node("Add", ["x", "x"], ["a"]), node("Add", ["a", "x"], ["y"])], {}),
    "Sum": (VECTOR, [node("Relu", ["x"], ["r"]), node("Neg", ["x"], ["n"]), node("Sum", ["x", "r", "n"], ["y"])], {}),
    "Sub": (VECTOR, [node("Sub", ["x", "b"], ["a"]), node("Sub", ["b", "a"], ["y"])], {"b": normal(4)}),
    "Sub of signals": (VECTOR, [node("Relu", ["x"], ["r"]), node("Sub", ["x", "r"], ["y"])], {}),
    "Mul and Div": (IMAGE, [node("Mul", ["w", "x"], ["a"]), node("Div", ["a", "d"], ["y"])],
                    {"w": normal(2, 1, 5), "d": np.float32(3)}),
    "Clip": (VECTOR, [node("Clip", ["x", "zero", "six"], ["y"])], AWAY),
    "Clip without an upper end": (VECTOR, [node("Clip", ["x", "zero"], ["y"])], AWAY),
    "Max and Min": (VECTOR, [node("Max", ["zero", "x"], ["m"]), node("Min", ["m", "six"], ["y"])], AWAY),
    "Relu and Clip": (VECTOR, [node("Relu", ["x"], ["r"]), node("Clip", ["r", "low", "six"], ["y"])],
                      {**AWAY, "low": np.float32(-1)}),
    "Concat": (IMAGE, [node("Relu", ["x"], ["r"]), node("Concat", ["x", "r", "x"], ["y"], axis=-2)], {}),
    "Concat read twice": (IMAGE, [node("Relu", ["x"], ["r"]), node("Concat", ["r", "x"], ["c"], axis=1),
                                  node("Relu", ["c"], ["d"]), node("Add", ["c", "d"], ["y"])], {}),
    "Flatten": (IMAGE, [node("Flatten", ["x"], ["y"])], {}),
    "Reshape": (IMAGE, [node("Reshape", ["x", "s"], ["y"])], {"s": ints(0, 3, -1, 5)}),
    "Reshape by computed sizes": (IMAGE, [node("Shape", ["x"], ["h"]), node("Gather", ["h", "i"], ["g"]),
                                          node("Concat", ["g", "far"], ["s"], axis=0),
                                          node("Reshape", ["x", "s"], ["y"])], {**AWAY, "i": ints(0)}),
    "Transpose": (IMAGE, [node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])], {}),
    "Transpose of single elements": ((1, 4, 1), [node("Transpose", ["x"], ["y"], perm=[0, 2, 1, 3])], {}),
    "Squeeze": ((3, 1, 4), [node("Squeeze", ["x", "a"], ["y"])], {"a": ints(-2)}),
    "Unsqueeze": (VECTOR, [node("Unsqueeze", ["x", "a"], ["y"])], {"a": ints(1, 3)}),
    "Pad": (IMAGE, [node("Pad", ["x", "p"], ["y"])], {"p": ints(0, 1, 0, 2, 0, 0, 3, 0)}),
    "Pad of named axes": (IMAGE, [node("Pad", ["x", "p", "", "a"], ["y"])], {"p": ints(1, 2), "a": ints(-1)}),
    "GlobalAveragePool": (IMAGE, [node("GlobalAveragePool", ["x"], ["y"])], {}),
    "GlobalAveragePool 1-d": ((3, 7), [node("GlobalAveragePool", ["x"], ["y"])], {}),
    "ReduceMean": (IMAGE, [node("ReduceMean", ["x", "a"], ["y"], keepdims=0)], {"a": ints(2, 3)}),
    "ReduceMean of one axis": (IMAGE, [node("ReduceMean", ["x", "a"], ["y"])], {"a": ints(-1)}),
    "ReduceMean of the first axes": (IMAGE, [node("ReduceMean", ["x", "a"], ["y"], keepdims=0)], {"a": ints(1, 2)}),
    "ReduceSum": (IMAGE, [node("ReduceSum", ["x", "a"], ["y"], keepdims=1)], {"a": ints(1)}),
    "Identity, Dropout, Cast": (VECTOR, [node("Identity", ["x"], ["i"]), node("Dropout", ["i"], ["d"]),
                                         node("Cast", ["d"], ["y"], to=TensorProto.FLOAT)], {}),
    "sizes of some axes": (VECTOR, [node("Shape", ["w"], ["h"], start=-2, end=-1), node("Cast", ["h"], ["c"], to=1),
                                    node("Mul", ["x", "c"], ["y"])], {"w": normal(3, 4)}),
    "remainders like C's": (VECTOR, [node("Mod", ["i", "j"], ["m"], fmod=1), node("Cast", ["m"], ["c"], to=1),
                                     node("Add", ["x", "c"], ["y"])], {"i": ints(-7, 7, -5, 5), "j": ints(2, 3, 4, 5)}),
    "computed weights": (VECTOR, [node("Transpose", ["w"], ["t"]), node("Mul", ["t", "two"], ["u"]),
                                  node("ConstantOfShape", ["n"], ["o"]), node("Add", ["u", "o"], ["v"]),
                                  node("MatMul", ["x", "v"], ["y"])],
                         {"w": normal(3, 4), "two": np.float32(2), "n": ints(4, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(EXACT))
def test_operator_gives_what_the_reference_gives(case: str, tmp_path: Path) -> None:
    shape, nodes, constants = EXACT[case]
    assert_as_reference(written(tmp_path / "a.onnx", nodes, [1, *shape], constants, 18), shape)


PIXELS = st.lists(st.integers(1, 9), min_size=1, max_size=2)


@given(PIXELS, st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("op", ["AveragePool", "MaxPool"])
def test_pools_are_exact_or_refused(op: str, tmp_path: Path, pixels: list[int], data: st.DataObject) -> None:
    """Against onnxruntime, in all small sizes; the reference evaluator does not know them all."""
    runtime = pytest.importorskip("onnxruntime")
    draw, axes = data.draw, len(pixels)

    def each(low: int, high: int, n: int = axes) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(n)]

    settings_of = {"kernel_shape": each(1, 4), "strides": each(1, 3), "pads": each(0, 2, 2 * axes),
                   "ceil_mode": draw(st.integers(0, 1))}  # fmt: skip
    if op == "AveragePool":
        settings_of["count_include_pad"] = draw(st.integers(0, 1))
    nodes = [node("Relu", ["x"], ["r"]), node(op, ["r"], ["y"], **settings_of)]
    path = written(tmp_path / "a.onnx", nodes, [1, 2, *pixels], opset=draw(st.sampled_from([13, 19])))
    x = normal(1, 2, *pixels)
    try:
        actual = outputs(read_onnx(path), x)
    except ModelError:
        return
    runtime.set_default_logger_severity(4)
    try:
        expected = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    except Exception:
        assume(False)  # sizes that the runtime refuses
    np.testing.assert_allclose(actual, expected, atol=1e-5)


# ---- the form that comes out -----------------------------------------------------------------------------------------


def test_padding_that_leaves_pixels_over_needs_no_node(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["y"], pads=[0, 0, 1, 1], strides=[2, 2])]
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 2, 7, 7], {"w": normal(3, 2, 3, 3)}))
    assert [type(n) for n in network.nodes.values()].count(Embed) == 0


def test_merging_axes_is_a_flatten_and_moving_single_ones_no_permute(tmp_path: Path) -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 2, 1, 3]), node("Reshape", ["t", "s"], ["y"])]
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 1, 4, 3], {"s": ints(-1, 4, 3)}))
    kinds = {type(n) for n in network.nodes.values()}
    assert Permute not in kinds
    assert Flatten in kinds


def test_a_sum_gets_a_node_only_where_several_read_it(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], ["r"]), node("Add", ["x", "r"], ["a"], "sum"), node("Relu", ["a"], ["b"]),
             node("Add", ["a", "b"], ["y"])]  # fmt: skip
    shared = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3]))
    alone = read_onnx(written(tmp_path / "b.onnx", [*nodes[:2], node("Relu", ["a"], ["y"])], [1, 3]))
    assert isinstance(shared.nodes["sum"], Scale)
    assert "sum" not in alone.nodes
    assert {e.source for e in alone.into("y")} == {"x", "r"} or len(alone.edges) == 4


def test_bias_behind_a_matrix_is_its_own(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"], "conv"), node("Add", ["c", "b"], ["y"])]
    constants = {"w": normal(3, 2, 1, 1), "b": normal(3, 1, 1)}
    network = read_onnx(written(tmp_path / "a.onnx", nodes, [1, 2, 4, 4], constants))
    (conv,) = [n for n in network.nodes.values() if isinstance(n, Conv)]
    np.testing.assert_array_equal(conv.bias, constants["b"].reshape(3))


# ---- what is refused -------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[tuple[int, ...], list[Any], dict[str, Any], str]] = {
    "LeakyRelu": (VECTOR, [node("LeakyRelu", ["x"], ["y"], "act")], {},
                  r"'act' \(LeakyRelu, gives 'y'\) is not read. Train with ReLU"),
    "ConvTranspose": (IMAGE, [node("ConvTranspose", ["x", "w"], ["y"], "up")], {"w": normal(2, 3, 2, 2)},
                      r"'up' \(ConvTranspose, gives 'y'\) is not read. Use a convolution"),
    "a product": (VECTOR, [node("Mul", ["x", "x"], ["y"])], {}, "multiplies two signals"),
    "a lower end": (VECTOR, [node("Clip", ["x", "low", "six"], ["y"])], {**AWAY, "low": np.float32(-1)},
                    "clips below at -1"),
    "softmax in the middle": (VECTOR, [node("Softmax", ["x"], ["s"]), node("Gemm", ["s", "w"], ["y"])],
                              {"w": normal(4, 2)}, "in the middle"),
    "moved samples": (VECTOR, [node("Transpose", ["x"], ["y"], perm=[1, 0])], {}, "must stay the first"),
    "joined samples": (VECTOR, [node("Concat", ["x", "x"], ["y"], axis=0)], {}, "joins samples"),
    "lost samples": (IMAGE, [node("Reshape", ["x", "s"], ["y"])], {"s": ints(-1, 5)}, "must stay the samples'"),
    "a crop": (IMAGE, [node("Pad", ["x", "p"], ["y"])], {"p": ints(0, 0, 0, -1, 0, 0, 0, 0)}, "pads or crops"),
    "reflection": (IMAGE, [node("Pad", ["x", "p"], ["y"], mode="reflect")], {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)},
                   "pads by reflect"),
    "training": (VECTOR, [node("BatchNormalization", ["x", "b", "b", "b", "b"], ["y"], training_mode=1)],
                 {"b": np.ones(4, np.float32)}, r"training mode. Export the model in evaluation mode: model.eval"),
    "NaN": (VECTOR, [node("Gemm", ["x", "w"], ["y"], "fc")], {"w": np.full((4, 2), np.nan, np.float32)},
            "'fc' .*: 8 of its 8 weights are NaN or infinite"),
    "unequal sums": (IMAGE, [node("GlobalAveragePool", ["x"], ["g"]), node("Add", ["x", "g"], ["y"])], {},
                     "different shapes"),
    "3-d": ((2, 4, 4, 4), [node("Conv", ["x", "w"], ["y"])], {"w": normal(3, 2, 2, 2, 2)}, "1-d and 2-d are read"),
    "places of maxima": (IMAGE, [node("MaxPool", ["x"], ["y", "i"], kernel_shape=[2, 2])], {}, "places of its maxima"),
    "maxima that hang over": ((1, 5, 5), [node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2],
                                               ceil_mode=1)], {}, "zeros there could win"),
    "a huge constant": (VECTOR, [node("ConstantOfShape", ["n"], ["c"]), node("Add", ["x", "c"], ["y"])],
                        {"n": ints(1 << 40, 1 << 20)}, "would make a constant of the shape"),
    "steps that change on the way": (
        VECTOR, [node("Relu", ["x"], ["r"]), node("QuantizeLinear", ["r", "s"], ["q"]),
                 node("DequantizeLinear", ["q", "t"], ["y"], "back")],
        {"s": np.float32(0.1), "t": np.float32(0.2)}, "'back' .* another scale or zero point than the QuantizeLinear"),
    "steps along no axis": (
        VECTOR, [node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=7),
                 node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=7)],
        {"s": np.ones(4, np.float32), "z": np.zeros(4, np.uint8)}, "4 steps along axis 7 of 2"),
    "bits that are no number": (
        VECTOR, [node("Quant", ["x", "s", "z", "b"], ["y"], "quant", domain="qonnx.custom_op.general")],
        {"s": np.float32(1), "z": np.float32(0), "b": np.float32("nan")}, r"'quant' .* quantizes to \[nan\] bits"),
    "a zero point between numbers": (
        VECTOR, [node("Quant", ["x", "s", "z", "b"], ["y"], "quant", domain="qonnx.custom_op.general")],
        {"s": np.float32(1), "z": np.float32(0.5), "b": np.float32(8)}, "'quant' .* zero point is no whole number"),
    "an unknown domain": (VECTOR, [node("Magic", ["x"], ["y"], "own", domain="com.example")], {},
                          r"'own' \(com.example::Magic, gives 'y'\) is not read. docs/onnx.md lists what is"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_refusal_names_the_node_and_says_why(case: str, tmp_path: Path) -> None:
    shape, nodes, constants, reason = REFUSED[case]
    with pytest.raises(ModelError, match=reason):
        read_onnx(written(tmp_path / "a.onnx", nodes, [1, *shape], constants))


def test_all_refused_nodes_are_listed_at_once(tmp_path: Path) -> None:
    nodes = [node("Tanh", ["x"], ["a"], "first"), node("Relu", ["a"], ["b"]), node("Sigmoid", ["b"], ["c"], "second"),
             node("Clip", ["x", "low"], ["d"], "third"), node("Add", ["c", "d"], ["y"])]  # fmt: skip
    with pytest.raises(UnsupportedNodeError, match="3 nodes cannot be read") as refused:
        read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3], {"low": np.float32(1)}))
    assert [name for name in ("first", "second", "third") if f"'{name}'" in str(refused.value)] == [
        "first", "second", "third",
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [[1, 3, "height", 4], [4], []])
def test_an_input_needs_a_batch_axis_and_fixed_sizes(shape: list[Any], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"input 'x' has the shape .*|no common first axis"):
        read_onnx(written(tmp_path / "a.onnx", [node("Relu", ["x"], ["y"])], shape))


def test_an_old_opset_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"opset 12; 13 is the oldest .* opset_version=13"):
        read_onnx(written(tmp_path / "a.onnx", [node("Relu", ["x"], ["y"])], [1, 3], opset=12))


def test_what_leads_nowhere_is_not_looked_at(tmp_path: Path) -> None:
    nodes = [node("Tanh", ["x"], ["unused"]), node("Relu", ["x"], ["y"])]
    assert list(read_onnx(written(tmp_path / "a.onnx", nodes, [1, 3])).nodes) == ["x", "y", "y#2"]
