"""Meta-learning: second derivatives, episodes, and the chip's inner loop on many episodes at once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from zoo_data import write_tiny_nmnist

from spikeport.deploy.compile import CompileOptions
from spikeport.deploy.learning.layer import plastic_layer, with_room
from spikeport.deploy.on_chip_learning import Learning, learn
from spikeport.deploy.zoo import meta, meta_choice
from spikeport.deploy.zoo.deployed import deploy_run
from spikeport.deploy.zoo.few_shot import OnChip, adapted, imprinted_on_chip, learn_episodes, learnt, right
from spikeport.deploy.zoo.reproduction import Claim, trained
from spikeport.errors import DataError
from spikeport.models.meta.classes import CHOICE, PAIRS, UNSEEN, double_digit_classes, omniglot_classes
from spikeport.models.meta.episodes import Task, draw_episode, draw_episodes, labels_of
from spikeport.models.meta.full_loop import full_accuracy
from spikeport.models.meta.learner import HEAD, inner_loop
from spikeport.models.meta.recipe import MetaConfig, adapted_head, build, features_of, shown, split
from spikeport.models.meta.recipe import trained as learner_of
from spikeport.models.neurons import LIF

SMALL: dict[str, Any] = {"epochs": 1, "outer_steps": 2, "tasks": 2, "queries": 3, "first": 4, "second": 4, "steps": 3}


@pytest.fixture(scope="module")
def tiny_omniglot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 made-up characters of 20 drawers: a stroke each, somewhat shaken."""
    rng = np.random.default_rng(0)
    names = [
        f"{alphabet}/{i}" for alphabet in ("Greek", *CHOICE, *UNSEEN) for i in range(8 if alphabet == "Greek" else 3)
    ]
    images = np.zeros((len(names), 20, 28, 28), np.uint8)
    for character in images:
        rows, columns = rng.integers(4, 24, (2, 6))
        for drawer in character:
            for row, column in zip(rows + rng.integers(-1, 2), columns + rng.integers(-1, 2), strict=True):
                drawer[row - 2 : row + 2, column - 2 : column + 2] = 255
    path = tmp_path_factory.mktemp("omniglot") / "omniglot_small.npz"
    np.savez(path, images=images, names=np.array(names))
    return path


def test_the_outer_gradient_passes_through_the_inner_step_of_a_spiking_neuron() -> None:
    neuron, weight = LIF(0.5), torch.tensor([0.8], requires_grad=True)

    def loss_of(weights: dict[str, torch.Tensor]) -> torch.Tensor:
        return (neuron(weights["w"] * torch.tensor([1.3])) - 0.25).square().sum() + weights["w"].square().sum()

    def outer(second_order: bool) -> torch.Tensor:
        rates = {"w": torch.tensor(0.1)}
        after = loss_of(inner_loop({"w": weight}, rates, loss_of, 1, second_order))
        return torch.autograd.grad(after, weight)[0]

    second = torch.autograd.functional.hessian(lambda w: loss_of({"w": w}), weight.detach())
    assert second.item() != pytest.approx(2.0)  # 2 is the quadratic's own share
    assert outer(True).item() == pytest.approx(outer(False).item() * (1 - 0.1 * second.item()), rel=1e-5)


