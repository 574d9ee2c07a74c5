"""A guessed reset rule is never silent: the user sees what the other rules would give on the user's data."""

from pathlib import Path

import numpy as np

from spikeport.converters.read.nir import read_nir
from spikeport.deploy.readings import other_readings


def test_a_guess_that_matters_is_counted_rule_by_rule(shared_data: Path) -> None:
    path = shared_data / "corpus/snntorch/dense_lif_subtract_delay1.nir"
    data = np.load(path.with_suffix(".npz"))
    (finding,) = other_readings(path, read_nir(path), data["input"].astype(np.float32))
    assert finding.severity == "warning"
    assert f"{data['output'].size:,} outputs ({int(data['output'].sum())} spikes)" in finding.message
    right = read_nir(path, "snntorch:reset=subtract,reset_delay=1")
    assert finding.message.count("with reset=") == 3
    assert other_readings(path, right, data["input"]) == ()


def test_a_guess_that_does_not_matter_is_said_too(shared_data: Path) -> None:
    path = shared_data / "corpus/snntorch/dense_lif_subtract_delay1.nir"
    data = np.load(path.with_suffix(".npz"))["input"][:, :2].astype(np.float32)
    (finding,) = other_readings(path, read_nir(path), data)
    assert finding.severity == "info"
    assert "0 with reset=zero,reset_delay=0" in finding.message


def test_an_output_that_never_fires_is_said_instead(shared_data: Path) -> None:
    path = shared_data / "corpus/snntorch/dense_lif_subtract_delay1.nir"
    (finding,) = other_readings(path, read_nir(path), np.zeros((2, 5, 128), np.float32))
    assert finding.code == "silent-output"
    assert all(word in finding.advice for word in ("dt", "norm_input", "thresholds", "inspect"))


def test_where_only_the_delay_is_open_only_the_other_delay_is_counted(shared_data: Path) -> None:
    path = shared_data / "corpus/snntorch/dense_lif_subtract_delay1.nir"
    network = read_nir(path, "snntorch:reset=subtract")
    data = np.load(path.with_suffix(".npz"))["input"].astype(np.float32)
    (finding,) = other_readings(path, network, data)
    assert finding.message.count("with reset=") == 1
    assert "with reset=subtract,reset_delay=0" in finding.message
