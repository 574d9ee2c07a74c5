"""lava-dl's .net files: what each layer becomes, in integers that are checked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from net_files import CUBA, FAST, SDNN, Layer, conv, dense, plain_input, write_net
from random_networks import one_core

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Sparse
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.converters.read.netx.read import read_netx
from spikeport.converters.read.netx.weights import Format, fit
from spikeport.deploy.backends.lava.compare import compare
from spikeport.deploy.backends.lava.compatibility import installed
from spikeport.deploy.backends.simulator.reference import Simulation, simulate
from spikeport.deploy.cli.main import main
from spikeport.deploy.compile import codec_for, compile_network
from spikeport.errors import ModelError, UnsupportedNodeError

SUM = None
"""No neuron group: a layer that adds up what arrives."""


@pytest.fixture
def net(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Reads a file of the given layers."""
    return lambda *layers: read_netx(write_net(tmp_path / "model.net", layers))


def run(network: ChipNetwork, data: Any) -> Simulation:
    """Every spike and state for one sample (T, *shape)."""
    names = [n for n, p in network.populations.items() if p.model != "input"]
    (source,) = network.inputs
    return simulate(network, {source: np.asarray(data)[None]}, one_core(network), names, names)


def stored(network: ChipNetwork, name: str) -> np.ndarray:
    """Weights times their exponent: what the synapses compute."""
    s = network.synapses[name]
    kind = s.connectivity
    weights = kind.matrix.toarray() if isinstance(kind, Sparse) else kind.weight
    return weights * 2.0**s.weight_exp


def test_a_dense_layer_has_the_files_weights_and_registers(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(3), dense([[2, -4, 6], [0, 10, -8]], bias=np.array([6.0, -2.0])))
    p = network.populations["1 dense"]
    assert (p.model, int(p.du), int(p.dv), int(p.vth)) == ("lif", 1023, 128, 80)
    assert (p.bias_mant << p.bias_exp).tolist() == [6 * 64, -2 * 64]
    assert stored(network, "0 input->1 dense").tolist() == [[2, -4, 6], [0, 10, -8]]
    assert (network.inputs, network.outputs, network.depth) == (("0 input",), ("1 dense",), 1)


def test_loihi_is_the_old_name_of_cuba_and_weights_may_lie_flat(net) -> None:  # type: ignore[no-untyped-def]
    old = {**CUBA, "type": "LOIHI", "wgtExp": 0, "theta": 5120, "scaleRho": 1.0, "tauRho": 0.5}
    layer = {**dense([[2, 4]], neuron=old), "weight": np.array([2.0, 4.0], np.float32), "shape": np.array([1, 1, 1])}
    assert stored(net(plain_input(2), layer), "0 input->1 dense").tolist() == [[2, 4]]


def test_a_file_without_input_layer_takes_its_size_from_the_weights(net) -> None:  # type: ignore[no-untyped-def]
    network = net(dense([[2, 4, 6]]))
    assert network.populations[network.inputs[0]].shape == (3,)
    assert network.encode == ""


def test_a_first_convolution_without_strides_tells_its_input(net) -> None:  # type: ignore[no-untyped-def]
    layer = conv(np.ones((4, 1, 3, 2)) * 2, (4, 5, 7), padding=np.array([1, 0]), dilation=np.array([1, 2]), groups=2)
    network = net(layer)
    assert network.populations["input"].shape == (2, 5, 9)
    assert [f.code for f in network.findings if f.where == "0 conv"] == ["input-inferred"]


@pytest.mark.parametrize("size", [5, 6])
def test_the_user_names_an_input_that_strides_leave_open(tmp_path: Path, size: int) -> None:
    layer = conv(np.ones((1, 2, 3, 3)) * 2, (1, 2, 2), stride=np.array([2, 2]))
    network = read_netx(write_net(tmp_path / "a.net", [layer]), (2, size, 5))
    assert network.populations["input"].shape == (2, size, 5)


