"""The NIR paper's N-MNIST network on 100 test recordings: float against both chips, for two resets.

Network and protocol: Pedersen et al., Nature Communications 15:8122 (2024): 300 steps of 1 ms, at most one event per
pixel, polarity and step. Run: ``python benchmarks/nmnist_cnn.py --data ../shared/data``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from chip_accuracy import Samples, rows, show
from data_folder import data_file
from numpy.typing import NDArray

from spikeport.converters.read.nir import read_nir

STEPS = 300
MICROSECONDS_PER_STEP = 1000
SHAPE = (2, 34, 34)
RESETS = ("zero", "subtract")
CALIBRATION_SAMPLES = 16


def frames(events: NDArray[np.void], offsets: NDArray[np.int64], chosen: range) -> NDArray[np.uint8]:
    """Binary spikes (B, 300, 2, 34, 34) of the chosen recordings; events after step 299 are left out."""
    spikes = np.zeros((len(chosen), STEPS, *SHAPE), dtype=np.uint8)
    for row, sample in enumerate(chosen):
        own = events[offsets[sample] : offsets[sample + 1]]
        step = own["t"] // MICROSECONDS_PER_STEP
        own, step = own[step < STEPS], step[step < STEPS]
        spikes[row, step, own["p"], own["y"], own["x"]] = 1
    return spikes


def load(path: Path, split: str, chosen: range) -> Samples:
    """The chosen recordings of ``split`` with their labels."""
    with np.load(path) as archive:
        spikes = frames(archive[f"{split}_events"], archive[f"{split}_offsets"], chosen)
        return Samples(spikes, archive[f"{split}_labels"][chosen.start : chosen.stop : chosen.step])


def main() -> None:
    """A table per reset."""
    parser = argparse.ArgumentParser(description="the NIR paper's N-MNIST network, float and chip")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with nmnist/ and nir_paper/")
    parser.add_argument("--samples", type=int, default=100, help="test recordings, 100 at most")
    parser.add_argument("--targets", nargs="+", default=["loihi1", "loihi2"])
    options = parser.parse_args()
    recordings = data_file(options.data, "nmnist/nmnist.npz")
    model = data_file(options.data, "nir_paper/02_cnn/cnn_sinabs.nir")
    calibration = load(recordings, "train", range(0, 700, 700 // CALIBRATION_SAMPLES))
    test = load(recordings, "test", range(min(options.samples, 100)))
    for reset in RESETS:
        # One spike per step, as every platform of the paper but Sinabs itself runs this network.
        dialect = f"sinabs:dt=0.001,reset={reset},spike=single"
        print(f"\n{dialect}, {len(test.labels)} recordings", flush=True)
        show(rows(read_nir(model, dialect), calibration, test, options.targets))


if __name__ == "__main__":
    main()
