"""The chip's integers back as a float network: exact but for rounding, 24 bits and what findings name."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from test_any_network import network, random_network
from test_compare import SPECIAL, data, f, small

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.chip_network import Dense
from spikeport.converters.network import Conv, Delay, Flatten, Input, Linear, Network, Neuron, Node, Output, Pool
from spikeport.converters.write.chip import dequantized
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.cli.main import main
from spikeport.deploy.compare.assemble import assemble
from spikeport.deploy.compare.circuit_float import execute
from spikeport.deploy.compare.effects import ALL
from spikeport.deploy.compare.pair import pair
from spikeport.deploy.dequantized import float_network
from spikeport.errors import SpikeportError

WORDS = ["nir", "snntorch:reset=zero,reset_delay=0", "sinabs:dt=1e-3", "norse", "rockpool", "spikingjelly", "spyx"]


def compiled(net: Network, given: np.ndarray, target: str = "loihi2", **options: object) -> spikeport.Deployment:
    return spikeport.compile(net, target, given, options=spikeport.CompileOptions(scales=2, **options))  # type: ignore[arg-type]


def codes(findings: tuple[object, ...]) -> set[str]:
    return {finding.code for finding in findings}  # type: ignore[attr-defined]


def spikes_in_between(net: Network, deployment: spikeport.Deployment, given: np.ndarray) -> dict[str, np.ndarray]:
    """Spikes of the chip without rounding and 24 bits, on the input's clock."""
    program = assemble(pair(net, deployment), ALL - {"rounding", "overflow"})
    trace = execute(program, {"in": given.reshape(*given.shape[:2], -1).astype(float)})
    return {n: trace.spikes[n][:, program.cells[n].start :][:, : given.shape[1]] for n in net.neurons}


@pytest.mark.parametrize("seed", range(15))
def test_in_floats_it_spikes_as_the_chip_without_rounding(seed: int) -> None:
    given, net = data(2, seed, (2, 5, 6)), random_network(seed)
    try:
        deployment = compiled(net, given, ("loihi1", "loihi2")[seed % 2])
    except SpikeportError:
        return
    made = dequantized(deployment.network)
    truth = spikes_in_between(net, deployment, given)
    run = spikeport.run_float(made.result, given, record=net.neurons).spikes
    differing = sum(int((run[n].reshape(truth[n].shape) != truth[n]).sum()) for n in net.neurons)
    said = codes(made.findings) & {"early-spikes-left-out", "reset-register-left-out"}
    assert differing == 0 or (said and differing < 10)


@cache
def special(kind: str) -> tuple[Network, spikeport.Deployment, dict[str, np.ndarray]]:
    net, given = small(neuron=SPECIAL[kind]), data()
    deployment = compiled(net, given)
    return net, deployment, spikes_in_between(net, deployment, given)


@pytest.mark.parametrize("kind", [k for k in SPECIAL if k != "carried reset"])
@pytest.mark.parametrize("words", WORDS)
def test_every_neuron_model_in_every_frameworks_words(kind: str, words: str, tmp_path: Path) -> None:
    net, deployment, truth = special(kind)
    made = dequantized(deployment.network, words)
    spikeport.write(made.result, tmp_path / "quantized.nir")
    again = spikeport.read(tmp_path / "quantized.nir")
    assert isinstance(again, Network)
    assert again.dialect.split(":")[0] == words.split(":")[0]
    for version in (made.result, again):
        run = spikeport.run_float(version, data(), record=net.neurons).spikes
        for name in net.neurons:
            assert np.array_equal(run[name], truth[name])
    assert truth["hidden"].sum() > 50


def test_weights_are_the_chips_in_trained_units() -> None:
    net, given = small(), data()
    deployment = compiled(net, given, split="never")
    weight = dequantized(deployment.network).result.nodes["fc"].weight  # type: ignore[union-attr]
    group, scale = deployment.network.synapses["fc"], deployment.network.populations["hidden"].scale
    whole = group.connectivity.weight * 2.0**group.weight_exp * 64 / scale  # type: ignore[union-attr]
    assert np.array_equal(weight, whole.astype(np.float32))
    assert np.abs(weight - net.nodes["fc"].weight).max() < 0.01  # type: ignore[union-attr]


def test_sums_that_a_shift_takes_nothing_from_are_not_said_to_be_rounded() -> None:
    chip = compiled(small(), data(), split="never").network
    for factor, codes_left in ((8, set()), (1, {"sums-not-rounded"})):
        group = chip.synapses["fc"]
        assert isinstance(group.connectivity, Dense)
        weight = np.arange(48).reshape(8, 6) * 2 * factor
        moved = replace(group, connectivity=Dense(weight), weight_exp=-3)
        found = dequantized(replace(chip, synapses={**chip.synapses, "fc": moved})).findings
        assert codes(found) == codes_left


def test_split_weights_are_one_map_again() -> None:
    net, given = small(), data()
    deployment = compiled(net, given, split="always")
    assert "fc/coarse" in deployment.network.synapses
    nodes = dequantized(deployment.network).result.nodes
    assert set(nodes) == {"in", "fc", "hidden", "fc2", "last", "output"}
    assert np.abs(nodes["fc"].weight - net.nodes["fc"].weight).max() < 2e-4  # type: ignore[union-attr]


