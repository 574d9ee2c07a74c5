"""Sigma-delta networks in floats and on the chip: what they compute, how they are stored, what is refused."""

from dataclasses import replace
from pathlib import Path

import nir
import numpy as np
import pytest
from ann_nets import branched, images, plain

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Activation, Edge, Embed, Linear, Network, Permute, Reshape, SigmaDelta
from spikeport.converters.passes.convert.levels import counted, empty, tops
from spikeport.converters.passes.convert.melt import melted
from spikeport.converters.passes.convert.sigma_delta import threshold_for, to_sigma_delta
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.nir import read_nir
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import compile_network
from spikeport.deploy.conversion.observe import answers
from spikeport.errors import DataError, UnsupportedOnChipError

ONE = np.ones((), np.float32)
ENCODE = "changes:gain=255,offset=0.5"


def made(network: Network, threshold: float = 0.0) -> Network:
    """A conventional network with sigma-delta units of one threshold."""
    ready = melted(network)
    names = [n for n, node in ready.nodes.items() if isinstance(node, Activation)]
    converted = to_sigma_delta(ready, dict.fromkeys(names, ONE), dict.fromkeys(names, threshold), 1e-3).result
    return replace(converted, encode=ENCODE, decode="membrane-last")


def sequence(count: int, steps: int) -> np.ndarray:
    """Inputs (count, steps, 2, 6, 6) in 255ths, of which a fifth changes from step to step."""
    rng = np.random.default_rng(0)
    frames = [images(count)]
    for _ in range(steps - 1):
        frames.append(np.where(rng.random(frames[0].shape) < 0.2, images(count, int(rng.integers(99))), frames[-1]))
    return np.rint(np.stack(frames, 1) * 255) / np.float32(255)


def changes(frames: np.ndarray) -> np.ndarray:
    """What the encoder sends of ``frames`` (B, T, ...)."""
    return np.diff(frames, axis=1, prepend=np.float32(0))


# ---- floats ---------------------------------------------------------------------------------------------------------


def test_a_unit_computes_its_docstring() -> None:
    unit = SigmaDelta(np.array(0.5, np.float32), np.array(-0.25, np.float32))
    network = sequential([("unit", unit)], (1,), 1.0, "nir")
    received = np.array([1.0, 0.25, 0.125, -2.0, 0.5, 1.5], np.float32)
    run = run_float(network, received[None, :, None], record=["unit"])
    assert run.membranes["unit"].ravel().tolist() == [0.75, 1.0, 1.125, 0.0, 0.0, 1.125]
    assert run.spikes["unit"].ravel().tolist() == [0.75, 0.0, 0.0, -0.75, 0.0, 1.125]


@pytest.mark.parametrize("network", [plain(), branched()])
def test_every_frame_gets_the_conventional_answer(network: Network) -> None:
    frames = sequence(3, 5)
    output = run_float(made(network), changes(frames)).outputs["output"]
    wanted = np.stack([answers(network, frames[:, t]) for t in range(5)], 1)
    assert np.allclose(output, wanted, atol=1e-4)


def test_no_activation_is_ever_off_by_its_threshold() -> None:
    network = made(plain(), threshold=0.2)
    run = run_float(network, changes(sequence(4, 6)), record=["relu1"])
    held_back = run.membranes["relu1"] - run.spikes["relu1"].cumsum(1)
    assert np.abs(held_back).max() < 0.2
    assert np.abs(held_back).max() > 0.1


def test_a_still_image_is_sent_once() -> None:
    network = made(plain())
    still = np.repeat(sequence(2, 1), 4, axis=1)
    sent = run_float(network, changes(still), record=["relu1", "relu2"]).spikes
    assert all(not train[:, 1:].any() and train[:, 0].any() for train in sent.values())


def test_the_threshold_loses_what_was_allowed() -> None:
    values = np.random.default_rng(0).gamma(0.5, 1.0, (4000, 3)).astype(np.float32)
    levels = counted(empty((3,), tops(values)), values)
    threshold = threshold_for(levels, ONE, 0.05)
    lost = np.sqrt(np.mean(np.where(values < threshold, values, 0) ** 2) / np.mean(values**2))
    assert 0.04 < lost <= 0.05
    assert threshold_for(levels, ONE, 0.0) == 0.0