@pytest.mark.parametrize(
    ("layers", "named", "reason"),
    [
        ([plain_input(2, 5, 5), conv(np.ones((1, 2, 3, 3)), (1, 3, 3))], (2, 5, 6), "says that its shape is"),
        ([conv(np.ones((1, 2, 3, 3)), (1, 3, 3))], (2, 9, 9), r"kernel, stride and padding give \(1, 7, 7\)"),
        ([conv(np.ones((1, 2, 3, 3)), (1, 3, 3))], (2, 5), r"\(C, H, W\) or \(n,\)"),
    ],
)
def test_a_named_input_that_does_not_fit_is_refused(
    tmp_path: Path, layers: list[Any], named: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        read_netx(write_net(tmp_path / "a.net", layers), named)


def test_decays_may_differ_by_channel(net) -> None:  # type: ignore[no-untyped-def]
    neuron = {**CUBA, "vDecay": np.array([1, 2])}
    network = net(plain_input(1, 3, 3), conv(np.ones((2, 1, 2, 2)) * 2, (2, 2, 2), neuron))
    assert network.populations["1 conv"].dv.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_a_convolution_is_torchs_cross_correlation(net) -> None:  # type: ignore[no-untyped-def]
    kernel = np.arange(9).reshape(1, 1, 3, 3, 1) * 2
    network = net(plain_input(1, 4, 4), conv(kernel, (1, 2, 2), {**FAST, "vThMant": 131071}))
    image = np.zeros((1, 1, 4, 4), int)
    image[0, 0, 0, 1] = 1  # the kernel's second weight for the first window, its first for the second
    assert run(network, image).v["1 conv"][0, 0].tolist() == [2 * 64, 0, 0, 0]


def test_a_recurrent_layer_hears_itself_one_step_later(net) -> None:  # type: ignore[no-untyped-def]
    layer = {**dense([[200], [0]], FAST), "type": "dense_rec", "weight_rec": np.array([[0.0, 200.0], [200.0, 0.0]])}
    spikes = run(net(plain_input(1), layer), [[1], [0], [0], [0]]).spikes["1 dense_rec"][0]
    assert spikes.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]]


def test_a_layer_without_neurons_adds_up_for_ever(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(2), dense([[2, 4]], SUM))
    assert run(network, [[1, 0], [0, 1], [1, 1]]).v["1 dense"][0, :, 0].tolist() == [2 * 64, 6 * 64, 12 * 64]
    assert network.decode == "membrane-last"


def test_flattening_numbers_neurons_by_channel_row_and_column(net) -> None:  # type: ignore[no-untyped-def]
    flatten = {"type": "flatten", "shape": np.array([8, 1, 1])}
    network = net(plain_input(2, 2, 2), flatten, dense([[2, 4, 6, 8, 10, 12, 14, 16]], SUM))
    image = np.zeros((1, 2, 2, 2), int)
    image[0, 1, 0, 1] = 1
    assert run(network, image).v["2 dense"][0, 0, 0] == 12 * 64


def pool(shape: tuple[int, ...], kernel: int, weight: float = 2) -> Layer:
    sizes = {key: np.array([kernel, kernel]) for key in ("kernelSize", "stride")}
    same = {"padding": np.array([0, 0]), "dilation": np.array([1, 1])}
    weights = np.full((1, 1, kernel, kernel), weight, np.float32)
    return {"type": "pool", "shape": np.array(shape), **sizes, **same, "weight": weights, "neuron": FAST}


def test_a_pool_sums_windows_of_each_channel(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(2, 4, 4), pool((2, 2, 2), 2))
    image = np.arange(32).reshape(1, 2, 4, 4) % 3 == 0
    sums = image.reshape(2, 2, 2, 2, 2).sum((2, 4)).reshape(-1)
    assert isinstance(network.synapses["0 input->1 pool"].connectivity, Conv2d)
    assert run(network, image.astype(int)).u["1 pool"][0, 0].tolist() == (sums * 128).tolist()


def test_a_pool_over_an_odd_size_sees_zeros_at_the_end(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(1, 3, 5), pool((1, 2, 3), 2))
    assert run(network, np.ones((1, 1, 3, 5), int)).u["1 pool"][0, 0].tolist() == [x * 128 for x in (4, 4, 2, 2, 2, 1)]


def test_an_average_reads_mean_spikes_of_groups(net) -> None:  # type: ignore[no-untyped-def]
    average = {"type": "average", "shape": np.array([2, 1, 1])}
    network = net(plain_input(4), dense(np.eye(4) * 200, FAST), average)
    deployment = compile_network(network, "loihi2")
    output = deployment.run(np.array([[[1, 0, 1, 1], [0, 0, 1, 0]]])).output
    assert output[0].reshape(2, 2).tolist() == [[0.5, 1.0], [0.0, 0.5]]


