"""What users see of networks, deployments and estimates."""

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

import spikeport
from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Linear, Network, Neuron
from spikeport.deploy.report.deployment_record import deployment_record, deployment_tables
from spikeport.deploy.report.network_record import network_record, network_tables


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