def test_no_sample_is_in_support_and_query_and_labels_are_the_classes_of_the_samples() -> None:
    task = Task(5, 2, 3)
    episodes = draw_episodes(9, 6, task, 50, 0)
    for support, query in zip(episodes.support, episodes.query, strict=True):
        assert not set(support) & set(query)
        assert np.array_equal(support[::2] // 6, query[::3] // 6)
        assert len(set(support // 6)) == 5
    given, asked = draw_episode(9, 6, task)
    assert (given // 6)[::2].tolist() == (asked // 6)[::3].tolist()
    assert [len(labels) for labels in labels_of(task)] == [10, 15]
    with pytest.raises(DataError, match="cannot be drawn from 4 classes"):
        draw_episodes(4, 6, task, 1, 0)


def test_unseen_alphabets_are_for_test_and_rotations_are_classes_of_their_own(tiny_omniglot: Path) -> None:
    both = omniglot_classes(tiny_omniglot)
    assert both.train.frames.shape == (56, 20, 1, 1, 14, 14)
    assert both.test.frames.shape == (6, 20, 1, 1, 14, 14)
    assert np.array_equal(np.rot90(both.train.frames[0, 0, 0, 0]), both.train.frames[14, 0, 0, 0])
    assert both.test.flat(3).shape == (120, 3, 1, 14, 14)
    held_back = omniglot_classes(tiny_omniglot, rotations=False, held_back=True)
    assert held_back.train.frames.shape[0] == 8
    assert np.array_equal(held_back.choice.frames, both.choice.frames)
    learnt_too = {frames.tobytes() for frames in held_back.train.frames.reshape(-1, 14 * 14)}
    assert not learnt_too & {frames.tobytes() for frames in held_back.choice.frames.reshape(-1, 14 * 14)}


@pytest.fixture(scope="module")
def many_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings enough for two-digit numbers, in one folder with Omniglot."""
    path = tmp_path_factory.mktemp("both") / "nmnist.npz"
    write_tiny_nmnist(path, 620, 80)
    return path


def test_two_digits_stand_side_by_side_and_recordings_for_test_are_not_learnt(many_recordings: Path) -> None:
    def halves(frames: np.ndarray) -> set[bytes]:
        return {half.tobytes() for half in np.concatenate(np.split(frames.reshape(-1, 4, 2, 17, 34), 2, -1))}

    parts = double_digit_classes(many_recordings, 4, 0)
    held_back = double_digit_classes(many_recordings, 4, 0, held_back=True)
    assert (len(parts.train), len(parts.test), len(held_back.train), len(held_back.choice)) == (80, 20, 64, 16)
    assert parts.train.frames.shape[1:] == (PAIRS, 4, 2, 17, 34)
    assert np.array_equal(held_back.test.frames, parts.test.frames)
    assert not halves(parts.train.frames) & halves(parts.test.frames)
    assert not halves(held_back.train.frames) & halves(held_back.choice.frames)
    for number in parts.test.frames:
        assert all(len({f.tobytes() for f in half}) == PAIRS for half in np.split(number, 2, -1))


def test_two_digit_numbers_want_recordings_enough(tiny_nmnist: Path) -> None:
    with pytest.raises(DataError, match="need 48"):
        double_digit_classes(tiny_nmnist, 4, 0)


@pytest.mark.parametrize("mode", ["anil", "maml", "maml-first-order", "supervised", "random"])
def test_every_mode_trains_and_deploys(mode: str, tiny_omniglot: Path, tmp_path: Path) -> None:
    run, recipe, figures = trained("meta", SMALL | {"mode": mode}, tiny_omniglot, tmp_path / mode)
    deployed = deploy_run(run, recipe, "loihi2", options=CompileOptions(split="never"))
    assert deployed.deployment.network.populations["sum"].size == 5
    assert figures["inner_rate"] > 0
    if mode.startswith("maml"):
        episodes = draw_episodes(6, 20, Task(5, 1, 2), 3, 0)
        assert 0 <= full_accuracy(learner_of(run), split(run).test.flat(3), episodes) <= 1


def test_double_digits_train(many_recordings: Path, tmp_path: Path) -> None:
    run, recipe, _ = trained("meta", SMALL | {"set": "double-digits", "steps": 2}, many_recordings, tmp_path / "run")
    assert recipe.samples(run).test.frames.shape[1:] == (2, 2, 17, 34)
    assert recipe.network(run).shapes["input"] == (2, 17, 34)


def test_episodes_that_the_data_cannot_give_are_refused_before_training(tiny_omniglot: Path, tmp_path: Path) -> None:
    for settings in ({"shots": 18}, {"way": 7}):  # 20 samples of a class; 6 classes for test
        with pytest.raises(DataError, match="cannot be drawn"):
            trained("meta", SMALL | settings, tiny_omniglot, tmp_path / next(iter(settings)))


@pytest.fixture(scope="module")
def small_run(tiny_omniglot: Path, tmp_path_factory: pytest.TempPathFactory):
    settings = SMALL | {"first": 8, "second": 16, "gain": 5.0}
    return trained("meta", settings, tiny_omniglot, tmp_path_factory.mktemp("run") / "anil")


@pytest.mark.parametrize("most", [40, 40_000])
def test_many_episodes_at_once_learn_as_one_deployment_does(most: int, small_run) -> None:
    run, recipe, _ = small_run
    given = deploy_run(run, recipe, "loihi2", options=CompileOptions(split="never")).deployment
    deployment = with_room(given, most)
    layer, frames = plastic_layer(deployment), split(run).test.flat(3)
    assert (layer.synapses.weight_exp < 0) == (most == 40_000)
    spikes = deployment.run(frames, record=[layer.hidden]).spikes[layer.hidden].reshape(len(frames), 3, -1)
    episodes, turns = draw_episodes(6, 20, Task(5, 2, 4), 4, 0), np.arange(10).reshape(5, 2).T.ravel()
    weights, costs = learn_episodes(layer, layer.weights, spikes, episodes, OnChip(8, 0.2, 2))
    labels, how = episodes.support_labels[turns], Learning(0.2, 2)
    single = [learn(deployment, frames[support[turns]], labels, how) for support in episodes.support]
    for together, alone in zip(weights, single, strict=True):
        assert np.array_equal(together, plastic_layer(alone.deployment).weights)
        assert not np.array_equal(together, layer.weights)
    assert costs.weight_updates == sum(alone.costs.weight_updates for alone in single)


def test_batched_float_loop_equals_torchs(small_run) -> None:
    run, _, _ = small_run
    learner, (support, _) = learner_of(run), shown(run)
    features = features_of(learner, support.frames)
    episodes = draw_episodes(5, 1, Task(5, 1, 0), 1, 0)
    order = episodes.support[0]
    head = adapted_head(learner, features[order], episodes.support_labels, 3)
    rate = learner.rates()[HEAD].item()
    found = adapted(learner.head.detach().numpy(), features, episodes, rate, 3)[0]
    assert np.allclose(found, head.numpy(), atol=1e-5)


def test_a_head_that_knows_nothing_is_at_chance_and_ties_go_to_the_lowest_class() -> None:
    episodes = draw_episodes(6, 4, Task(3, 1, 3), 5, 0)
    assert right(np.zeros((5, 3, 7)), np.ones((24, 7)), episodes) == pytest.approx(1 / 3)


def test_supervised_training_sees_as_many_images_as_an_outer_step() -> None:
    config = MetaConfig(mode="supervised", first=2, second=2)
    learner = build(config, (1, 14, 14))
    from spikeport.models.meta.recipe import Classifier, _supervised_losses

    seen = []
    net = Classifier(learner, 6)
    net.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    next(_supervised_losses(net, torch.zeros(60, 1, 1, 14, 14), config, 10))
    assert seen == [config.tasks * config.way * (config.shots + config.queries)]


def test_settings_are_chosen_on_classes_held_back(
    tiny_omniglot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meta_choice, "EPISODES", 20)
    monkeypatch.setattr(meta_choice, "QUERIES", 3)
    monkeypatch.setattr(meta_choice, "CANDIDATES", ({"gain": 1e-3}, {"gain": 5.0}))
    settings = SMALL | {"mode": "random", "set": "omniglot", "seed": 0, "first": 8, "second": 16}
    choice = meta_choice.choose(settings, tiny_omniglot, tmp_path, lambda _text: None)
    assert choice.settings == {"gain": 5.0}  # with the other nothing spikes, and all answers are the lowest class
    assert choice.accuracy > 0.4
    assert set(choice.rates) == {1, 5}
    assert all(json.loads(path.read_text())["config"]["held_back"] for path in tmp_path.rglob("run.json"))


def test_the_reproduction_has_every_row_for_every_seed(
    tiny_omniglot: Path, many_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for path in (tiny_omniglot, many_recordings):
        (data / path.name).write_bytes(path.read_bytes())
    small = SMALL | {"steps": 2, "gain": 5.0}
    modes = {kind: dict.fromkeys(of_set, small) for kind, of_set in meta.MODES.items()}
    monkeypatch.setattr(meta, "MODES", modes)
    monkeypatch.setattr(meta, "EPISODES", 10)
    monkeypatch.setattr(meta_choice, "EPISODES", 10)
    monkeypatch.setattr(meta_choice, "CANDIDATES", ({"gain": 5.0},))
    monkeypatch.setattr(meta, "lava_claim", lambda _deployments: Claim("Lava", None, ""))
    found = meta.reproduce(data, tmp_path / "runs", (0, 1), lambda _text: None)
    omniglot, digits = (table for table in found.tables if "episodes" in table.title and table.heads.get("5"))
    for table, rows in ((omniglot, 18), (digits, 14)):
        assert len(table.rows) == rows
        assert all(len(row[shots].values) == 2 for row in table.rows for shots in ("1", "5"))


@pytest.mark.slow
def test_the_chips_inner_loop_costs_little_accuracy_on_unseen_alphabets(shared_data: Path, tmp_path: Path) -> None:
    run, recipe, _ = trained("meta", {"outer_steps": 20}, shared_data, tmp_path / "run")
    hidden = meta._hidden(deploy_run(run, recipe, "loihi2", options=meta.ONE_GROUP), run)
    learner, frames = learner_of(run), split(run).test.flat(5)
    episodes = draw_episodes(len(frames) // 20, 20, Task(5, 1, 10), 300, 0)
    head, rate = learner.head.detach().numpy(), learner.log_rates[0].exp().item()
    features = features_of(learner, frames)
    in_floats = right(adapted(head, features, episodes, rate, 5), features, episodes)
    start = np.rint(head * hidden.layer.unit).astype(np.int64)
    for bits, allowed in ((8, 0.04), (6, 0.04), (4, 0.06)):
        chip, _ = learnt(hidden.layer, start, hidden.spikes, episodes, OnChip(bits, rate / 5))
        assert chip > in_floats - allowed
        assert chip > 2.5 * 0.2
    assert abs(right(np.repeat(head[None], 300, 0), features, episodes) - 0.2) < 0.03
    assert imprinted_on_chip(hidden.layer, hidden.spikes, episodes) > 2.5 * 0.2