def test_a_layers_delays_hold_its_spikes_back_on_their_way(net) -> None:  # type: ignore[no-untyped-def]
    first = dense(np.eye(2) * 200, FAST, delay=np.array([0.0, 2.0]))
    network = net(plain_input(2), first, dense([[2, 4]], {**FAST, "vThMant": 131071}))
    seen = run(network, [[1, 1], [0, 0], [0, 0], [0, 0]])
    assert seen.v["2 dense"][0, :, 0].tolist() == [2 * 64, 0, 4 * 64, 0]
    assert network.synapses["1 dense->2 dense"].delay.tolist() == [0, 2]


def test_delays_as_many_as_inputs_delay_the_inputs(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(3), dense([[2, 4, 6]], delay=np.array([0, 1, 5])))
    assert network.synapses["0 input->1 dense"].delay.tolist() == [0, 1, 5]


def test_the_last_layers_delays_are_taken_before_it(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(1), dense([[200], [200], [200]], FAST, delay=np.array([0, 2, 1])))
    spikes = run(network, [[1], [0], [0], [0]]).spikes["1 dense"][0]
    assert spikes.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_the_last_layers_delays_are_left_out_aloud_where_it_has_a_bias(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(1), dense([[2], [4]], bias=np.array([2.0, 2.0]), delay=np.array([0, 2])))
    (finding,) = [f for f in network.findings if f.severity == "warning"]
    assert (finding.code, finding.where) == ("output-delay-dropped", "1 dense")


def test_a_field_that_nobody_knows_is_named(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(1), dense([[2]], {**CUBA, "noise": 3}), {**dense([[2]]), "dropout": 0.5})
    said = [(f.where, f.message) for f in network.findings if f.code == "field-ignored"]
    assert [where for where, _ in said] == ["1 dense", "2 dense"]
    assert said[0][1].endswith("here: neuron/noise.")


def test_a_bias_gives_no_layer_a_head_start(net) -> None:  # type: ignore[no-untyped-def]
    slow = {**FAST, "vDecay": 0}
    bias = np.array([-30.0])
    network = net(plain_input(1), dense([[2]], slow, bias=bias), dense([[2]], slow, bias=bias))
    states = run(network, [[0], [0], [0]]).v
    for name in ("1 dense", "2 dense"):
        assert states[name][0, :, 0].tolist() == [-30 * 64, -60 * 64, -90 * 64]


def test_a_normalisation_that_divides_moves_the_threshold(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(1), dense([[2]], {**CUBA, "weight_exp": np.array([2.0])}))
    p = network.populations["1 dense"]
    assert (int(p.vth), p.scale) == (320, 4 * 4096)
    assert [f.code for f in network.findings if f.severity == "warning"] == ["norm-exponent"]


def test_a_normalisation_that_multiplies_moves_weights_and_bias(net) -> None:  # type: ignore[no-untyped-def]
    neuron = {**CUBA, "weight_exp": np.array([-1.0])}
    network = net(plain_input(1), dense([[2]], neuron, bias=np.array([3.0])))
    p = network.populations["1 dense"]
    assert (int(p.bias_mant[()] if p.bias_mant.ndim == 0 else p.bias_mant[0]) << int(p.bias_exp)) == 6 * 64
    assert stored(network, "0 input->1 dense").tolist() == [[4]]


def test_input_neurons_are_driven_by_weight_times_value_plus_bias(net) -> None:  # type: ignore[no-untyped-def]
    layer = {**plain_input(1, 2, 2), "neuron": {**FAST, "vThMant": 131071}, "weight": 40.0, "bias": np.array([36.0])}
    network = net(layer, conv(np.ones((1, 1, 1, 1)) * 2, (1, 2, 2)))
    assert network.encode == "values:gain=40,offset=36"
    payloads = codec_for(network).encode(np.array([[[[[0.0, 0.5], [-1.0, -0.97]]]]]), (1, 2, 2)).spikes
    assert payloads.reshape(-1).tolist() == [36, 56, -4, -2]
    assert run(network, payloads[0]).v["0 input"][0, 0].tolist() == [36 * 64, 56 * 64, -4 * 64, -2 * 64]


