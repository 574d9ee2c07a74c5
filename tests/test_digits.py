"""The network that ships: its data, its training script, its stated figure."""

import numpy as np
import pytest
import torch

from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.codec import parse_encoder
from spikeport.deploy.encode import encode
from spikeport.models import digits
from spikeport.models.digits import train


def test_split_has_1297_and_500_images_and_every_class_in_both() -> None:
    (images, labels), (test_images, test_labels) = digits.load_train(), digits.load_test()
    assert (images.shape, test_images.shape) == ((1297, 1, 8, 8), (500, 1, 8, 8))
    assert (images.min(), images.max()) == (0, 16)
    assert np.bincount(labels).min() > 100
    assert np.bincount(test_labels).min() >= 40
    assert (len(labels), len(test_labels)) == (1297, 500)


def test_no_image_is_in_both_parts() -> None:
    training, test = ({image.tobytes() for image in load()[0]} for load in (digits.load_train, digits.load_test))
    assert not training & test


def test_training_sees_the_spikes_that_the_deployment_sends() -> None:
    images, _ = digits.load_test()
    sent = encode(parse_encoder(digits.ENCODER), images, (1, 8, 8)).floats
    np.testing.assert_array_equal(train.encode(images).transpose(0, 1).numpy(), sent)


def test_exported_network_computes_what_was_trained() -> None:
    torch.manual_seed(1)
    net, spikes = train.DigitsNet(), train.encode(digits.load_test()[0][:20])
    with torch.no_grad():
        counts, rate = net(spikes)
    run = run_float(train.to_network(net), spikes.transpose(0, 1).numpy())
    assert rate > 0.01
    np.testing.assert_array_equal(np.asarray(run.outputs["output"]).sum(1), counts.numpy())


def test_same_seed_trains_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(part[:192] for part in digits.load_train())
    monkeypatch.setattr(train, "load_train", lambda: few)
    monkeypatch.setattr(train, "EPOCHS", 1)
    first, again, other = (train.train(seed).dense.weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shipped_network_reaches_its_stated_figure() -> None:
    images, labels = digits.load_test()
    network = read_nir(digits.network_path(), digits.DIALECT)
    run = run_float(network, encode(parse_encoder(digits.ENCODER), images, (1, 8, 8)).floats)
    counts = np.asarray(run.outputs["output"]).sum(1)
    assert np.mean(counts.argmax(1) == labels) == pytest.approx(digits.FLOAT_ACCURACY, abs=0.002)


def test_shipped_network_is_small() -> None:
    assert digits.network_path().stat().st_size < 500_000
