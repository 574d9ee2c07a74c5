"""A small spiking network for scikit-learn's 1,797 scanned digits, with its data: what the demo runs.

The data come with scikit-learn (8 × 8 pixels, 0..16; a copy of the test part of UCI's Optical Recognition of
Handwritten Digits, Alpaydin and Kaynak 1998). Samples are split by index alone: 500 for test, evenly spread.
The same people wrote samples of both parts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

STEPS = 16
DT = 1e-3
DIALECT = f"snntorch:dt={DT},reset=zero,reset_delay=0"
ENCODER = f"current:steps={STEPS},low=0,high=16"
TEST_SAMPLES = 500
FLOAT_ACCURACY = 0.982
"""Of the shipped file on the test part: ``train.py --seed 0``, torch 2.13.0 on a CPU."""

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def network_path() -> Path:
    """The trained network, as NIR."""
    return Path(__file__).with_name("digits.nir")


def load_train() -> tuple[Images, Labels]:
    """Images (1297, 1, 8, 8) with pixels 0..16 and labels (1297,)."""
    images, labels, is_test = _load()
    return images[~is_test], labels[~is_test]


def load_test() -> tuple[Images, Labels]:
    """Images (500, 1, 8, 8) with pixels 0..16 and labels (500,)."""
    images, labels, is_test = _load()
    return images[is_test], labels[is_test]


def _load() -> tuple[Images, Labels, NDArray[np.bool_]]:
    digits = load_digits()
    images = digits.images.astype(np.float32)[:, None]
    order = np.arange(len(images))
    is_test = order * TEST_SAMPLES % len(images) < TEST_SAMPLES
    return images, digits.target.astype(np.int64), is_test
