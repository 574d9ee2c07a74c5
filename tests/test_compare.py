"""compare: the networks between float and chip are exact at both ends, and effects are seen where they are put."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from test_any_network import network, random_network

import spikeport
from spikeport.converters.network import Delay, Input, Linear, Neuron, Output
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.compare.assemble import assemble
from spikeport.deploy.compare.circuit_float import execute
from spikeport.deploy.compare.effects import ALL, NONE
from spikeport.deploy.compare.pair import Pair, pair
from spikeport.errors import SpikeportError

STEPS = 25


def f(x: object) -> np.ndarray:
    return np.asarray(x, dtype=np.float32)


def small(bias: float = 0.0, neuron: Neuron | None = None, seed: int = 0) -> spikeport.converters.network.Network:
    rng = np.random.default_rng(seed)
    nodes = {
        "in": Input((6,)),
        "fc": Linear(f(rng.normal(0.1, 0.5, (8, 6)))),
        "hidden": neuron or Neuron(f(0.9), f(1.0), current_decay=f(0.6), bias=f(bias)),
        "fc2": Linear(f(rng.normal(0.1, 0.5, (3, 8)))),
        "last": Neuron(f(0.8), f(1.0)),
        "out": Output((3,)),
    }
    return network(nodes, ("in", "fc"), ("fc", "hidden"), ("hidden", "fc2"), ("fc2", "last"), ("last", "out"))


def data(samples: int = 4, seed: int = 0, shape: tuple[int, ...] = (6,)) -> np.ndarray:
    return (np.random.default_rng(seed).random((samples, STEPS, *shape)) < 0.3).astype(np.int64)


def both(net: spikeport.converters.network.Network, given: np.ndarray, target: str = "loihi2") -> Pair:
    return pair(net, spikeport.compile(net, target, given, options=spikeport.CompileOptions(scales=2)))


def differing_from_the_simulator(twins: Pair, deployment: spikeport.Deployment, given: np.ndarray) -> int:
    """Spikes and states of every population that differ between the program with all effects and the simulator."""
    names = [n for n in deployment.network.populations if n not in deployment.network.inputs]
    (source,) = deployment.network.inputs
    chip = simulate(deployment.network, {source: given}, deployment.placement, names, names)
    program = assemble(twins, ALL)
    trace = execute(program, {source: given.reshape(*given.shape[:2], -1).astype(float)}, names)
    wrong = 0
    for name in names:
        start = program.cells[name].start
        for ours, theirs in ((trace.spikes[name], chip.spikes[name]), (trace.v[name], chip.v[name])):
            wrong += int(np.count_nonzero(ours[:, start : start + given.shape[1]] != theirs))
    return wrong


@pytest.mark.parametrize("seed", range(16))
def test_with_every_effect_it_is_the_simulator_and_with_none_the_float_network(seed: int) -> None:
    given, net = data(2, seed, (2, 5, 6)), random_network(seed)
    try:
        options = spikeport.CompileOptions(scales=2)
        deployment = spikeport.compile(net, ("loihi1", "loihi2")[seed % 2], given, options=options)
    except SpikeportError:
        return
    twins = pair(net, deployment)
    assert differing_from_the_simulator(twins, deployment, given) == 0
    trace = execute(assemble(twins, NONE), {"in": given.reshape(2, STEPS, -1).astype(float)})
    truth = spikeport.run_float(net, given, record=net.neurons).spikes
    for name in net.neurons:
        assert np.array_equal(trace.spikes[name], truth[name].reshape(2, STEPS, -1))


SPECIAL = {
    "refractory": Neuron(f(0.9), f(1.0), reset="value", reset_delay=1, reset_discards_input=True),
    "several spikes": Neuron(f(0.9), f(0.3), reset="subtract", max_spikes=None),
    "lower bound": Neuron(f(0.9), f(0.5), reset="subtract", v_min=f(-0.2)),
    "carried reset": Neuron(f(0.9), f(0.2), reset="subtract", reset_carries=True),
    "reset to a value": Neuron(f(0.8), f(1.0), v_reset=f(-0.3), v_init=f(-0.1), bias=f(0.05)),
    "own thresholds": Neuron(f(np.linspace(0.5, 0.95, 8)), f(np.linspace(0.4, 1.2, 8)), comparison=">="),
}


@pytest.mark.parametrize("target", ["loihi1", "loihi2"])
@pytest.mark.parametrize("kind", SPECIAL)
def test_every_neuron_model_is_exact_at_both_ends(kind: str, target: str) -> None:
    net, given = small(neuron=SPECIAL[kind]), data()
    deployment = spikeport.compile(net, target, given, options=spikeport.CompileOptions(scales=2))
    twins = pair(net, deployment)
    assert differing_from_the_simulator(twins, deployment, given) == 0
    trace = execute(assemble(twins, NONE), {"in": given.astype(float)})
    truth = spikeport.run_float(net, given, record=net.neurons).spikes
    assert truth["hidden"].sum() > 50
    for name in net.neurons:
        assert np.array_equal(trace.spikes[name], truth[name])


def test_relays_and_graded_input_are_exact_too() -> None:
    nodes = {"in": Input((3,)), "late": Delay(np.asarray([0, 3, 40])), "fc": Linear(f([[0.4, 0.5, 0.1]]))}
    nodes |= {"lif": Neuron(f(0.9), f(1.0)), "far": Delay(np.asarray(80)), "fc2": Linear(f([[0.7]]))}
    nodes |= {"sum": Neuron(f(0.95), f(1.0), spiking=False), "out": Output((1,))}
    chain = ["in", "late", "fc", "lif", "far", "fc2", "sum", "out"]
    net = network(nodes, *pairwise(chain))
    given = np.random.default_rng(0).integers(0, 4, (2, 120, 3))
    codec = spikeport.codec_for(net, "spikes:max_spikes=3")
    deployment = spikeport.compile(net, "loihi2", given, codec)
    assert any("~" in name for name in deployment.network.populations)
    assert differing_from_the_simulator(pair(net, deployment), deployment, given) == 0


def with_node(net: spikeport.converters.network.Network, **changes: object) -> spikeport.converters.network.Network:
    return replace(net, nodes={**net.nodes, **changes})


def rounded(weight: np.ndarray, twins: Pair, name: str) -> np.ndarray:
    """The chip's weights in trained units."""
    groups = twins.groups[name]
    scale = twins.chip.populations[groups[0].target].scale
    return f(sum(g.connectivity.weight * 2.0**g.weight_exp for g in groups) * 64 / scale).reshape(weight.shape)


