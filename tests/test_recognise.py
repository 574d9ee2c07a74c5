"""Which set of recordings lies at a path, and that every method that takes recordings takes it."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from event_recordings import (
    atis,
    write_cifar10_dvs,
    write_cifar10_images,
    write_class_folders,
    write_gestures,
    write_ncaltech,
    write_nmnist_folders,
    write_shd,
)
from PIL import Image
from torch import nn

from spikeport.converters.network import Conv
from spikeport.deploy.zoo.deployed import deploy_run, will_not_deploy
from spikeport.deploy.zoo.reproduction import trained
from spikeport.errors import DataError, ModelError
from spikeport.models import zoo
from spikeport.models.data.photographs import photographs
from spikeport.models.data.recognise import event_frames, recognise
from spikeport.models.data.sets import omniglot
from spikeport.models.data.walk import folders
from spikeport.models.layers import convolutions
from spikeport.models.neurons import LIF
from spikeport.models.skips.recipe import SkipsConfig
from spikeport.models.training.run_folder import start_run
from spikeport.models.transfer.static import static_samples

Write = Callable[[Path], None]
FORMS: list[tuple[Write, str, int, tuple[int, ...], tuple[int, int]]] = [
    (write_nmnist_folders, "N-MNIST", 10, (2, 17, 17), (60, 60)),
    (write_cifar10_dvs, "CIFAR10-DVS", 10, (2, 32, 32), (90, 10)),
    (write_gestures, "DVS128 Gesture", 11, (2, 32, 32), (44, 22)),
    (write_shd, "SHD", 20, (1, 1, 140), (60, 60)),
    (write_ncaltech, "N-Caltech101", 3, (2, 30, 40), (27, 3)),
]


@pytest.mark.parametrize(("write", "name", "classes", "shape", "sizes"), FORMS)
def test_a_public_set_is_recognised_by_what_lies_there(
    tmp_path: Path, write: Write, name: str, classes: int, shape: tuple[int, ...], sizes: tuple[int, int]
) -> None:
    write(tmp_path / "some" / "folder")
    frames = event_frames(tmp_path, 4)
    assert (frames.source.name, frames.source.classes, frames.shape) == (name, classes, shape)
    assert (len(frames.parts.train), len(frames.parts.test)) == sizes
    assert set(frames.parts.train.labels) == set(range(classes))
    given = frames.divided(seed=1, held_out=5)
    assert len(given.test) == sizes[1]
    assert "as the set divides them" in given.test.findings[0].message
    assert given.train.labels.tolist() != frames.parts.train.labels.tolist()
    assert sorted(given.train.labels) == sorted(frames.parts.train.labels)


def test_pool_and_seconds_are_the_users_to_choose(tmp_path: Path) -> None:
    write_cifar10_dvs(tmp_path)
    assert event_frames(tmp_path, 4, pool=8).shape == (2, 16, 16)
    late = event_frames(tmp_path, 4, seconds=0.6).parts.train.findings
    assert "come after 0.6 s and were left out" in late[-1].message
    with pytest.raises(DataError, match="pooling 3 x 3 pixels does not divide a sensor of 128 x 128"):
        event_frames(tmp_path, 4, pool=3)


def test_few_recordings_in_one_file_are_split_by_the_seed(tiny_nmnist: Path) -> None:
    frames = event_frames(tiny_nmnist, 4)
    assert (frames.source.name, frames.shape) == ("N-MNIST", (2, 17, 17))
    given = frames.divided(seed=1, held_out=5)
    assert (len(given.train), len(given.test)) == (115, 5)


def test_recordings_of_ones_own_are_folders_of_classes(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "mine", ("left", "right"), 10, ".aedat", 128, 2.0)
    (tmp_path / "mine" / ".cache").mkdir()
    with pytest.raises(DataError, match="recordings in mine: how long they last is not known; say so with"):
        event_frames(tmp_path / "mine", 4)
    frames = event_frames(tmp_path / "mine", 4, seconds=2.0)
    assert (frames.source.name, frames.source.classes, frames.shape) == ("recordings in mine", 2, (2, 32, 32))
    assert frames.parts.test.labels.tolist() == [0, 1]


def test_class_missing_in_one_part_shifts_no_label(tmp_path: Path) -> None:
    for part, names in (("Train", ("a", "b", "c")), ("Test", ("a", "c"))):
        write_class_folders(tmp_path / part, names, 2, ".bin", 34, 0.3)
    frames = event_frames(tmp_path, 2)
    assert (frames.source.classes, frames.shape) == (3, (2, 30, 40))
    assert sorted(set(frames.parts.test.labels)) == [0, 2]
    write_class_folders(tmp_path / "Test", ("d",), 1, ".bin", 34, 0.3)
    with pytest.raises(DataError, match="Test has d, and Train only a, b, c"):
        event_frames(tmp_path, 3)


def test_digits_that_are_missing_shift_no_label(tmp_path: Path) -> None:
    for part in ("Train", "Test"):
        write_class_folders(tmp_path / part, ("0", "7"), 2, ".bin", 34, 0.3)
    frames = event_frames(tmp_path, 2)
    assert (frames.source.name, frames.source.classes, frames.shape) == ("N-MNIST", 10, (2, 17, 17))
    assert frames.parts.test.labels.tolist() == [0, 0, 7, 7]


def test_a_folders_name_makes_no_public_set(tmp_path: Path) -> None:
    write_class_folders(tmp_path / "CIFAR10-DVS", ("airplane", "cat", "dog"), 10, ".aedat", 128, 1.0)
    assert event_frames(tmp_path / "CIFAR10-DVS", 2, seconds=1.0).source.name == "recordings in CIFAR10-DVS"


def test_linked_folders_are_looked_into_once(tmp_path: Path) -> None:
    write_shd(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "root").symlink_to("/")
    (tmp_path / "data" / "__MACOSX" / "Train" / "0").mkdir(parents=True)
    assert recognise(tmp_path / "data").name == "SHD"
    assert list(folders(tmp_path / "data")) == [tmp_path / "data", tmp_path / "data" / "link"]


def test_annotations_and_hidden_files_are_no_recordings(tmp_path: Path) -> None:
    write_ncaltech(tmp_path / "Caltech101")
    write_class_folders(
        tmp_path / "annotations", ("accordion", "airplanes", "yin_yang"), 2, ".bin", 34, 0.3, "annotation_"
    )
    (tmp_path / "Caltech101" / "airplanes" / "._image_00001.bin").write_bytes(b"no recording")
    frames = event_frames(tmp_path, 2)
    assert (frames.source.name, len(frames.parts.train)) == ("N-Caltech101", 27)


def test_a_bad_recording_is_named(tmp_path: Path) -> None:
    write_nmnist_folders(tmp_path, each=2)
    (tmp_path / "Train" / "3" / "00001.bin").write_bytes(atis((1, 200, 0, 5)))
    with pytest.raises(DataError, match=r"3/00001\.bin: events reach from y = 200 to 200"):
        event_frames(tmp_path, 2)


def test_class_with_less_than_ten_recordings_is_refused(tmp_path: Path) -> None:
    write_class_folders(tmp_path, ("a", "b"), 9, ".bin", 34, 0.3)
    with pytest.raises(DataError, match="every tenth recording of a class is for test, and one class has only 9"):
        event_frames(tmp_path, 2)


def test_a_training_says_what_it_found(tmp_path: Path) -> None:
    write_gestures(tmp_path, persons=3)
    said = "DVS128 Gesture: 11 recordings to learn from and 22 for test, as the set divides them; 11 classes, 2 x 128 x"
    assert event_frames(tmp_path, 4, pool=8).divided(0, 1).findings[0].message.startswith(said)


class _Camera:
    """What the package aedat gives for a recording of a camera of 40 x 30 pixels."""

    def __init__(self, path: Path) -> None:
        fields = [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")]
        self.events = np.array([(10**15, 39, 29, True), (10**15 + 5, 0, int(path.stem), False)], fields)

    def id_to_stream(self) -> dict[int, dict[str, Any]]:
        return {0: {"type": "frame"}, 3: {"type": "events", "width": 40, "height": 30}}

    def __iter__(self) -> Any:
        return iter([{"stream_id": 0, "frame": {}}, {"stream_id": 3, "events": self.events}])


def test_aedat4_recordings_say_how_large_their_sensor_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "aedat", SimpleNamespace(Decoder=_Camera))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for index in range(10):
            (tmp_path / name / f"{index}.aedat4").touch()
    frames = event_frames(tmp_path, 1, seconds=1e-3)
    assert frames.shape == (2, 30, 40)
    assert [tuple(map(int, at)) for at in np.argwhere(frames.parts.test.frames[1, 0])] == [(0, 9, 0), (1, 29, 39)]


def test_path_without_recordings_is_told_what_is_taken(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no event recordings in a form that is known: nmnist\.npz; N-MNIST's Train"):
        recognise(tmp_path)
    (tmp_path / "shd_train.h5").touch()
    with pytest.raises(DataError, match="of others give the folder"):
        recognise(tmp_path / "shd_train.h5")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        recognise(tmp_path / "nowhere")


def test_folder_with_two_sets_is_ambiguous(tmp_path: Path) -> None:
    write_shd(tmp_path / "shd")
    write_gestures(tmp_path / "gestures", persons=3)
    with pytest.raises(DataError, match=r"more than one set of recordings: .*gestures, .*shd; give the path of one"):
        recognise(tmp_path)


def test_labels_beyond_the_classes_are_refused(tmp_path: Path) -> None:
    write_shd(tmp_path)
    with h5py.File(tmp_path / "shd_test.h5", "a") as file:
        file["labels"][0] = 20
    with pytest.raises(DataError, match="SHD has 20 classes, but labels from 0 to 20"):
        event_frames(tmp_path, 2)


SMALL: dict[str, Any] = {"epochs": 2, "steps": 4}
LEARNT: list[tuple[str, Write, dict[str, Any], tuple[int, ...], int]] = [
    ("seenn", write_gestures, {"hidden": 16, "calibration": 8, "folds": 2, "policy_epochs": 1}, (2, 32, 32), 11),
    ("da-lif", write_shd, {"hidden": 16}, (1, 1, 140), 20),
    ("skips", write_nmnist_folders, {"data_set": "events", "width": 8, "depth": 3, "n_skip": 1}, (2, 17, 17), 10),
    ("seenn", write_nmnist_folders, {"layers": "4,p,6,p", "calibration": 8, "folds": 2, "policy_epochs": 1},
     (2, 17, 17), 10),
    ("da-lif", write_gestures, {"layers": "4,p,6,p", "pool": 8}, (2, 16, 16), 11),
    ("skips", write_gestures, {"data_set": "events", "layer": "conv", "width": 4, "depth": 2, "pool": 8},
     (2, 16, 16), 11),
]  # fmt: skip


@pytest.mark.parametrize(("method", "write", "settings", "shape", "classes"), LEARNT)
def test_a_method_learns_and_deploys_what_it_is_given(
    tmp_path: Path, method: str, write: Write, settings: dict[str, Any], shape: tuple[int, ...], classes: int
) -> None:
    write(tmp_path / "data")
    run, recipe, _ = trained(method, SMALL | settings, tmp_path / "data", tmp_path / "run")
    network = recipe.network(run)
    assert tuple(network.nodes[network.inputs[0]].shape) == shape
    deployed = deploy_run(run, recipe, "loihi2")
    assert deployed.run.output.shape[-1] == classes
    assert len(deployed.classes) == len(recipe.samples(run).test)
    assert "recordings" in {f.code for f in deployed.findings}


def test_transfer_takes_colour_pictures_beside_their_recordings(tmp_path: Path) -> None:
    write_cifar10_dvs(tmp_path / "recordings")
    settings = SMALL | {"labelled": 20, "channels": 2, "hidden": 8, "batch": 10, "images": 50}
    with pytest.raises(DataError, match=r"data_batch_1\.bin"):
        trained("transfer", settings, tmp_path, tmp_path / "run")
    write_cifar10_images(tmp_path / "pictures")
    run, recipe, figures = trained("transfer", settings, tmp_path, tmp_path / "run")
    assert 0 <= figures["cka"] <= 1
    parts = recipe.samples(run)
    assert (len(parts.train), len(parts.test)) == (20, 10)
    assert np.bincount(parts.train.labels).tolist() == [2] * 10
    assert deploy_run(run, recipe, "loihi2").run.output.shape[-1] == 10


def test_transfer_takes_photographs_beside_their_recordings(tmp_path: Path) -> None:
    write_ncaltech(tmp_path / "recordings")
    settings = SMALL | {"labelled": 6, "channels": 2, "hidden": 8, "batch": 6, "images": 50}
    with pytest.raises(DataError, match=r"no folders of classes with .* pictures, such as accordion"):
        trained("transfer", settings, tmp_path, tmp_path / "run")
    for height, name in enumerate(("accordion", "airplanes", "yin_yang"), 1):
        (tmp_path / "101_ObjectCategories" / name).mkdir(parents=True)
        for index in (8, 9):
            picture = Image.new("RGB", (120, 30 * height), (0, 200, 40))
            picture.save(tmp_path / "101_ObjectCategories" / name / f"image_{index:04}.jpg")
    read = photographs(tmp_path, ("yin_yang", "accordion"), (180, 240))
    assert read.labels.tolist() == [0, 0, 1, 1]
    assert [int((v > 100).any(1).sum()) for v in read.frames] == [180, 180, 60, 60]
    run, recipe, _ = trained("transfer", settings, tmp_path, tmp_path / "run")
    assert deploy_run(run, recipe, "loihi2").run.output.shape[-1] == 3
    with pytest.raises(DataError, match="labelled=50: equally many of 3 classes; give a multiple of that"):
        trained("transfer", settings | {"labelled": 50}, tmp_path, tmp_path / "other")


def test_no_picture_of_a_judged_recording_is_learnt_from(tmp_path: Path) -> None:
    write_ncaltech(tmp_path / "recordings", each=20)
    for name in ("accordion", "airplanes", "yin_yang"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(20):
            Image.new("RGB", (24, 18), (10 * index, 0, 0)).save(tmp_path / "pictures" / name / f"image_{index:05}.png")
    given = static_samples(recognise(tmp_path), tmp_path)
    assert len(given) == 54
    assert sorted({int(v.max()) for v in given.frames}) == [10 * index for index in range(20) if index % 10 != 9]


def test_pictures_are_told_by_their_numbers(tmp_path: Path) -> None:
    write_ncaltech(tmp_path / "recordings")
    for name in ("accordion", "airplanes", "yin_yang"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in (3, 9):
            Image.new("RGB", (24, 18), (10 * index, 0, 0)).save(tmp_path / "pictures" / name / f"image_{index}.jpg")
    assert len(static_samples(recognise(tmp_path), tmp_path)) == 3
    (tmp_path / "pictures" / "airplanes" / "image_9.jpg").rename(tmp_path / "pictures" / "airplanes" / "image_8.jpg")
    photographs.cache_clear()
    with pytest.raises(DataError, match=r"airplanes has no picture 9, though there is a recording of it"):
        static_samples(recognise(tmp_path), tmp_path)


def test_classes_without_a_picture_are_named(tmp_path: Path) -> None:
    write_cifar10_dvs(tmp_path / "recordings")
    write_cifar10_images(tmp_path / "pictures")
    with pytest.raises(DataError, match=r"images=10 of 150: none of \w+ was drawn; draw more"):
        trained("transfer", SMALL | {"labelled": 20, "images": 10}, tmp_path, tmp_path / "run")


def test_network_that_fits_no_core_is_told_before_training(tmp_path: Path) -> None:
    write_nmnist_folders(tmp_path / "data")
    recipe = zoo.recipe("seenn")

    def told(**settings: Any) -> list[str]:
        run = start_run(tmp_path / "run", "seenn", recipe.config(steps=2, **settings), tmp_path / "data")
        return [f.code for f in will_not_deploy(run, recipe, "loihi2")]

    assert told(layers="vgg-snn") == ["will-not-deploy"]
    assert told(layers="64,p,128,p") == ["will-not-deploy"]
    assert told(layers="32,p,64,p,32") == []
    assert told() == []


def test_settings_of_recordings_are_refused_for_digits() -> None:
    with pytest.raises(DataError, match="pool and seconds are for recordings; they go with data_set=events"):
        SkipsConfig(pool=2)


def test_picture_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.jpg cannot be read as a picture"):
        photographs(tmp_path, ("cat",), (8, 8))
    with pytest.raises(DataError, match="dog holds no pictures"):
        photographs(tmp_path, ("cat", "dog"), (8, 8))


def test_omniglot_is_read_as_its_authors_distribute_it(tmp_path: Path) -> None:
    home = tmp_path / "omniglot" / "images_background"
    for alphabet in ("Korean", "Latin"):
        (home / alphabet / "character01").mkdir(parents=True)
        for drawer in range(20):
            drawing = np.full((105, 105), 255, np.uint8)
            drawing[:, drawer : drawer + 15] = 0
            Image.fromarray(drawing).convert("1").save(home / alphabet / "character01" / f"01_{drawer:02}.png")
    images, names = omniglot(tmp_path)
    assert names.tolist() == ["Korean/character01", "Latin/character01"]
    assert images.shape == (2, 20, 28, 28)
    assert images[0, 0, 5].tolist() == [255] * 4 + [0] * 24
    assert images[1, 15, 5].tolist() == [0] * 4 + [255] * 4 + [0] * 20
    (home / "Latin" / "character01" / "01_00.png").unlink()
    with pytest.raises(DataError, match="holds 19 drawings; Omniglot has 20 of every character"):
        omniglot(tmp_path)


def test_transfer_without_pictures_of_the_same_classes_is_refused(tmp_path: Path) -> None:
    write_shd(tmp_path)
    with pytest.raises(DataError, match="no static images are known that go with SHD; there are for N-MNIST"):
        trained("transfer", SMALL | {"labelled": 20}, tmp_path, tmp_path / "run")


def test_body_of_the_papers_size_is_a_setting(tmp_path: Path) -> None:
    layers, features = convolutions("vgg-snn", (2, 48, 48), LIF)
    channels = [part.out_channels for part in layers.values() if isinstance(part, nn.Conv2d)]
    assert channels == [64, 128, 256, 256, 512, 512, 512, 512]
    assert features == 512 * 3 * 3
    with pytest.raises(DataError, match="'x' is no number of channels, nor p for a pool, nor vgg-snn"):
        convolutions("4,x", (2, 8, 8), LIF)
    with pytest.raises(DataError, match="nothing but pools has no neurons"):
        convolutions("p,p", (2, 8, 8), LIF)
    with pytest.raises(DataError, match="frames of 8 x 8 pixels cannot be halved 4 times"):
        convolutions("4,p,p,p,p", (2, 8, 8), LIF)
    write_nmnist_folders(tmp_path / "data")
    np.savez(tmp_path / "mnist.npz", **{k: np.zeros((20, 28, 28), np.uint8) for k in ("train", "test")},
             train_y=np.arange(20) % 10, test_y=np.arange(20) % 10)  # fmt: skip
    settings = SMALL | {"labelled": 20, "hidden": 8, "batch": 10, "images": 20, "layers": "3,p,4"}
    run, recipe, _ = trained("transfer", settings, tmp_path, tmp_path / "run")
    convolved = [n for n in recipe.network(run).nodes.values() if isinstance(n, Conv)]
    assert [n.weight.shape[0] for n in convolved] == [3, 4]


def test_run_is_not_deployed_on_recordings_of_other_classes(tmp_path: Path) -> None:
    write_shd(tmp_path / "shd")
    write_nmnist_folders(tmp_path / "nmnist")
    run, recipe, _ = trained("da-lif", SMALL | {"hidden": 8}, tmp_path / "shd", tmp_path / "run")
    with pytest.raises(ModelError, match="is of another network"):
        deploy_run(replace(run, data=tmp_path / "nmnist"), recipe, "loihi2")
