"""Every network of the corpus gives its framework's own spikes, in every layer, under the dialect named here."""

from pathlib import Path

import numpy as np
import pytest

from spikeport.converters.network import Network
from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float
from spikeport.errors import ModelError

DIALECTS = {
    "norse/conv_lifbox_untrained": "norse",
    "norse/dense_lifbox": "norse",
    "rockpool/dense_lif_maxspk1": "rockpool:max_spikes=1",
    "rockpool/dense_lifneuron_maxspk1": "rockpool:max_spikes=1",
    # This recording shows that sl.IAF's own default is no lower bound; only Sinabs' NIR importer sets -threshold.
    "sinabs/conv_iaf_single": "sinabs:spike=single,v_min=none",
    "sinabs/dense_lif_multi_subtract_default": "sinabs",
    # The exporter lost tau_syn; the recording is silent, so it only bounds tau_syn from above (about 2 steps).
    "sinabs/dense_lif_scalar_tau_syn": "sinabs:tau_syn=2",
    "sinabs/dense_lif_single_subtract": "sinabs:spike=single,norm_input=false",
    "snntorch/conv_lif_subtract_delay0": "snntorch:reset=subtract,reset_delay=0",
    "snntorch/dense_lif_subtract_delay0": "snntorch:reset=subtract,reset_delay=0",
    "snntorch/dense_lif_subtract_delay1": "snntorch:reset=subtract,reset_delay=1",
    "snntorch/dense_lif_zero_delay1": "snntorch:reset=zero,reset_delay=1",
    "snntorch/rec_rleaky": "snntorch:reset=zero,reset_delay=0",
    "spikingjelly/conv_if": "spikingjelly",
    "spikingjelly/dense_cubalif": "spikingjelly",
    "spikingjelly/dense_lif_decay_input": "spikingjelly",
    "spikingjelly/dense_lif_nodecay_input": "spikingjelly",
}
LOSSY = {"rockpool/dense_lif_maxspk1_bias": "rockpool:max_spikes=1"}
NO_EXPORT = {
    "sinabs/recurrent_LIFRecurrent",
    "spikingjelly/dense_lif_softreset",
    "spikingjelly/recurrent_container",
}
INVALID = {
    "norse/invalid/truncated_after_failed_write": "writing was interrupted",
    "rockpool/invalid/dense_lif_maxspk1_bias_tau_trained_to_bad_values": "'tau_syn' must be positive",
    "rockpool/invalid/dense_lif_maxspk1_tau_trained_to_bad_values": "64 of 64 values that are NaN",
}


def node_of(network: Network, layer: str) -> str:
    """The node that a recording calls ``layer``."""
    return next(n for n in (layer, f"_{layer}", f"{layer}.lif") if n in network.nodes)


def wrong_spikes(corpus: Path, case: str, dialect: str | None) -> dict[str, int]:
    network = read_nir(corpus / f"{case}.nir", dialect)
    recorded = np.load(corpus / f"{case}.npz")
    layers = {k.removeprefix("spk_"): recorded[k] for k in recorded.files if k.startswith("spk_")}
    run = run_float(network, recorded["input"], record=network.neurons)
    wrong = {layer: int((run.spikes[node_of(network, layer)] != spikes).sum()) for layer, spikes in layers.items()}
    return wrong | {"output": int((run.outputs[network.outputs[0]] != recorded["output"]).sum())}


@pytest.mark.parametrize("case", sorted(DIALECTS))
def test_float_run_equals_the_framework_in_every_layer(shared_data: Path, case: str) -> None:
    wrong = wrong_spikes(shared_data / "corpus", case, DIALECTS[case])
    assert set(wrong.values()) == {0}, wrong


def test_every_case_of_the_corpus_is_accounted_for(shared_data: Path) -> None:
    corpus = shared_data / "corpus"
    graphs = {str(p.relative_to(corpus).with_suffix("")) for p in corpus.rglob("*.nir")}
    records = {str(p.relative_to(corpus).with_suffix("")) for p in corpus.rglob("*.npz")}
    assert graphs == {*DIALECTS, *LOSSY, *INVALID}
    assert records - graphs == NO_EXPORT


@pytest.mark.parametrize("case", sorted(LOSSY))
def test_lossy_export_cannot_be_reproduced_and_the_reader_says_what_is_lost(shared_data: Path, case: str) -> None:
    # Rockpool's exporter drops the trained bias: the spikes differ, and no reader could know by how much.
    wrong = wrong_spikes(shared_data / "corpus", case, LOSSY[case])
    assert wrong["1_LIFTorch"] > 100
    findings = read_nir(shared_data / "corpus" / f"{case}.nir", LOSSY[case]).findings
    assert any(f.code == "exporter-loses-parameters" and "bias" in f.message for f in findings)


@pytest.mark.parametrize("case", sorted(INVALID))
def test_invalid_file_is_refused_with_its_reason(shared_data: Path, case: str) -> None:
    with pytest.raises(ModelError, match=INVALID[case]):
        read_nir(shared_data / "corpus" / f"{case}.nir")


# r = 1 in every neuron tells nothing about who wrote it.
SILENT = {"norse/conv_lifbox_untrained", "norse/dense_lifbox", "spikingjelly/dense_lif_decay_input"}


@pytest.mark.parametrize("case", sorted(set(DIALECTS) - SILENT))
def test_framework_is_recognised_from_its_numbers(shared_data: Path, case: str) -> None:
    network = read_nir(shared_data / "corpus" / f"{case}.nir")
    assert network.dialect.split(":")[0] == case.split("/")[0]
    assert any(f.code == "dialect-inferred" for f in network.findings)


@pytest.mark.parametrize("case", sorted(SILENT))
def test_without_evidence_the_reader_asks_instead_of_guessing(shared_data: Path, case: str) -> None:
    with pytest.raises(ModelError, match=r"--dt.*--dialect"):
        read_nir(shared_data / "corpus" / f"{case}.nir")


def test_wrong_reset_rule_changes_spikes(shared_data: Path) -> None:
    wrong = wrong_spikes(shared_data / "corpus", "snntorch/dense_lif_zero_delay1", "snntorch:reset=subtract")
    assert wrong["output"] > 100


def test_assumed_reset_is_a_warning_that_names_the_option(shared_data: Path) -> None:
    path = shared_data / "corpus" / "snntorch" / "rec_rleaky.nir"
    (finding,) = (f for f in read_nir(path).findings if f.code == "reset-rule-assumed")
    assert finding.severity == "warning"
    assert "--dialect snntorch:reset=zero" in finding.advice
    said = read_nir(path, "snntorch:reset=zero,reset_delay=0").findings
    assert not [f for f in said if f.code == "reset-rule-assumed"]
