from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikeport.errors import DataError, ModelError
from spikeport.models.data.samples import Samples
from spikeport.models.neurons import LIF
from spikeport.models.training.checkpoint import read_checkpoint
from spikeport.models.training.config import TrainingConfig, read_config
from spikeport.models.training.evaluate import accuracy, firing_rates
from spikeport.models.training.fit import Stage, Watch, fit, schedule
from spikeport.models.training.losses import batch_losses, batches_of, rate_loss, tet_loss
from spikeport.models.training.run_folder import RunFolder, finish_run, open_run, start_run


def task() -> tuple[nn.Module, Samples]:
    """Dropout and batch norm: a network whose training draws numbers and keeps statistics."""
    torch.manual_seed(3)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 50)
    rates = np.eye(3).repeat(4, axis=1)[labels] * 0.5 + 0.1
    frames = (rng.random((50, 6, 12)) < rates[:, None]).astype(np.uint8)
    net = nn.Sequential(nn.Linear(12, 20), nn.BatchNorm1d(20), LIF(), nn.Dropout(0.2), nn.Linear(20, 3), LIF())
    return net, Samples(frames, labels)


def run(config: TrainingConfig, stage: Stage | None = None, watch: Watch | None = None) -> dict[str, Tensor]:
    net, samples = task()
    losses = batch_losses(net, samples, config.batch, rate_loss)
    fit(net, losses, config, batches_of(samples, config.batch), stage, watch)
    return net.state_dict()


def stop_at(epoch: int) -> Callable[[int, int], None]:
    def progress(done: int, _total: int) -> None:
        if done == epoch:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_stopped_and_continued_training_ends_with_the_same_bits(tmp_path: Path, optimizer: str) -> None:
    config = read_config(TrainingConfig, {"epochs": 5, "batch": 16, "optimizer": optimizer, "schedule": "one-cycle"})
    stage = Stage(tmp_path / "net.safetensors", every_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        run(config, stage, Watch(progress=stop_at(2)))
    continued, whole = run(config, stage), run(config)
    assert all(torch.equal(continued[name], whole[name]) for name in whole)
    assert any(name.endswith("running_mean") for name in whole)


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    config, stage = TrainingConfig(epochs=2), Stage(tmp_path / "net.safetensors")
    first = run(config, stage)
    seen: list[int] = []
    again = run(config, stage, Watch(progress=lambda done, total: seen.append(done)))
    assert seen == []
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_other_settings_do_not_continue_a_training(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "net.safetensors")
    run(TrainingConfig(epochs=1), stage)
    with pytest.raises(ModelError, match=r"batch=64 \(asked for: 32\)"):
        run(TrainingConfig(epochs=1, batch=32), stage)


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "net.safetensors")
    run(TrainingConfig(epochs=1), stage)
    with pytest.raises(ModelError, match="another network"):
        read_checkpoint(stage.path, nn.Linear(3, 3))


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read as a saved training"):
        read_checkpoint(path, nn.Linear(3, 3))


def test_training_learns_and_reports_every_epoch() -> None:
    net, samples = task()
    config = TrainingConfig(epochs=15, batch=16)
    logged: list[int] = []
    watch = Watch(figures=lambda: {"right": accuracy(net, samples)}, log=lambda epoch, figures: logged.append(epoch))
    history = fit(net, batch_losses(net, samples, 16, rate_loss), config, batches_of(samples, 16), None, watch)
    assert logged == list(range(15))
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["right"] > 0.8
    rates = firing_rates(net, samples.frames)
    assert set(rates) == {"2", "5"}
    assert all(0 < rate < 1 for rate in rates.values())


def test_what_is_logged_bears_the_name_of_its_stage(tmp_path: Path) -> None:
    net, logged = nn.Linear(2, 2), []
    watch = Watch(log=lambda epoch, figures: logged.append((epoch, *figures)))
    stage = Stage(tmp_path / "fold1.safetensors")
    fit(net, lambda epoch: iter([net.weight.sum()]), TrainingConfig(epochs=2), 1, stage, watch)
    assert logged == [(0, "fold1/loss"), (1, "fold1/loss")]


def test_loss_that_is_not_finite_stops_the_training() -> None:
    net = nn.Linear(2, 2)
    with pytest.raises(ModelError, match="the loss became nan in epoch 1"):
        fit(net, lambda epoch: iter([net.weight.sum() * float("nan")]), TrainingConfig(epochs=1), 1)