def test_weights_alone_are_the_float_network_with_the_chips_weights() -> None:
    net, given = small(), data(8)
    twins = both(net, given)
    trace = execute(assemble(twins, frozenset({"weights"})), {"in": given.astype(float)})
    corrections = assemble(twins, frozenset({"weights"})).cells["hidden"].bias
    hidden = replace(net.nodes["hidden"], bias=f(np.broadcast_to(corrections, 8)))
    last = replace(net.nodes["last"], bias=f(assemble(twins, frozenset({"weights"})).cells["last"].bias))
    changed = {n: Linear(rounded(net.nodes[n].weight, twins, n)) for n in ("fc", "fc2")}
    truth = spikeport.run_float(with_node(net, **changed, hidden=hidden, last=last), given, record=net.neurons).spikes
    assert not np.array_equal(truth["hidden"], spikeport.run_float(net, given, record=["hidden"]).spikes["hidden"])
    for name in net.neurons:
        assert np.array_equal(trace.spikes[name], truth[name])


def test_decays_alone_are_the_float_network_with_decays_in_4096ths() -> None:
    net, given = small(neuron=Neuron(f(0.99987), f(8.0), current_decay=f(0.9986))), data(40)
    twins = both(net, given)
    chip = twins.chip.populations["hidden"]
    hidden = replace(
        net.nodes["hidden"],
        membrane_decay=f((4096 - chip.dv) / 4096),
        current_decay=f((4095 - chip.du) / 4096),
    )
    last = replace(net.nodes["last"], membrane_decay=f((4096 - twins.chip.populations["last"].dv) / 4096))
    truth = spikeport.run_float(with_node(net, hidden=hidden, last=last), given, record=net.neurons).spikes
    trace = execute(assemble(twins, frozenset({"decays"})), {"in": given.astype(float)})
    assert not np.array_equal(truth["hidden"], spikeport.run_float(net, given, record=["hidden"]).spikes["hidden"])
    for name in net.neurons:
        assert np.array_equal(trace.spikes[name], truth[name])