def test_sigma_delta_inputs_send_changes(net) -> None:  # type: ignore[no-untyped-def]
    layer = {**plain_input(2), "neuron": SDNN}
    network = net(layer, dense([[2, 4]], SDNN), dense([[2]], {**SDNN, "sigma_output": True}))
    payloads = codec_for(network).encode(np.array([[[0.0, 1.0], [0.01, 1.0], [0.5, 0.0]]]), (2,)).spikes
    assert payloads[0].tolist() == [[0, 64 * 64], [0, 0], [32 * 64, -64 * 64]]
    assert {p.model for p in network.populations.values()} == {"input", "sigma_delta", "sigma"}


def test_a_sigma_outputs_bias_is_added_to_what_is_read(net) -> None:  # type: ignore[no-untyped-def]
    output = dense([[64]], {**SDNN, "sigma_output": True}, bias=np.array([32.0]))
    deployment = compile_network(net({**plain_input(1), "neuron": SDNN}, output), "loihi2")
    assert deployment.run(np.array([[[1.0], [1.0]]])).output.reshape(-1).tolist() == [1.5, 1.5]


def test_messages_go_straight_into_units_where_no_input_layer_encodes_them(net) -> None:  # type: ignore[no-untyped-def]
    network = net(dense([[2, 4]], SDNN))
    assert network.encode == "values"
    assert network.synapses["input->0 dense"].graded


def fitted(weights: np.ndarray, exponent: int) -> Format | None:
    try:
        return fit(RawLayer(1, "dense", {}), "weight", weights, exponent)
    except ModelError:
        return None