# ---- files ----------------------------------------------------------------------------------------------------------


def test_nir_brings_it_back_exactly_with_its_encoding(tmp_path: Path) -> None:
    network, path = made(plain(), 0.05), tmp_path / "sd.nir"
    findings = write_nir(network, path)
    again = read_nir(path)
    frames = changes(sequence(2, 3))
    assert list(again.nodes) == list(network.nodes)
    assert np.array_equal(run_float(again, frames).outputs["output"], run_float(network, frames).outputs["output"])
    assert (again.encode, again.decode, again.dialect) == (network.encode, network.decode, network.dialect)
    assert [f.code for f in findings] == ["nir-extension"]


def test_other_programs_refuse_the_file_rather_than_misread_it(tmp_path: Path) -> None:
    write_nir(made(plain()), tmp_path / "sd.nir")
    with pytest.raises(AssertionError):
        nir.read(tmp_path / "sd.nir")


def test_reordering_comes_back_too(tmp_path: Path) -> None:
    layers = [("r", Reshape((2, 3))), ("p", Permute((1, 0))), ("e", Embed((4, 4), (1, 0)))]
    network = sequential([*layers, ("lif", leaky(0.9))], (6,), 1e-3)
    write_nir(network, tmp_path / "r.nir")
    assert dict(read_nir(tmp_path / "r.nir").nodes)["p"] == Permute((1, 0))
    x = np.random.default_rng(0).normal(0, 1, (2, 4, 6)).astype(np.float32)
    again = run_float(read_nir(tmp_path / "r.nir"), x).outputs["output"]
    assert np.array_equal(again, run_float(network, x).outputs["output"])


# ---- chip -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [plain(), branched()])
def test_the_chip_gives_nearly_the_same_outputs(network: Network) -> None:
    converted, frames = made(network, 0.01), sequence(8, 4)
    deployment = compile_network(converted, "loihi2", frames)
    run = deployment.run(frames)
    wanted = run_float(converted, changes(frames)).outputs["output"]
    assert np.sqrt(np.mean((run.output - wanted) ** 2) / np.mean(wanted**2)) < 0.03
    said = {f.code for f in (*run.findings, *deployment.findings)}
    assert not said & {"overflow", "state-overflow", "weights-rounded", "bias-rounded", "low-agreement"}


@pytest.mark.parametrize("network", [plain(), branched()])
def test_biases_come_with_the_first_frame_and_start_no_wave(network: Network) -> None:
    converted, frames = made(network, 0.01), sequence(8, 1)
    deployment = compile_network(converted, "loihi2", frames)
    run = deployment.run(frames, record="all")
    trained = run_float(converted, changes(frames), record=["relu1", "relu2"]).spikes
    for name in ("relu1", "relu2"):
        assert np.mean((run.spikes[name] != 0) == (trained[name] != 0)) > 0.97
        every_step = run.activity.populations[name].spikes.sum()
        assert every_step == np.count_nonzero(run.spikes[name])
    assert run.activity.populations["bias~"].spikes.sum() == len(frames)


def test_weights_keep_their_bits_through_depth() -> None:
    rng = np.random.default_rng(0)
    layers = []
    for k in range(8):
        weight = rng.normal(0, 1.5 / np.sqrt(24), (24, 24)).astype(np.float32)
        layers += [(f"fc{k}", Linear(weight)), (f"relu{k}", Activation())]
    network = sequential([*layers, ("out", Linear(rng.normal(0, 0.3, (5, 24)).astype(np.float32)))], (24,), 1.0, "nir")
    data = rng.uniform(0, 1, (8, 1, 24)).astype(np.float32)
    deployment = compile_network(made(network), "loihi2", data)
    # Even weights up to 254 of normal draws reach 3.1 sigma: 2 / sqrt(12) / (254 / 3.1) is 0.7 %, and twice that where
    # the shared power of two leaves the upper half of the range unused.
    assert max(error.relative_error for error in deployment.quantization.synapses.values()) < 0.014
    peaks = [error.u_peak for error in deployment.quantization.populations.values()]
    assert max(peaks) <= 0.5


