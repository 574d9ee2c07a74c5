"""What users see of networks, deployments and estimates."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import (
    Activation,
    Embed,
    Linear,
    MaxPool,
    Network,
    Neuron,
    Permute,
    Reshape,
    Scale,
)
from spikeport.deploy.cli import demonstration
from spikeport.deploy.report.deployment_record import deployment_record, deployment_tables
from spikeport.deploy.report.network_record import network_record, network_tables
from spikeport.models import digits


def printed(tables) -> str:
    console = Console(file=io.StringIO(), width=140)
    for table in tables:
        console.print(table)
    return console.file.getvalue()


def net(neuron: Neuron) -> Network:
    weight = np.full((3, 8), 0.3, np.float32)
    return sequential([("fc", Linear(weight)), ("lif", neuron)], (8,), 1e-3, "snntorch:reset=zero,reset_delay=0")


def test_a_lower_bound_and_a_starting_value_are_shown_where_they_are_set():
    bounded = replace(leaky(0.9), v_min=np.float32(-2.5), v_init=np.float32(0.25))
    plain, special = (printed(network_tables(network_record(net(n)))) for n in (leaky(0.9), bounded))
    assert "v at least" not in plain
    assert "v at first" not in plain
    head, row = (next(line for line in special.splitlines() if word in line) for word in ("v at least", " v > "))
    assert "v at first" in head
    assert row.split()[-2:] == ["-2.5", "0.25"]


def test_layers_of_conventional_networks_are_printed():
    one = np.ones((), np.float32)
    layers = {
        "norm": Scale(2 * one, 3 * one), "rows": Reshape((2, 4)), "turn": Permute((1, 0)), "pad": Embed((4, 3), (0, 1)),
        "max": MaxPool((2, 1), (2, 1), (0, 0)), "relu": Activation(), "steps": Activation(6 * one, 8),
    }  # fmt: skip
    shown = printed(network_tables(network_record(sequential(list(layers.items()), (8,), 1e-3))))
    for text in ("factor 2, bias 3", "to 2×4", "axes 1×0", "into 4×3, offset 0×1", "max pool", "kernel 2×1",
                 "quantised relu", "ceiling 6, levels 8"):  # fmt: skip
        assert text in shown


def test_each_gain_has_its_name():
    shown = printed(network_tables(network_record(net(leaky(0.9)))))
    assert "input gain" in shown
    assert "current gain" in shown
    assert " · " not in shown


def test_registers_are_explained_below_their_table():
    deployment = spikeport.compile(net(leaky(0.9)), "loihi1", np.ones((1, 5, 8), np.uint8))
    shown = printed(deployment_tables(deployment_record(deployment)))
    assert "du, dv: 4096ths of u and v that are lost per step" in shown
    assert "vth: the threshold of v in units of 64" in shown


@pytest.fixture(scope="module")
def demo() -> str:
    """The demo's tables, made of few images."""
    with pytest.MonkeyPatch.context() as patch:
        images, labels = digits.load_test()
        patch.setattr(digits, "load_test", lambda: (images[:10], labels[:10]))
        patch.setattr(demonstration, "CALIBRATION", 4)
        return printed(demonstration.demo_tables(demonstration.demo_record(lambda step: None)))


def test_the_demo_marks_each_assumed_figure_where_it_stands(demo):
    for row in ("energy per image", "of it dynamic", "latency per image", "power at full speed", "power at 100"):
        (line,) = (each for each in demo.splitlines() if each.strip().startswith(row))
        assert line.count("(assumed)") == 1
        assert line.rstrip().endswith("(assumed)")


def test_the_demo_says_in_one_line_what_is_unknown_and_what_dominates(demo):
    assert "no published energy or time for any event; so its own prices give no total" in demo
    assert re.search(r"\d\d% of the energy is latency × static power, 281.8 mW per chip \(lava-dl PilotNet", demo)
    assert "_energy_pj" not in demo
