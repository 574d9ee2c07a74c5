"""Skips: wiring from matrices, the delays that make the chip exact, searches that go on; the claim itself (slow)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import spikeport
from spikeport.deploy.backends.simulator.reference import simulate
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.zoo.integer_twin import run_twin, twin_output, without_delays
from spikeport.deploy.zoo.reproduction import trained
from spikeport.deploy.zoo.skips import reproduce
from spikeport.deploy.zoo.skips_search import Search, search, team
from spikeport.deploy.zoo.skips_trial import Candidate, Tried, front
from spikeport.errors import DataError, ModelError
from spikeport.models.batch_norm import without_batch_norm
from spikeport.models.export import to_network
from spikeport.models.network import neurons_of, over_time
from spikeport.models.skips.matrix import ASC, DSC, parse_matrices, places, regular
from spikeport.models.skips.recipe import SkipsConfig, build, rate_spikes

ON_DIGITS = ((1, 8, 8), 10)
"""Shape and classes."""
SMALL: dict[str, Any] = {"depth": 4, "width": 10}
QUICK: dict[str, Any] = {"depth": 3, "width": 6, "epochs": 1, "validation": 100, "batch": 256}


def made(**settings: Any) -> tuple[torch.nn.Module, Deployment, np.ndarray]:
    """An untrained net whose batch norms have biases, on the chip, and spikes for it."""
    net = build(SkipsConfig(**{**SMALL, **settings}), *ON_DIGITS)
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.bias, -0.2, 0.8)
            torch.nn.init.uniform_(part.weight, 1.0, 3.0)
    frames = (np.random.default_rng(0).random((12, 4, 1, 8, 8)) < 0.4).astype(np.uint8)
    network = to_network(without_batch_norm(net), (1, 8, 8))
    return net, spikeport.compile(network, "loihi2", frames), frames


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0010/0000/0000", "row 1 of the matrix has 4 entries"),
        ("003/000/000", "3 from layer 1 to 3"),
        ("010/000/000", "a skip from layer 1 to layer 2"),
        ("000/000/100", "a skip from layer 3 to layer 1"),
        ("0x0/000/000", "matrix row '0x0'"),
        ("000/000/000", "blocks of [3] layers; depth=4"),
    ],
)
def test_matrix_that_is_none_is_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(DataError) as caught:
        SkipsConfig(matrix=text, depth=4)
    assert words in str(caught.value)


def test_matrices_of_several_blocks_survive_as_text() -> None:
    text = "0012/0001/0000/0000,0020/0000/0000/0000"
    blocks = parse_matrices(text)
    assert ",".join(map(str, blocks)) == text
    assert (blocks[0].sources(3, DSC), blocks[0].sources(3, ASC), blocks[0].skips) == ((1,), (0,), 3)


def test_six_layers_have_ten_places_for_skips_and_n_skip_fills_the_nearest() -> None:
    assert len(list(places(6))) == 10
    assert [regular(6, n, "dsc").skips for n in (0, 1, 2, 4)] == [0, 4, 7, 10]
    assert str(regular(4, 1, "asc")) == "0020/0002/0000/0000"


def test_concatenation_has_weights_of_its_own_and_addition_shares_them() -> None:
    count = {
        name: sum(
            p.numel() for p in without_batch_norm(build(SkipsConfig(kind=name, n_skip=n), *ON_DIGITS)).parameters()
        )
        for name, n in (("dsc", 4), ("asc", 4))
    }
    assert count == {"dsc": 38410, "asc": 15370}  # 38.4k and 15.4k parameters in the trials this follows


def test_block_computes_what_its_matrix_says() -> None:
    net = build(SkipsConfig(depth=4, width=5, matrix="0012/0001/0000/0000"), *ON_DIGITS).eval()
    x = torch.rand(3, 64)
    first, second, third, fourth = net.block1.layers
    a = first(x)
    b = second(a)
    c = third(torch.cat([b, a], 1))
    assert torch.equal(net.block1(x), fourth(torch.cat([c + a, b], 1)))


def test_pixels_become_as_many_spikes_as_they_are_bright() -> None:
    images = np.arange(17, dtype=np.float32).reshape(17, 1, 1, 1)
    spikes = rate_spikes(images, 4)
    assert spikes.shape == (17, 4, 1, 1, 1)
    np.testing.assert_array_equal(spikes.sum(1).ravel(), (images.ravel() * 4 + 8) // 16)


@pytest.mark.parametrize(
    "settings",
    [
        {"matrix": "0012/0001/0000/0000"},
        {"kind": "asc", "n_skip": 3},
        {"layer": "conv", "depth": 3, "width": 4, "blocks": 2, "kind": "dsc", "n_skip": 1},
        {"layer": "residual", "depth": 3, "width": 3, "kind": "asc", "n_skip": 1},
        {"layer": "separable", "depth": 3, "width": 3, "kind": "asc", "n_skip": 1},
    ],
)
def test_chip_equals_its_integer_twin_and_only_with_delays(settings: dict[str, Any]) -> None:
    _, deployment, frames = made(**settings)
    output = deployment.run(frames).output
    assert np.ptp(output[:, -1], axis=0).all()
    np.testing.assert_array_equal(twin_output(deployment, frames), output)
    assert (without_delays(deployment).run(frames).output != output).any()


def test_plain_chain_needs_no_delays() -> None:
    _, deployment, frames = made()
    np.testing.assert_array_equal(without_delays(deployment).run(frames).output, deployment.run(frames).output)


def test_twin_gives_every_layers_spikes_on_the_inputs_clock() -> None:
    net, deployment, frames = made(matrix="0012/0001/0000/0000")
    network = deployment.network
    hidden = [name for name, p in network.populations.items() if p.model == "lif"]
    inputs = {network.inputs[0]: frames.astype(np.int64)}
    run = simulate(network, inputs, deployment.placement, record=hidden)
    assert len(hidden) == len([n for _, n in neurons_of(net) if n.spiking])
    for name in hidden:
        assert run.spikes[name].any()
        np.testing.assert_array_equal(run_twin(network, inputs, name)[0], run.spikes[name])


def test_float_answers_survive_deployment() -> None:
    net, deployment, frames = made(kind="dsc", n_skip=2)
    with torch.no_grad():
        floats = over_time(net.eval(), torch.from_numpy(frames.astype(np.float32))).numpy()
    assert np.corrcoef(floats.ravel(), deployment.run(frames).output.ravel())[0, 1] > 0.95


def tried(**changes: Any) -> Tried:
    return replace(Tried("0", 0.9, 0.9, 0.3, 1e-5, 1, 1e-5, 100, 0.9), **changes)


def test_front_keeps_whoever_nobody_beats() -> None:
    best, frugal, worse = tried(accuracy=0.95), tried(energy_j=5e-6), tried(rate=0.4)
    assert front([worse, best, frugal, best]) == (best, frugal)
    assert best.score == pytest.approx(86.0)


@pytest.mark.parametrize("sampler", ["gp", "random"])
def test_search_that_was_stopped_ends_like_one_that_was_not(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikeport.deploy.zoo.skips_search.FIRST_RANDOM", 1)
    asked = Search(tmp_path, QUICK, sampler=sampler)
    stopped = search(asked, tmp_path / "stopped", 1)
    assert len(stopped) == 1
    assert search(asked, tmp_path / "stopped", 2) == search(asked, tmp_path / "whole", 2)


def test_search_of_other_settings_is_refused(tmp_path: Path) -> None:
    search(Search(tmp_path, QUICK), tmp_path / "search", 1)
    with pytest.raises(ModelError, match="holds a search with other settings"):
        search(Search(tmp_path, {**QUICK, "width": 7}), tmp_path / "search", 1)
    with pytest.raises(DataError, match="sampler='best'; there are gp, tpe, random"):
        Search(tmp_path, QUICK, sampler="best")
    with pytest.raises(DataError, match="set validation, not matrix"):
        Search(tmp_path, {"depth": 3})


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Dask leaves sockets to the garbage collector
def test_candidates_are_tried_side_by_side_on_dask(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    texts = ["000/000/000", "001/000/000", "000/000/000"]
    candidates = [Candidate(text, QUICK, tmp_path, tmp_path, "loihi2") for text in texts]
    with team(2) as attempt_all:
        beside = attempt_all(candidates)
    with team(1) as attempt_all:
        assert attempt_all(candidates) == beside
    assert [t.matrix for t in beside] == texts


def test_validation_samples_are_in_no_other_part(tmp_path: Path) -> None:
    run, recipe, figures = trained("skips", {**QUICK, "held_out": 97}, tmp_path, tmp_path / "run")
    parts = recipe.samples(run)
    assert (len(parts.train), len(parts.test)) == (1797 - 97 - 100, 97)
    assert 0 < figures["rate"] < 1


@pytest.mark.slow
def test_delays_are_exact_and_skips_help(shared_data: Path, tmp_path: Path) -> None:
    found = reproduce(shared_data, tmp_path, (0, 1, 2), lambda what: None)
    known = ("chip pipeline = integer twin", "without the delays", "digits, T=4: every kind", "the best searched")
    held = [claim.holds for claim in found.claims if claim.text.startswith(known)]
    assert held == [True] * 4


def test_more_blocks_than_the_pixels_can_be_halved_for_are_refused() -> None:
    build(SkipsConfig(layer="conv", blocks=4), *ON_DIGITS)
    with pytest.raises(DataError, match="8 pixels cannot be halved 4 times"):
        build(SkipsConfig(layer="conv", blocks=5), *ON_DIGITS)