def test_outputs_show_their_bias_through_the_offset() -> None:
    deployment = compile_network(made(plain()), "loihi2", sequence(4, 2))
    (output,) = deployment.network.outputs
    population = deployment.network.populations[output]
    assert population.model == "sigma"
    assert population.offset.any()


def test_loihi1_has_no_units_and_says_what_to_do() -> None:
    with pytest.raises(UnsupportedOnChipError, match=r"relu1: .*loihi1 has no 'sigma_delta' unit.*--to spiking"):
        compile_network(made(plain()), "loihi1", sequence(2, 1))


@pytest.mark.parametrize("encoder", ["graded:levels=255", "current:steps=8", "values:gain=255"])
def test_values_do_not_go_where_changes_are_added_up(encoder: str) -> None:
    with pytest.raises(DataError, match=r"(adds up changes.*--encode changes|values and changes belong)"):
        compile_network(replace(made(plain()), encode=encoder), "loihi2", sequence(2, 1))


def test_changes_do_not_go_into_a_network_of_neurons() -> None:
    network = replace(sequential([("lif", leaky(0.9))], (3,), 1e-3), encode=ENCODE)
    with pytest.raises(DataError, match="this network takes graded"):
        compile_network(network, "loihi2", np.ones((1, 2, 3)))


def test_an_input_unit_makes_changes_on_the_chip() -> None:
    unit = SigmaDelta(np.array(0.0, np.float32), sums=False, rectified=False)
    layers = [("delta", unit), ("fc", Linear(np.ones((1, 2), np.float32))), ("read", READ)]
    network = replace(sequential(layers, (2,), 1e-3, "nir"), encode="graded:levels=100")
    values = np.array([[[0.5, 0.25], [0.5, 0.0], [1.0, 0.0]]], np.float32)
    run = compile_network(network, "loihi2", values).run(values)
    assert np.allclose(run.output.ravel(), [0.75, 0.5, 1.0], atol=0.01)


PLAIN = SigmaDelta(np.array(0.1, np.float32))
READ = SigmaDelta(np.zeros((), np.float32), rectified=False, sends_changes=False)


def chain(*units: SigmaDelta, weight: float = 1.0, bias: float | None = None) -> Network:
    added = None if bias is None else np.full(2, bias, np.float32)
    layers = []
    for k, unit in enumerate(units):
        layers += [(f"fc{k}", Linear(np.full((2, 2), weight, np.float32), added if k else None)), (f"unit{k}", unit)]
    return sequential(layers, (2,), 1e-3, "nir")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (chain(PLAIN, READ, bias=0.5), r"unit1: a bias in the weights before a sigma-delta unit"),
        (chain(PLAIN), r"unit0: its changes go to output, which does not add them up"),
        (chain(PLAIN, READ, PLAIN, READ), r"unit1: a unit that sends no changes is read out alone"),
        (chain(replace(READ, rectified=True)), r"unit0: a sigma-delta unit that is read out can neither rectify"),
        (chain(PLAIN, replace(PLAIN, sums=False), READ), r"unit1: a sigma-delta unit that receives values"),
    ],
)
def test_what_no_chip_unit_does_is_refused(network: Network, reason: str) -> None:
    with pytest.raises(UnsupportedOnChipError, match=reason):
        compile_network(network, "loihi2", np.ones((1, 2, 2)))


def test_units_do_not_mix_with_neurons() -> None:
    layers = [("lif", leaky(0.9)), ("fc", Linear(np.ones((2, 2), np.float32))), ("unit", PLAIN), ("read", READ)]
    network = sequential(layers, (2,), 1e-3)
    with pytest.raises(UnsupportedOnChipError, match=r"unit: a sigma-delta unit hears lif"):
        compile_network(network, "loihi2", np.ones((1, 2, 2)))


def test_a_unit_in_a_loop_is_refused() -> None:
    straight = chain(PLAIN, READ)
    nodes = {**straight.nodes, "back": Linear(np.eye(2, dtype=np.float32))}
    looped = replace(straight, nodes=nodes, edges=(*straight.edges, Edge("unit0", "back", 1), Edge("back", "unit0")))
    with pytest.raises(UnsupportedOnChipError, match=r"unit0: a sigma-delta unit in a loop"):
        compile_network(infer(looped).result, "loihi2", np.ones((1, 2, 2)))
