"""Recordings in N-MNIST's form, small enough to learn from in a second."""

from pathlib import Path

import numpy as np

FIELDS = np.dtype([("x", "u1"), ("y", "u1"), ("p", "u1"), ("t", "<u4")])
EVENTS = 300


def write_tiny_nmnist(path: Path, train: int = 90, test: int = 30) -> None:
    """Recordings whose class is the row where most of their events fall."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for name, samples in (("train", train), ("test", test)):
        labels = rng.integers(0, 10, samples)
        events = np.zeros((samples, EVENTS), FIELDS)
        anywhere = rng.integers(0, 34, events.shape)
        events["y"] = np.where(rng.random(events.shape) < 0.7, 3 * labels[:, None] + 2, anywhere)
        events["x"], events["p"] = rng.integers(0, 34, events.shape), rng.integers(0, 2, events.shape)
        events["t"] = rng.integers(0, 300_000, events.shape)
        arrays |= {f"{name}_events": events.ravel(), f"{name}_labels": labels}
        arrays[f"{name}_offsets"] = np.arange(samples + 1) * EVENTS
        arrays[f"{name}_ids"] = np.arange(samples) + (1 if name == "train" else 60_001)
    np.savez(path, **arrays)
