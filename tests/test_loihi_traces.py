"""The NIR paper's LIF neuron as it ran on Lava's fixed-point CPU model and on a Loihi 2 chip, step by step."""

from pathlib import Path

import numpy as np
import pytest

from spikeport.converters.chip_network import ChipNetwork, Dense, Population, Synapses
from spikeport.converters.placement import Core, Placement, Slice
from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.compile import compile_network

REFRACTORY_MARKER = 128
"""What the chip's v register shows in the step of a spike: its refractory counter, not a potential."""


@pytest.fixture(params=["lif_lava_cpu_fixed", "lif_lava_loihi_fixed"])
def trace(request: pytest.FixtureRequest, shared_data: Path) -> np.ndarray:
    """Columns: input spike, v, output spike; 1,000 steps of 0.1 ms."""
    return np.loadtxt(shared_data / "nir_paper/01_lif" / f"{request.param}.csv", delimiter=",").astype(np.int64)


def paper_neuron() -> ChipNetwork:
    """tau 2.5 ms, dt 0.1 ms: dv = int(0.04 · 4096); weight 0.04 and threshold 0.1 at 250 units per volt."""
    zero = np.zeros((), np.int64)
    source = Population("in", (1,), "input", zero, zero, zero, zero, zero, zero, zero, zero)
    neuron = Population(
        "lif", (1,), "lif", np.array(4095), np.array(163), np.array(25), zero, zero, zero, zero, zero, shift=1
    )
    weight = Synapses("w", "in", "lif", Dense(np.array([[10]])))
    return ChipNetwork({"in": source, "lif": neuron}, {"w": weight}, ("in",), ("lif",), 1e-4)


def test_every_spike_and_potential_equals_the_recording(trace: np.ndarray) -> None:
    placement = Placement((Core((Slice("lif", 0, 1),), {}),), ((0, 0, 0, 0),), {})
    run = simulate(paper_neuron(), {"in": trace[None, :, :1]}, placement, record=["lif"], record_states=["lif"])
    spikes, v = run.spikes["lif"][0, :-1, 0], run.v["lif"][0, :-1, 0]
    assert spikes.sum() == 4
    assert np.array_equal(spikes, trace[1:, 2])  # the recordings show a spike one step after its input
    recorded = np.where((trace[:, 2] == 1) & (trace[:, 1] == REFRACTORY_MARKER), 0, trace[:, 1])
    assert np.array_equal(v, recorded[1:])


def test_the_compiled_file_gives_the_chips_spikes(trace: np.ndarray, shared_data: Path) -> None:
    network = read_nir(shared_data / "nir_paper/01_lif/lif_norse.nir", "nir", 1e-4)
    data = trace[None, :, :1]
    run = compile_network(network, "loihi2", data).run(data)
    assert np.array_equal(run.output[0, :-1, 0], trace[1:, 2])
