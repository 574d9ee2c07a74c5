"""Static-to-event transfer: the paper's losses, and a branch that is deployed without the static head."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeport.deploy.zoo import transfer
from spikeport.deploy.zoo.reproduction import Claim, trained
from spikeport.errors import DataError
from spikeport.models.data.recognise import recognise
from spikeport.models.transfer.losses import linear_cka, sliding_probability
from spikeport.models.transfer.net import TransferNet, small_body
from spikeport.models.transfer.recipe import RECIPE, events_only_statistics
from spikeport.models.transfer.static import static_frames, static_samples

SMALL: dict[str, Any] = {"epochs": 4, "batch": 6, "labelled": 20, "steps": 3, "channels": 4, "hidden": 12, "images": 40}


@pytest.fixture
def both_sets(tiny_nmnist: Path, tmp_path: Path) -> Path:
    """A folder with recordings and images."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "nmnist.npz").write_bytes(tiny_nmnist.read_bytes())
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (90, 28, 28), dtype=np.uint8), np.arange(90) % 10
    labels[:30] = np.load(tiny_nmnist)["test_labels"]
    np.savez(folder / "mnist.npz", train=images[:5], train_y=labels[:5], test=images, test_y=labels)
    return folder


def test_alignment_is_one_for_equal_and_for_turned_features() -> None:
    torch.manual_seed(0)
    x = torch.randn(20, 6, dtype=torch.float64)
    turn, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    assert linear_cka(x, x).item() == pytest.approx(1.0, abs=1e-6)
    assert linear_cka(x, x @ turn).item() == pytest.approx(1.0, abs=1e-6)
    assert linear_cka(x, torch.randn(20, 6, dtype=torch.float64)).item() < 0.6


def test_sliding_starts_at_never_and_ends_at_always() -> None:
    assert sliding_probability(0, 400) == 0.0
    assert sliding_probability(400, 400) == 1.0
    assert sliding_probability(200, 400) == 0.125


def test_static_images_are_the_same_on_both_polarities() -> None:
    images = np.zeros((1, 34, 34), np.uint8)
    images[0, 4:6, 8:10], images[0, 20, 20] = 255, 51
    frames = static_frames(images, (2, 17, 17))
    assert frames.shape == (1, 2, 17, 17)
    np.testing.assert_array_equal(frames[:, 0], frames[:, 1])
    assert {tuple(map(int, at)): float(frames[0, 0][tuple(at)]) for at in np.argwhere(frames[0, 0])} == {
        (2, 4): 1.0,
        (10, 10): pytest.approx(0.05),
    }
    np.testing.assert_array_equal(static_frames(images, (2, 17, 17), negative=True), 1.0 - frames)


def test_digits_lie_in_the_middle_of_what_the_event_sensor_saw(both_sets: Path) -> None:
    given = static_samples(recognise(both_sets), both_sets)
    assert given.frames.shape == (60, 34, 34)  # of 90 images for test the first 30 are those of the recordings for test
    assert not given.frames[:, :3].any()
    assert given.frames[:, 3:31, 3:31].any()
    with pytest.raises(DataError, match=r"is one file; give a folder that holds the recordings and mnist\.npz"):
        static_samples(recognise(both_sets), both_sets / "nmnist.npz")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"test_ids": np.arange(30)}, "train_ids must lie below 60001, and test_ids from there on"),
        ({"test_ids": np.arange(30) + 60_011}, "do not belong to the images in mnist.npz"),
        ({"test_ids": np.array(["a"] * 30)}, "must be the numbers of MNIST's images"),
        ({"test_ids": None}, "has no array test_ids"),
    ],
)
def test_images_are_not_used_where_nobody_knows_what_was_recorded(
    change: dict[str, Any], reason: str, both_sets: Path
) -> None:
    arrays = dict(np.load(both_sets / "nmnist.npz")) | change
    np.savez(both_sets / "nmnist.npz", **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(DataError, match=f"transfer learns from mnist.npz beside the recordings: .*{reason}"):
        static_samples(recognise(both_sets), both_sets)


def test_statistics_of_the_deployed_branch_come_from_events_alone() -> None:
    torch.manual_seed(0)
    net, events = TransferNet(small_body((2, 17, 17), 4), 12, 10, 3), torch.rand(8, 3, 2, 17, 17)
    for _ in range(3):
        net.train()
        net.domain(100 * torch.ones(8, 3, 2, 17, 17), static=True)
    events_only_statistics(net, events)
    conv, norm = net.features.get_submodule("conv1"), net.features.get_submodule("norm1")
    with torch.no_grad():
        expected = conv(events.flatten(0, 1)).mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, expected)


@pytest.mark.parametrize("mode", ["event", "finetune", "joint", "full"])
def test_every_mode_trains_and_deploys_one_head(mode: str, both_sets: Path, tmp_path: Path) -> None:
    run, _, figures = trained("transfer", SMALL | {"mode": mode}, both_sets, tmp_path / "run")
    network = RECIPE.network(run)
    assert 0 <= figures["accuracy"] <= 1
    assert 0 <= figures["cka"] <= 1
    assert len(network.outputs) == 1
    assert not any("static" in name for name in network.nodes)


def test_too_few_recordings_of_a_class_are_refused(both_sets: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="labelled=200: of one class there are"):
        trained("transfer", SMALL | {"labelled": 200}, both_sets, tmp_path / "run")


def test_the_reproduction_has_a_table_for_every_condition(
    both_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "CONDITIONS", ((2, "", {}), (2, ", negatives", {"negative": True})))
    monkeypatch.setattr(transfer, "lava_claim", lambda _deployments: Claim("Lava", None, ""))
    small = {name: value for name, value in SMALL.items() if name != "labelled"}
    monkeypatch.setattr(transfer, "trained", lambda name, asked, *rest: trained(name, {**small, **asked}, *rest))
    found = transfer.reproduce(both_sets, tmp_path / "runs", (0,), lambda _text: None)
    assert [len(table.rows) for table in found.tables] == [4, 3, 2]
    (single,) = (claim for claim in found.claims if "event head alone" in claim.text)
    assert single.holds
