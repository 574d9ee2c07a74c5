"""Published networks on real recordings: the chip against the float network. Full sets run in benchmarks/."""

from pathlib import Path

import numpy as np
import pytest

from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.data import load_data
from spikeport.models.data.events import Binning


def test_braille_hidden_spikes_are_snntorchs_where_lavas_were_not(shared_data: Path) -> None:
    folder = shared_data / "nir_paper" / "03_rnn"
    network = read_nir(folder / "braille_noDelay_bias_zero.nir", "snntorch:reset=zero,reset_delay=0")
    sample = np.load(folder / "braille_test_sample0.npz")["spikes"][None]
    stored = np.load(folder / "snntorch_activity_noDelay_bias_zero.npy") > 0
    lava = np.load(folder / "lava_activity_noDelay_bias_zero.npy").T > 0
    run = compile_network(network, "loihi2", sample).run(sample, record=["lif1.lif"])
    common = (run.spikes["lif1.lif"][0] > 0) & stored
    assert common.sum() >= 0.98 * stored.sum()
    assert (lava & stored).sum() < 40
    truth = run_float(network, sample).outputs["output"]
    assert run.output.sum(1).argmax() == truth.sum(1).argmax()


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_nmnist_network_decides_on_the_chip_as_in_float(shared_data: Path, reset: str) -> None:
    network = read_nir(shared_data / "nir_paper/02_cnn/cnn_sinabs.nir", f"sinabs:reset={reset},spike=single")
    binning = Binning(1e-3, 300, (2, 34, 34), False, 1e-6)
    data = load_data(shared_data / "nmnist/nmnist.npz", "test", binning).first(10)
    options = CompileOptions(scales=3)
    deployment = compile_network(network, "loihi2", data.input[5:, :60], options=options)
    chip = deployment.run(data.input[:5, :150]).output.sum(1)
    truth = run_float(network, data.input[:5, :150]).outputs["output"].sum(1)
    assert np.array_equal(chip.argmax(1), truth.argmax(1))
    assert np.abs(chip - truth).sum() < 0.1 * truth.sum()