def test_convolutions_pools_and_biases_come_back_as_nodes_that_every_reader_knows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    nodes = {
        "in": Input((2, 6, 6)),
        "conv": Conv(f(rng.normal(0.1, 0.3, (3, 2, 3, 3))), f([0.05, -0.02, 0.1]), (1, 1), (1, 1), (1, 1)),
        "n0": Neuron(f(0.9), f(1.0), current_decay=f(0.5)),
        "pool": Pool("sum", (2, 2), (2, 2), (0, 0)),
        "flat": Flatten(0, -1),
        "fc": Linear(f(rng.normal(0, 0.3, (4, 27))), f(rng.normal(0, 0.1, 4))),
        "n1": Neuron(f(0.8), f(1.0)),
        "out": Output((4,)),
    }
    chain = list(nodes)
    net = network(nodes, *pairwise(chain))
    given = data(3, 0, (2, 6, 6))
    deployment = compiled(net, given)
    made = dequantized(deployment.network, "snntorch:reset=zero,reset_delay=0")
    said = spikeport.write(made.result, tmp_path / "q.nir")
    kinds = {type(node).__name__ for node in made.result.nodes.values()}
    assert kinds == {"Input", "Conv", "Neuron", "Flatten", "Linear", "Output"}
    assert "nir-extension" not in codes(said)
    assert made.result.nodes["conv"].bias is not None  # type: ignore[union-attr]
    truth = spikes_in_between(net, deployment, given)
    run = spikeport.run_float(spikeport.read(tmp_path / "q.nir"), given, record=["n0", "n1"]).spikes
    assert np.array_equal(run["n1"], truth["n1"])
    assert truth["n1"].sum() > 10


def test_delays_and_recurrence_keep_their_steps() -> None:
    nodes = {"in": Input((3,)), "late": Delay(np.asarray([0, 2, 5])), "fc": Linear(f(np.eye(3) * 0.8))}
    nodes |= {"lif": Neuron(f(0.7), f(1.0)), "rec": Linear(f(np.roll(np.eye(3), 1, 0) * 0.4)), "out": Output((3,))}
    edges = [("in", "late"), ("late", "fc"), ("fc", "lif"), ("lif", "rec", 1), ("rec", "lif"), ("lif", "out")]
    net = network(nodes, *edges)
    given = data(3, 0, (3,))
    deployment = compiled(net, given)
    made = dequantized(deployment.network).result
    run = spikeport.run_float(made, given, record=["lif"]).spikes["lif"]
    assert np.array_equal(run, spikes_in_between(net, deployment, given)["lif"])
    assert {e.delay for e in made.edges} == {0, 1}
    assert run.sum() > 20


def test_what_a_neuron_here_has_no_word_for_is_said() -> None:
    deployment = compiled(small(), data())
    hidden = deployment.network.populations["hidden"]
    changed = {
        "refractory-left-out": replace(hidden, refractory=3),
        "reset-register-left-out": replace(hidden, model="lif_subtract", reset=hidden.vth // 2),
        "early-spikes-left-out": replace(hidden, v_init=hidden.vth * 128, dv=np.zeros((), np.int64)),
    }
    for code, population in changed.items():
        chip = replace(deployment.network, populations={**deployment.network.populations, "hidden": population})
        found = [x for x in dequantized(chip).findings if x.code == code]
        assert [x.where for x in found] == ["hidden"]


def test_rates_that_start_at_half_a_threshold_come_back_without_a_doubt(tmp_path: Path) -> None:
    rng, start = np.random.default_rng(1), np.array(0.5, np.float32)
    neuron = replace(leaky(1.0), comparison=">=", reset="subtract", reset_delay=0, v_init=start)
    layers: list[tuple[str, Node]] = [
        ("fc", Linear(f(rng.normal(0, 0.4, (7, 6))))),
        ("if", neuron),
        ("out", Linear(f(rng.normal(0, 0.4, (3, 7))))),
    ]
    words = "nir:dt=0.001,compare=ge,reset=subtract,v_init=0.5"
    net = sequential(layers, (6,), 1e-3, words)
    chip = compiled(net, data(1, 20, (6,))).network
    made = dequantized(chip, words)
    said = write_nir(made.result, tmp_path / "q.nir")
    back = made.result.nodes["if"]
    assert isinstance(back, Neuron)
    assert not back.v_reset.any()
    np.testing.assert_allclose([back.threshold, back.v_init], [1.0, 0.5], rtol=1e-3)
    assert chip.populations["if"].offset == 0.5
    assert not [x for x in (*made.findings, *said) if x.severity == "warning"]


def test_the_encoder_and_the_inputs_unit_go_along(tmp_path: Path) -> None:
    net = small()
    values = np.random.default_rng(0).random((6, 6))
    codec = spikeport.codec_for(net, "graded:steps=20,levels=100", "first-spike")
    deployment = spikeport.compile(net, "loihi2", values, codec, spikeport.CompileOptions(scales=2))
    made = float_network(deployment).result
    spikeport.write(made, tmp_path / "q.nir")
    again = spikeport.read(tmp_path / "q.nir")
    assert isinstance(again, Network)
    assert (again.encode, again.decode) == ("graded:steps=20,levels=100,low=0,high=1,clamp=false", "first-spike")
    encoded = deployment.codec.encode(values, (6,))
    ours = spikeport.run_float(again, encoded.floats, record=["hidden"]).spikes["hidden"]
    theirs = spikeport.run_float(net, encoded.floats, record=["hidden"]).spikes["hidden"]
    assert np.abs(ours - theirs).sum() < 0.1 * theirs.sum()


def test_the_command_writes_a_file_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    compiled(replace(small(), dialect="norse:dt=0.001"), data()).save("model.spk")
    np.savez("data.npz", input=data())
    assert main(["export-nir", "model.spk", "-o", "q.nir", "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["dialect"].startswith("norse")
    assert main(["run", "q.nir", "--backend", "float", "--data", "data.npz"]) == 0
    capsys.readouterr()
    assert main(["export-nir", "model.spk", "-o", "q.net"]) == 2
    assert "this file ends in .nir" in capsys.readouterr().err
