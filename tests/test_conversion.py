"""`spikeport.convert` and its command: a conventional network and data in, a network that compiles out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from ann_nets import POOL, branched, images, plain
from onnx import TensorProto, helper, numpy_helper

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Activation, Edge, Network
from spikeport.converters.passes.convert.max_pool import Treatment
from spikeport.converters.passes.convert.operations import operations
from spikeport.deploy.cli.main import main
from spikeport.deploy.conversion.convert import convert
from spikeport.deploy.conversion.curve import Exam, Point, best_reading, curve, enough, tried_steps
from spikeport.deploy.conversion.observe import answers, observed
from spikeport.deploy.conversion.options import ConvertOptions
from spikeport.errors import DataError, ModelError

DATA = images(60)
QUICK = ConvertOptions(steps=32)


def classes(network: Network, data: np.ndarray) -> np.ndarray:
    return answers(network, data).argmax(1)


# ---- the whole way --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [plain(), branched(), plain(middle=POOL)])
def test_rates_give_the_same_classes_after_enough_steps(network: Network) -> None:
    conversion = convert(network, DATA, options=ConvertOptions(steps=96, points=10))
    assert conversion.measure == "same class"
    assert conversion.points[-1].score >= 0.9
    assert conversion.from_start[-1].error < conversion.from_start[3].error / 2
    assert conversion.steps is not None
    assert conversion.network.encode == f"current:steps={conversion.steps},low=0,high={_high()},start=0.5,clamp=true"


def _high() -> str:
    return repr(float(DATA.max()))


def test_a_converted_network_compiles_with_the_encoding_it_carries(tmp_path: Path) -> None:
    conversion = convert(plain(), DATA, options=QUICK)
    spikeport.write(conversion.network, tmp_path / "model.nir")
    network = spikeport.read(tmp_path / "model.nir")
    assert isinstance(network, Network)
    assert (network.encode, network.decode) == (conversion.network.encode, conversion.network.decode)
    for target in ("loihi1", "loihi2"):
        deployment = spikeport.compile(network, target, DATA[:8])
        chip = deployment.codec.decode(deployment.run(DATA[:30]).output).classes
        assert np.mean(chip == classes(plain(), DATA[:30])) >= 0.8


def test_sigma_delta_takes_one_step() -> None:
    conversion = convert(branched(), DATA, "sigma-delta", options=ConvertOptions(points=5))
    assert (conversion.steps, conversion.network.decode) == (1, "membrane-last")
    assert conversion.points == (Point(1, pytest.approx(1.0, abs=0.05), pytest.approx(0.02, abs=0.03)),)


def test_sigma_delta_takes_sequences() -> None:
    frames = np.stack([DATA[:20], DATA[20:40], DATA[40:60]], 1)
    conversion = convert(plain(), frames, "sigma-delta", options=ConvertOptions(points=10))
    assert conversion.network.encode.startswith("changes:steps=0,gain=255")
    assert conversion.points[0].score >= 0.9


def test_scores_are_accuracy_where_labels_are_known() -> None:
    right = classes(plain(), DATA).astype(np.int64)
    conversion = convert(plain(), DATA, labels=right, options=QUICK)
    assert (conversion.measure, conversion.original) == ("accuracy", 1.0)


def test_scores_come_from_the_test_data_where_there_are_any() -> None:
    other = images(33, seed=5)
    conversion = convert(plain(), DATA, test=other, options=QUICK)
    assert conversion.samples == 33


def test_levels_of_an_activation_trained_in_steps_are_its_ceiling() -> None:
    network = plain()
    nodes = {**network.nodes, "relu2": Activation(np.array(1.5, np.float32), 8)}
    conversion = convert(replace(network, nodes=nodes), DATA, options=QUICK)
    assert conversion.layers["relu2"].highest_level == 1.5
    assert conversion.layers["relu2"].lowest_level == 1.5


def test_many_levels_are_no_steps_to_wait_for() -> None:
    network = plain()
    nodes = {**network.nodes, "relu2": Activation(np.array(100.0, np.float32), 255)}
    conversion = convert(replace(network, nodes=nodes), DATA, options=QUICK)
    assert conversion.layers["relu2"].highest_level < 20


def test_a_percentile_that_was_asked_for_is_used() -> None:
    low = convert(plain(), DATA, options=replace(QUICK, percentile=50.0, per="layer")).layers["relu1"]
    high = convert(plain(), DATA, options=replace(QUICK, percentile=100.0, per="layer")).layers["relu1"]
    assert low.lowest_level == low.highest_level
    assert low.highest_level < high.highest_level / 2


def test_auto_keeps_the_maximum_where_the_average_costs_too_much() -> None:
    strict = convert(plain(middle=POOL), DATA, options=replace(QUICK, points=0.0)).max_pools
    loose = convert(plain(middle=POOL), DATA, options=replace(QUICK, points=100.0)).max_pools
    assert strict is not None
    assert loose is not None
    assert (strict.treatment, loose.treatment) == ("exact", "average")
    assert strict.exact == 1.0 > strict.average


def test_falling_short_is_said_with_the_numbers() -> None:
    conversion = convert(branched(), DATA, options=ConvertOptions(steps=2, points=0.0))
    assert conversion.steps is None
    assert "conversion-short" in {f.code for f in conversion.findings}
    assert conversion.network.encode.startswith("current:steps=2,")


@pytest.mark.parametrize(("treatment", "named"), [("average", True), ("exact", False)])
def test_falling_short_with_averages_names_the_maximum_first(treatment: Treatment, named: bool) -> None:
    options = ConvertOptions(steps=1, points=0.0, max_pool=treatment)
    findings = convert(plain(middle=POOL), DATA, options=options).findings
    (short,) = (f for f in findings if f.code == "conversion-short")
    assert short.advice.startswith("Try --max-pool exact first.") == named


def test_a_warm_up_is_not_read() -> None:
    conversion = convert(plain(), DATA, options=replace(QUICK, warm_up=8))
    assert conversion.points[0].steps == 12
    assert conversion.from_start[0].steps == 1
    assert conversion.network.decode == "membrane:start=8"


def test_the_warm_up_that_needs_fewest_steps_is_taken() -> None:
    right, wrong = [1.0, 0.0], [0.0, 30.0]
    outputs = np.array([[wrong, wrong, *[right] * 30]], np.float32)
    exam = Exam(np.zeros((1, 1), np.float32), np.array([right], np.float32), None)
    assert best_reading(exam, outputs, 1.0) == 2
    assert best_reading(exam, outputs[:, 2:], 1.0) == 0


# ---- parts ----------------------------------------------------------------------------------------------------------


def test_steps_tried_grow_by_halves() -> None:
    assert tried_steps(20) == (1, 2, 3, 4, 6, 8, 12, 16, 20)


def test_enough_means_from_there_on() -> None:
    points = tuple(Point(t, s, 0.0) for t, s in ((1, 0.5), (2, 0.99), (4, 0.9), (8, 0.98), (16, 0.99)))
    assert (enough(points, 0.97), enough(points, 0.995)) == (8, None)


def test_an_error_of_huge_outputs_is_a_number() -> None:
    answers = np.array([[1e30, 0.0]], np.float32)
    assert Exam(answers, answers, None).error(answers * np.float32(0.5)) == pytest.approx(0.5)


def test_the_curve_reads_means() -> None:
    outputs = np.array([[[1.0, 0.0], [0.0, 3.0], [0.0, 0.0]]], np.float32)
    exam = Exam(np.zeros((1, 1), np.float32), np.array([[0.0, 1.0]], np.float32), None)
    assert [p.score for p in curve(exam, outputs)] == [0.0, 1.0, 1.0]


def test_work_is_counted_by_synapses() -> None:
    network = plain()
    levels = observed(network, DATA)
    units = {n: np.array(1e9, np.float32) for n in ("relu1", "relu2")}
    done = operations(network, levels, units, {"input": 0.0, "relu1": 0.0, "relu2": 1e9})
    # conv2 reads the averages of 2x2 neurons each: its kernels grow to 6x6 with stride 2.
    assert done.multiply_accumulates == 4 * 2 * 16 * 16 + 6 * 4 * 14 * 14 + 54 * 5
    assert done.neurons == 4 * 36 + 54
    # A pixel of an inner 2x2 block is read by 3x3 windows of six channels, one at a corner by 2x2.
    reach = 6 * np.outer([2, 2, 3, 3, 2, 2], [2, 2, 3, 3, 2, 2]).ravel()
    active = (levels["relu1"].active / len(DATA)).reshape(4, 36)
    assert done.message_synops == pytest.approx(4 * 2 * 256 + float((active * reach).sum()), rel=1e-6)


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_a_network_without_activations_is_refused() -> None:
    network = plain()
    nodes = {n: node for n, node in network.nodes.items() if not isinstance(node, Activation)}
    edges = [("input", "conv1"), ("conv1", "norm1"), ("norm1", "pool"), ("pool", "conv2"), ("conv2", "flat")]
    bare = replace(network, nodes=nodes, edges=tuple(Edge(*e) for e in (*edges, ("flat", "fc"), ("fc", "output"))))
    with pytest.raises(ModelError, match="no activation"):
        convert(bare, DATA)


def test_a_spiking_network_is_refused() -> None:
    with pytest.raises(ModelError, match=r"relu1: the network has neurons already"):
        convert(convert(plain(), DATA, options=QUICK).network, DATA)


def test_rates_of_sequences_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match=r"do not change in time.*--to sigma-delta"):
        convert(plain(), DATA[:, None])


def test_test_data_of_another_rank_are_named_as_such() -> None:
    with pytest.raises(DataError, match=r"the test data have shape \(\d+, 1, "):
        convert(plain(), DATA, test=DATA[:, None])


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"percentile": 101.0}, {"per": "pixel"}, {"warm_up": 64}, {"error": -1.0}, {"levels": 0}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match=next(iter(wrong))):
        ConvertOptions(**wrong)  # type: ignore[arg-type]


# ---- the command ----------------------------------------------------------------------------------------------------


def onnx_file(path: Path) -> Path:
    """input 6 -> 12, relu -> 4."""
    rng = np.random.default_rng(0)
    weights = {"w1": rng.normal(0, 0.6, (6, 12)), "b1": rng.normal(0, 0.1, 12), "w2": rng.normal(0, 0.6, (12, 4))}
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="fc1"),
        helper.make_node("Relu", ["h"], ["a"], name="relu"),
        helper.make_node("MatMul", ["a", "w2"], ["y"], name="fc2"),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, size]) for n, size in (("x", 6), ("y", 4))]
    held = [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], held)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """An ONNX file and calibration data for it."""
    data = tmp_path / "calib.npz"
    np.savez(data, input=np.random.default_rng(1).uniform(0, 1, (50, 6)).astype(np.float32))
    return onnx_file(tmp_path / "ann.onnx"), data


@pytest.mark.parametrize("to", ["spiking", "sigma-delta"])
def test_convert_compile_run(files: tuple[Path, Path], to: str, tmp_path: Path) -> None:
    model, data = files
    nir, spk, record = tmp_path / "m.nir", tmp_path / "m.spk", tmp_path / "m.json"
    arguments = ["convert", str(model), "--to", to, "--data", str(data), "-o", str(nir), "--json", str(record)]
    assert main([*arguments, "--points", "10"]) == 0
    assert main(["compile", str(nir), "--target", "loihi2", "--data", str(data), "-o", str(spk)]) == 0
    assert main(["run", str(spk), "--data", str(data)]) == 0
    assert main(["run", str(nir), "--backend", "float", "--data", str(data)]) == 0
    said = json.loads(record.read_text())
    assert said["to"] == to
    assert said["points"][-1]["score"] > 0.85
    assert {code["code"] for code in said["operations"]["codes"]} == {"conventional", "spiking", "sigma-delta"}


def test_convert_refuses_to_write_over_its_model(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    model, data = files
    assert main(["convert", str(model), "--to", "spiking", "--data", str(data), "-o", str(model)]) == 2
    assert "one of the command's own inputs" in capsys.readouterr().err


def test_convert_says_what_a_spiking_model_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, data = tmp_path / "snn.nir", tmp_path / "d.npz"
    spikeport.write(sequential([("lif", leaky(0.9))], (3,), 1e-3), model)
    np.savez(data, input=np.zeros((2, 3), np.float32))
    assert main(["convert", str(model), "--to", "spiking", "--data", str(data), "-o", str(tmp_path / "o.nir")]) == 2
    assert "neurons already; compile it" in capsys.readouterr().err
