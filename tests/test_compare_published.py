"""compare on published networks: the paper's Braille network, and, slowly, its N-MNIST network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import spikeport
from spikeport.converters.network import Network
from spikeport.deploy.compare.compare import compare
from spikeport.models.data.events import Binning


def read(path: Path, dialect: str) -> Network:
    network = spikeport.read(path, dialect=dialect)
    assert isinstance(network, Network)
    return network


def test_braille_loses_spikes_to_its_weights_and_to_nothing_else(shared_data: Path) -> None:
    folder = shared_data / "nir_paper" / "03_rnn"
    network = read(folder / "braille_noDelay_bias_zero.nir", "snntorch:reset=zero,reset_delay=0")
    spikes = np.load(folder / "braille_test_sample0.npz")["spikes"][None]
    results = {}
    for split in ("never", "always"):
        options = spikeport.CompileOptions(split=split)
        results[split] = compare(network, spikeport.compile(network, "loihi2", spikes, options=options), spikes)
    single = {e.effect: e for e in results["never"].effects}
    assert results["never"].layers[0].shared < 0.9
    assert single["weights"].alone.layers["lif1.lif"] > 0.1
    assert single["weights"].without.mismatch < 0.02
    assert all(single[name].alone.mismatch < 0.02 for name in single if name != "weights")
    assert results["always"].layers[0].shared > 0.99
    assert results["never"].exact.mismatch == 0
    assert not any(f.code == "unlike-simulator" for result in results.values() for f in result.findings)


@pytest.mark.slow
def test_nmnist_on_the_chip_is_the_trained_network_but_for_its_weights(shared_data: Path) -> None:
    network = read(shared_data / "nir_paper/02_cnn/cnn_sinabs.nir", "sinabs:dt=0.001,reset=subtract,spike=single")
    binning = Binning(1e-3, 300, (2, 34, 34), False, 1e-6)
    train, test = (spikeport.load_data(shared_data / "nmnist/nmnist.npz", s, binning) for s in ("train", "test"))
    deployment = spikeport.compile(network, "loihi2", train.input[:8])
    result = compare(network, deployment, test.input[:4], test.labels[:4])
    assert result.exact.changed == 0
    assert not any(f.code == "unlike-simulator" for f in result.findings)
    alone = {e.effect: e.alone.mismatch for e in result.effects}
    assert max(alone, key=lambda name: alone[name]) == "weights"
    assert alone["rounding"] == alone["thresholds"] == 0
    assert [e.effect for e in result.effects if e.note == "changes nothing here"] == ["decays", "biases", "neuron"]