def test_schedules_begin_and_end_where_they_should() -> None:
    config = {name: TrainingConfig(schedule=name) for name in ("constant", "cosine", "one-cycle")}
    assert [schedule(config["constant"], done) for done in (0.0, 1.0)] == [1.0, 1.0]
    assert [schedule(config["cosine"], done) for done in (0.0, 1.0)] == [1.0, 0.0]
    assert [schedule(config["one-cycle"], done) for done in (0.0, 0.1, 1.0)] == [0.0, 1.0, 0.0]


def test_parameters_may_learn_at_rates_of_their_own() -> None:
    torch.manual_seed(0)
    net = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    config = TrainingConfig(epochs=1, optimizer="sgd", schedule="constant")
    fit(net, lambda epoch: iter([net(torch.ones(1, 2)).sum()]), config, 1, rate_of=lambda n: float(n == "bias"))
    assert torch.equal(net.weight, before["weight"])
    assert not torch.equal(net.bias, before["bias"])


def test_tet_loss_of_one_step_is_cross_entropy_and_pull() -> None:
    logits, labels = torch.tensor([[[2.0, 0.0]]]), torch.tensor([0])
    cross = float(nn.functional.cross_entropy(logits[:, 0], labels))
    assert float(tet_loss(logits, labels, weight=0.25)) == pytest.approx(0.75 * cross + 0.25 * 1.0)


def test_settings_are_checked_where_they_enter() -> None:
    with pytest.raises(DataError, match="no setting 'epoch'; there are seed, epochs"):
        read_config(TrainingConfig, {"epoch": 3})
    with pytest.raises(DataError, match=r"setting epochs='many'"):
        read_config(TrainingConfig, {"epochs": "many"})
    assert read_config(TrainingConfig, {"epochs": "7"}).epochs == 7


def test_folder_of_another_training_is_refused(tmp_path: Path) -> None:
    begun = start_run(tmp_path / "run", "da-lif", TrainingConfig(), tmp_path)
    begun.stage("net").path.touch()
    assert start_run(tmp_path / "run", "da-lif", TrainingConfig(), tmp_path) == begun
    with pytest.raises(ModelError, match=r"seed=0 \(asked for: 1\)"):
        start_run(tmp_path / "run", "da-lif", TrainingConfig(seed=1), tmp_path)
    with pytest.raises(ModelError, match="with method da-lif, not seenn"):
        start_run(tmp_path / "run", "seenn", TrainingConfig(), tmp_path)


def test_folder_where_nothing_was_trained_yet_takes_other_settings(tmp_path: Path) -> None:
    start_run(tmp_path / "run", "da-lif", TrainingConfig(), tmp_path / "wrong")
    finish_run(start_run(tmp_path / "run", "seenn", TrainingConfig(seed=1), tmp_path), {"accuracy": 0.5})
    run = open_run(tmp_path / "run", TrainingConfig)
    assert (run.method, run.config.seed, run.data) == ("seenn", 1, tmp_path)
    with pytest.raises(ModelError, match=r"seed=1 \(asked for: 0\)"):
        start_run(tmp_path / "run", "seenn", TrainingConfig(), tmp_path)


def test_setting_that_is_younger_than_a_training_counts_with_its_default(tmp_path: Path) -> None:
    class Young(TrainingConfig):
        added: int = 3

    finish_run(start_run(tmp_path / "run", "da-lif", TrainingConfig(), tmp_path), {"accuracy": 0.5})
    start_run(tmp_path / "run", "da-lif", Young(), tmp_path)
    with pytest.raises(ModelError, match=r"added=3 \(asked for: 4\)"):
        start_run(tmp_path / "run", "da-lif", Young(added=4), tmp_path)


def test_only_finished_runs_open(tmp_path: Path) -> None:
    begun: RunFolder[TrainingConfig] = start_run(tmp_path / "run", "da-lif", TrainingConfig(seed=4), tmp_path)
    with pytest.raises(ModelError, match="not finished"):
        open_run(tmp_path / "run", TrainingConfig)
    finish_run(begun, {"accuracy": 0.5})
    assert open_run(tmp_path / "run", TrainingConfig) == begun
    with pytest.raises(ModelError, match="is no run folder"):
        open_run(tmp_path, TrainingConfig)
