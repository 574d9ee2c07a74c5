"""compare on sigma-delta networks: exact at both ends, activations instead of membranes, changes instead of spikes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from test_any_network import network
from test_compare import differing_from_the_simulator, f

import spikeport
from spikeport.converters.network import Input, Linear, Network, Output, SigmaDelta
from spikeport.deploy.compare.assemble import assemble
from spikeport.deploy.compare.circuit_float import execute
from spikeport.deploy.compare.compare import compare
from spikeport.deploy.compare.effects import NONE
from spikeport.deploy.compare.pair import pair
from spikeport.deploy.dequantized import float_network

STEPS = 12


def sigma_delta(threshold: float = 0.02) -> Network:
    rng = np.random.default_rng(1)
    nodes = {
        "in": Input((5,)),
        "delta": SigmaDelta(f(0.0), sums=False, rectified=False),
        "fc": Linear(f(rng.normal(0, 0.6, (8, 5)))),
        "hidden": SigmaDelta(f(threshold), f(rng.normal(0, 0.2, 8))),
        "fc2": Linear(f(rng.normal(0, 0.6, (3, 8)))),
        "sum": SigmaDelta(f(0.0), f([0.1, 0.0, -0.2]), sums=True, rectified=False, sends_changes=False),
        "out": Output((3,)),
    }
    chain = list(nodes)
    return network(nodes, *pairwise(chain))


@pytest.fixture(scope="module")
def made() -> tuple[Network, spikeport.Deployment, np.ndarray]:
    values = np.random.default_rng(0).random((6, STEPS, 5))
    net = sigma_delta()
    codec = spikeport.codec_for(net, "graded:levels=255", "membrane-last")
    return net, spikeport.compile(net, "loihi2", values, codec), values


def test_both_ends_are_exact(made: tuple[Network, spikeport.Deployment, np.ndarray]) -> None:
    net, deployment, values = made
    twins, encoded = pair(net, deployment), deployment.codec.encode(values, (5,))
    assert differing_from_the_simulator(twins, deployment, encoded.spikes) == 0
    sent = {"in": encoded.spikes.astype(float)}
    trace = execute(assemble(twins, NONE), sent, ["sum", "hidden"])
    truth = spikeport.run_float(net, encoded.floats, record=["hidden"])
    assert np.abs(trace.spikes["hidden"] - truth.spikes["hidden"]).max() < 1e-5
    assert np.abs(trace.v["hidden"] - truth.membranes["hidden"]).max() < 1e-5
    offset = assemble(twins, NONE).cells["sum"].offset
    assert np.abs(trace.v["sum"] + offset - truth.outputs["out"]).max() < 1e-5


def test_changes_and_activations_are_compared(made: tuple[Network, spikeport.Deployment, np.ndarray]) -> None:
    net, deployment, values = made
    result = compare(net, deployment, values)
    assert [layer.sends for layer in result.layers] == ["changes", "changes", "nothing"]
    assert result.first is None
    assert not any(finding.code == "unlike-simulator" for finding in result.findings)
    assert 0 < result.chip.mismatch < 0.05
    assert result.exact.mismatch < 1e-5
    worst = {e.effect: e.alone.mismatch for e in result.effects}
    assert max(worst, key=lambda name: worst[name]) in ("weights", "rounding", "thresholds")
    assert next(e.note for e in result.effects if e.effect == "decays") == "changes nothing here"


def test_the_integers_come_back_as_sigma_delta_units(made: tuple[Network, spikeport.Deployment, np.ndarray]) -> None:
    net, deployment, values = made
    again = float_network(deployment)
    encoded = deployment.codec.encode(values, (5,))
    ours = spikeport.run_float(again.result, encoded.floats).outputs["output"]
    chip = deployment.run(values).output
    theirs = spikeport.run_float(net, encoded.floats).outputs["out"]
    assert {x.code for x in again.findings} <= {"messages-not-rounded", "sums-not-rounded", "bias-sent-with-input"}
    assert np.abs(ours - chip).max() < 0.05
    assert np.abs(ours - theirs).max() > 1e-4
