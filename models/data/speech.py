"""Spoken digits as band energies over time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import stft

from spikeport.errors import DataError
from spikeport.models.data.npz import Archive
from spikeport.models.data.samples import Parts, Samples
from spikeport.models.data.sets import array, find

RATE_HZ = 8000
WINDOW, HOP = 200, 80
"""Samples of a window (25 ms) and between two (10 ms): usual for speech."""
LOWEST_HZ, FLOOR = 100.0, 1e-6


def spoken_digits(path: Path, steps: int = 32, bands: int = 32) -> Parts:
    """Free Spoken Digit Dataset: log energies (B, steps, bands), mean 0 and deviation 1 per band in training.

    Every recording is stretched to the same number of steps. Bands are equally wide on the mel scale,
    2595 · log10(1 + f / 700) (O'Shaughnessy 1987).

    Raises:
        DataError: not found, or not of the form of ``fsdd.npz``.
    """
    archive = Archive(find(path, "fsdd.npz"))
    audio, offsets, is_test = (array(archive, name) for name in ("audio", "offsets", "is_test"))
    if (
        offsets.ndim != 1
        or len(offsets) < 2
        or offsets[0] < 0
        or offsets[-1] > len(audio)
        or (np.diff(offsets) < 1).any()
    ):
        raise DataError(f"{archive.path}: its offsets do not cut {len(audio)} audio samples into recordings")
    pieces = [audio[a:b] for a, b in pairwise(offsets)]
    energies = np.stack([_energies(piece, steps, bands) for piece in pieces])
    mean, deviation = (f(energies[~is_test], axis=(0, 1)) for f in (np.mean, np.std))
    frames = ((energies - mean) / (deviation + FLOOR)).astype(np.float32)
    both = Samples(frames, array(archive, "label").astype(np.int64))
    return Parts(both.take(~is_test), both.take(is_test))


def _energies(piece: NDArray[Any], steps: int, bands: int) -> NDArray[np.float64]:
    """(steps, bands)."""
    wave = np.pad(piece.astype(np.float64) / 2**15, (0, max(WINDOW - len(piece), 0)))
    hertz, _, spectrum = stft(wave, RATE_HZ, nperseg=WINDOW, noverlap=WINDOW - HOP, boundary=None)
    energy = np.log(_mel(hertz, bands) @ np.abs(spectrum) ** 2 + FLOOR)
    at = np.linspace(0, energy.shape[1] - 1, steps)
    return np.stack([np.interp(at, np.arange(energy.shape[1]), band) for band in energy], axis=1)


def _mel(hertz: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """(bands, frequencies): triangles that overlap by half."""
    mel = 2595.0 * np.log10(1.0 + hertz / 700.0)
    lowest = 2595.0 * np.log10(1.0 + LOWEST_HZ / 700.0)
    width = (mel[-1] - lowest) / (bands + 1)
    centres = lowest + width * np.arange(1, bands + 1)
    return np.asarray(np.clip(1.0 - np.abs(mel - centres[:, None]) / max(width, mel[1] - mel[0]), 0.0, None))