@given(st.lists(st.integers(-300, 300), min_size=1, max_size=6), st.integers(0, 7), st.integers(-2, 2))
def test_weights_are_stored_exactly_or_refused(values: list[int], zeros: int, exponent: int) -> None:
    weights = np.array([values]) << zeros
    if (form := fitted(weights, exponent)) is None:
        scaled = (weights * 2.0 ** (exponent - e) for e in range(-8, 8))
        assert not any((w % 2 == 0).all() and w.min() >= -256 and w.max() <= 254 for w in scaled)
        return
    kept = form.of(weights)
    assert np.array_equal(kept * 2.0**form.weight_exp, weights * 2.0**exponent)
    low, high = {"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-255, 0)}[form.sign_mode]
    assert low <= kept.min() <= kept.max() <= high
    assert not (kept % (1 << (8 - form.num_weight_bits + (form.sign_mode == "mixed")))).any()


def test_weights_of_few_bits_are_stored_in_few_bits() -> None:
    form = fit(RawLayer(1, "dense", {}), "weight", np.array([[-10, 0, 10, 4]]))
    assert (form.num_weight_bits, form.weight_exp) == (4, -4)


REFUSED: dict[str, tuple[list[Layer], type[ModelError], str]] = {
    "convT": (
        [plain_input(4), {"type": "convT"}],
        UnsupportedNodeError,
        "layer '1 convT' cannot be read: a transposed",
    ),
    "unpool": ([plain_input(4), {"type": "unpool"}], UnsupportedNodeError, "unpooling"),
    "concat": ([plain_input(4), {"type": "concat"}], UnsupportedNodeError, "nothing says what it joins"),
    "unknown": ([plain_input(4), {"type": "gru"}], UnsupportedNodeError, "spikeport reads input, dense"),
    "resonator": ([dense([[2]], {**CUBA, "type": "RF_PHASE"})], UnsupportedNodeError, "its state is complex"),
    "adaptive": ([dense([[2]], {**CUBA, "type": "ALIF"})], UnsupportedNodeError, "its threshold adapts"),
    "adrf": ([dense([[2]], {**CUBA, "type": "ADRF_PHASE"})], UnsupportedNodeError, "drops the adaptation silently"),
    "graded": ([dense([[2]], {**CUBA, "gradedSpike": True})], UnsupportedNodeError, "gradedSpike"),
    "refractory": ([dense([[2]], {**CUBA, "refDelay": 3})], UnsupportedNodeError, "refDelay = 3"),
    "sigmoid": (
        [dense([[2]], {**SDNN, "activation": "sigmoid"})],
        UnsupportedNodeError,
        "'sigmoid'; the chip has relu",
    ),
    "scaled units": ([dense([[2]], {**SDNN, "weight_exp": 1.0})], UnsupportedNodeError, "MeanOnlyBatchNorm"),
    "complex": (
        [{**dense([[2]]), "weight": {"real": np.ones((1, 1)), "imag": np.ones((1, 1))}}],
        UnsupportedNodeError,
        "complex weights",
    ),
    "fractions": ([dense([[2, 0.5]])], ModelError, "weight: 1 of 2 values are no integers .the first is 0.5"),
    "not finite": ([dense([[2, np.nan]])], ModelError, "no integers"),
    "too wide": ([dense([[1, -300]])], ModelError, "weight -300 .. 1 times 2\\^0 fits no format"),
    "sizes": ([plain_input(3), dense([[2, 4]])], ModelError, "has weights for 2 inputs, the layer before it gives"),
    "shape": ([plain_input(1, 4, 4), conv(np.ones((1, 1, 3, 3)), (1, 3, 3))], ModelError, r"give \(1, 2, 2\)"),
    "flat image": ([plain_input(16), conv(np.ones((1, 1, 3, 3)), (1, 2, 2))], ModelError, "needs an image"),
    "first conv": (
        [conv(np.ones((1, 2, 3, 3)), (1, 2, 2), stride=np.array([2, 3]))],
        ModelError,
        "inputs of 2x5x6 to 2x6x8 all give its shape; name the input's shape .--input-shape",
    ),
    "first conv, padding alone": (
        [conv(np.ones((1, 1, 3, 3)), (1, 2, 2), padding=np.array([3, 3]))],
        ModelError,
        "no input of up to",
    ),
    "first conv, flat weights": ([conv(np.ones(9), (1, 2, 2))], ModelError, r"should be \(K, C / groups, kH, kW\)"),
    "first pool": ([{"type": "pool", "shape": np.array([1, 2, 2])}], ModelError, "nothing says how large its input is"),
    "two inputs": ([plain_input(3), plain_input(3)], ModelError, "in the middle"),
    "no weight": ([{k: v for k, v in dense([[2]]).items() if k != "weight"}], ModelError, "has no weight; it has"),
    "only input": ([plain_input(3)], ModelError, "no layer but its input"),
    "decay": ([dense([[2]], {**CUBA, "vDecay": 5000})], ModelError, "must lie in 0 .. 4096"),
    "decays": ([dense([[2], [2]], {**CUBA, "vDecay": np.arange(3)})], ModelError, "3 values for 2 neurons"),
    "exponent": ([dense([[2]], {**CUBA, "wgtExp": 10**9})], ModelError, "wgtExp = 1000000000 must lie in -8 .. 8"),
    "threshold": ([dense([[2]], {**CUBA, "vThMant": -1})], ModelError, "vThMant = -1 is negative"),
    "bias": ([dense([[2]], bias=np.array([70001.0]))], ModelError, "bias 4480064 .. 4480064 fits no mantissa"),
    "delay": ([dense([[2]], delay=np.array([-1]))], ModelError, "delay = -1 is negative"),
    "behind sigma": ([dense([[2]], {**SDNN, "sigma_output": True}), dense([[2]])], ModelError, "only read out"),
    "huge": ([plain_input(2**14, 2**14)], ModelError, "at most 4194304 in a layer"),
    "negative stride": (
        [plain_input(1, 4, 4), conv(np.ones((1, 1, 1, 1)), (1, 4, 4), stride=np.array([-1, 1]))],
        ModelError,
        "stride = .-1, 1. should be one or two numbers, 1 or more",
    ),
    "groups": (
        [plain_input(2, 4, 4), conv(np.ones((1, 1, 1, 1)), (1, 4, 4), groups=0)],
        ModelError,
        r"in 0 group\(s\) do not fit 2 channels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_form_on_the_chip_is_refused_with_the_layer_and_the_reason(net, case: str) -> None:  # type: ignore[no-untyped-def]
    layers, error, message = REFUSED[case]
    with pytest.raises(error, match=message) as caught:
        net(*layers)
    assert type(caught.value) is error
    assert str(caught.value).startswith("model.net: ")


def test_a_program_that_needs_payloads_does_not_fit_a_chip_without(net) -> None:  # type: ignore[no-untyped-def]
    network = net({**plain_input(2), "neuron": SDNN}, dense([[2, 4]], SDNN))
    with pytest.raises(Exception, match="loihi1 has no neuron model sigma_delta"):
        compile_network(network, "loihi1")


def test_plain_networks_compile_for_both_chips(net) -> None:  # type: ignore[no-untyped-def]
    network = net(plain_input(2), dense([[2, 4]], bias=np.array([2.0])), dense([[6]]))
    for chip in ("loihi1", "loihi2"):
        assert isinstance(compile_network(network, chip).network.synapses["1 dense->2 dense"].connectivity, Dense)


@pytest.mark.skipif(not installed(), reason="needs lava-nc; `spikeport doctor` prints how to install it")
@pytest.mark.parametrize("neuron", [CUBA, SDNN], ids=["cuba", "sdnn"])
def test_lava_computes_the_same(net, neuron: Layer) -> None:  # type: ignore[no-untyped-def]
    from spikeport.deploy.backends.lava.in_process import run_in_process

    rng = np.random.default_rng(0)
    kernel, matrix = rng.integers(-60, 60, (3, 2, 2, 2)) * 2, rng.integers(-60, 60, (4, 27)) * 2
    image = {**plain_input(2, 4, 4), "neuron": neuron, "weight": 50.0, "bias": 30.0}
    flatten = {"type": "flatten", "shape": np.array([27, 1, 1])}
    last = dense(rng.integers(-60, 60, (2, 4)) * 2, {**neuron, "sigma_output": True} if neuron is SDNN else None)
    layers = [image, conv(kernel, (3, 3, 3), neuron, bias=np.array([-8.0, 4.0, 6.0])), flatten]
    network = net(*layers, dense(matrix, neuron, bias=rng.integers(-9, 9, 4) * 2.0, delay=np.arange(4.0)), last)
    payloads = codec_for(network).encode(rng.random((2, 8, 2, 4, 4)), (2, 4, 4)).spikes
    comparison = compare(network, {network.inputs[0]: payloads}, one_core(network), run_in_process)
    assert comparison.first is None
    assert sum(comparison.spikes.values()) > 200


def test_the_command_line_compiles_and_runs_a_net_file(tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    write_net(
        tmp_path / "model.net", [{**plain_input(2), "neuron": SDNN}, dense([[64, 64]], {**SDNN, "sigma_output": 1})]
    )
    np.savez("data.npz", input=np.array([[[0.5, 0.25], [0.5, 0.5]]]))
    assert main(["compile", "model.net", "--target", "loihi2", "--data", "data.npz", "-o", "model.spk"]) == 0
    assert "nothing is quantized, calibration data are not used" in " ".join(capsys.readouterr().err.split())
    assert main(["run", "model.spk", "--data", "data.npz", "--save", "out.npz"]) == 0
    assert np.load("out.npz")["output"].reshape(-1).tolist() == [0.75, 1.0]
    assert main(["run", "model.net", "--backend", "float", "--data", "data.npz"]) == 2
    assert "are the chip's own integers" in " ".join(capsys.readouterr().err.split())


def test_the_command_line_takes_the_inputs_shape(tmp_path: Path, capsys, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    write_net(tmp_path / "model.net", [conv(np.ones((1, 2, 3, 3)) * 2, (1, 2, 2), stride=np.array([2, 2]))])
    assert main(["compile", "model.net", "--target", "loihi2", "-o", "a.spk", "--input-shape", "2x6x5"]) == 0
    assert main(["inspect", "model.net", "--input-shape", "2x6x5"]) == 0
    capsys.readouterr()
    for wrong, reason in (
        ("2x6", "(C, H, W) or (n,)"),
        ("2,6,5", "sizes with an x between"),
        ("2x9x9", "give (1, 4, 4)"),
    ):
        assert main(["inspect", "model.net", "--input-shape", wrong]) == 2
        assert reason in capsys.readouterr().err
    assert main(["inspect", "a.spk", "--input-shape", "2x6x5"]) == 2
    assert "--input-shape belong to a model file" in capsys.readouterr().err
