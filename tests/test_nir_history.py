"""Files of the NIR paper's history, nir 0.1.1 and 0.2.0: read where their meaning is clear, else the true reason."""

from pathlib import Path

import pytest

from spikeport.converters.read.nir import read_nir
from spikeport.errors import ModelError

# name: dialect, nodes, codes of findings that tell what was repaired
READ = {
    "braille__047410e9": ("snntorch", 7, set()),
    "braille__82d89d42": ("snntorch", 7, set()),
    "braille_noDelay_bias_zero_subgraph__24057376": ("snntorch", 7, {"edge-name-repaired"}),
    "braille_noDelay_noBias_subtract_subgraph__4b359ff1": ("snntorch", 7, {"edge-name-repaired"}),
    "braille_subtract__3cbddd23": ("snntorch", 7, set()),
    "braille_v2__50b2fc28": ("snntorch", 7, {"edge-name-repaired", "leading-axes-dropped", "w-in-missing"}),
    "braille_v2a__64a0b954": ("snntorch", 7, {"w-in-missing"}),
    "braille_zero_subgraph__c5db44fe": ("snntorch", 7, {"edge-name-repaired"}),
    "lif_norse__2b0feb3d": ("norse:dt=1e-4,tau_unit=seconds", 4, set()),
    "lif_norse__ce5f8e1c": ("norse:dt=1e-4,tau_unit=seconds", 4, set()),
    "scnn_mnist__232ebad8": ("sinabs", 15, set()),
    "scnn_mnist__e5ac8325": ("sinabs", 15, {"flatten-counts-batch"}),
    "two_lif_neurons__b23438d4": ("nir:dt=1e-4", 6, set()),
}
REFUSED = {
    # Its recurrent map gives 63 values to 16 neurons: an untrained trial of the exporter.
    "braille__c381ba29": "'fc2': its weight takes 63 inputs, but \\(16,\\) arrives",
    "braille_flattened__19004303": "tau_mem and tau_syn exchanged",
    # Its pools say stride 1; the sizes after them show that the model had 2.
    "scnn_mnist__ac9b3878": "'6'.*\\(1, 8, 8, 8\\), but \\(8, 15, 15\\) arrives.*strides",
}
REPAIRS = {"edge-name-repaired", "leading-axes-dropped", "w-in-missing", "flatten-counts-batch", "end-added"}


@pytest.mark.parametrize("name", sorted(READ))
def test_file_with_a_clear_meaning_is_read(shared_data: Path, name: str) -> None:
    dialect, nodes, repairs = READ[name]
    network = read_nir(shared_data / "nir_paper" / "history" / f"{name}.nir", dialect)
    assert len(network.nodes) == nodes
    assert {f.code for f in network.findings} & REPAIRS == repairs


@pytest.mark.parametrize("dialect", [None, "snntorch"])
@pytest.mark.parametrize("name", sorted(REFUSED))
def test_file_without_a_clear_meaning_is_refused_for_the_true_reason(
    shared_data: Path, name: str, dialect: str | None
) -> None:
    with pytest.raises(ModelError, match=REFUSED[name]):
        read_nir(shared_data / "nir_paper" / "history" / f"{name}.nir", dialect)


def test_every_history_file_is_accounted_for(shared_data: Path) -> None:
    found = {p.stem for p in (shared_data / "nir_paper" / "history").glob("*.nir")}
    assert found == {*READ, *REFUSED}


def test_old_and_new_files_of_one_model_read_equal(shared_data: Path) -> None:
    history = shared_data / "nir_paper" / "history"
    new = read_nir(history / "braille__047410e9.nir", "snntorch")
    old = read_nir(history / "braille_v2a__64a0b954.nir", "snntorch")
    assert new.edges == old.edges
    assert new.nodes["lif2"].input_gain == old.nodes["lif2"].input_gain == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["lif_norse__2b0feb3d", "two_lif_neurons__b23438d4"])
def test_missing_time_step_is_asked_for(shared_data: Path, name: str) -> None:
    with pytest.raises(ModelError, match="--dt"):
        read_nir(shared_data / "nir_paper" / "history" / f"{name}.nir")
