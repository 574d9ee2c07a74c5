"""Which effect of the chip costs what: the NIR paper's N-MNIST and Braille networks, effect by effect.

Run: ``python benchmarks/compare.py --data ../shared/data``; about 6 CPU seconds per N-MNIST recording and row of bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from data_folder import data_file
from nmnist_cnn import CALIBRATION_SAMPLES, load

from spikeport.converters.read.nir import read_nir
from spikeport.deploy.compare.compare import compare
from spikeport.deploy.compare.comparison import Comparison
from spikeport.deploy.compile import CompileOptions, compile_network


def show(title: str, found: Comparison) -> None:
    """Print a Markdown table, the most harmful effect first."""
    accuracy = f"{found.trained.accuracy:.1%} → {found.chip.accuracy:.1%}"
    print(f"\n### {title}: {found.samples} samples, accuracy {accuracy}, output {found.chip.mismatch:.1%} off\n")
    print("| effect | alone: points | classes | output off | chip without it: points | output off | in this network |")
    print("|---|---|---|---|---|---|---|")
    for e in sorted(found.effects, key=lambda e: -e.alone.mismatch):
        lost, gained = e.alone.accuracy - found.trained.accuracy, e.without.accuracy - found.chip.accuracy
        cells = [e.effect, f"{100 * lost or 0.0:+.1f}", str(e.alone.changed), f"{e.alone.mismatch:.2%}"]
        cells += [f"{100 * gained or 0.0:+.1f}", f"{e.without.mismatch:.2%}", e.note]
        print(f"| {' | '.join(cells)} |")
    print(f"| interaction | {-100 * found.interaction or 0.0:+.1f} |  |  |  |  |  |", flush=True)


def braille(folder: Path) -> None:
    """One letter of the paper's test set, single 8-bit groups and split weights."""
    network = read_nir(
        data_file(folder, "nir_paper/03_rnn/braille_noDelay_bias_zero.nir"), "snntorch:reset=zero,reset_delay=0"
    )
    with np.load(data_file(folder, "nir_paper/03_rnn/braille_test_sample0.npz")) as archive:
        spikes, label = archive["spikes"][None], archive["label"][None]
    for split in ("never", "always"):
        deployment = compile_network(network, "loihi2", spikes, options=CompileOptions(split=split))  # type: ignore[arg-type]
        show(f"Braille, split weights {split}", compare(network, deployment, spikes, label))


def nmnist(folder: Path, samples: int, bits: list[int]) -> None:
    """The convolutional network at several weight widths."""
    recordings = data_file(folder, "nmnist/nmnist.npz")
    calibration = load(recordings, "train", range(0, 700, 700 // CALIBRATION_SAMPLES))
    test = load(recordings, "test", range(min(samples, 100)))
    dialect = "sinabs:dt=0.001,reset=subtract,spike=single"
    network = read_nir(data_file(folder, "nir_paper/02_cnn/cnn_sinabs.nir"), dialect)
    for width in bits:
        options = CompileOptions(weight_bits=width, split="never")
        deployment = compile_network(network, "loihi2", calibration.spikes, options=options)
        show(f"N-MNIST, {width}-bit weights", compare(network, deployment, test.spikes, test.labels))


def main() -> None:
    """Both networks."""
    parser = argparse.ArgumentParser(description="which effect of the chip costs what")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with nmnist/ and nir_paper/")
    parser.add_argument("--samples", type=int, default=20, help="N-MNIST test recordings, 100 at most")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 2], help="widths of the N-MNIST network's weights")
    options = parser.parse_args()
    braille(options.data)
    nmnist(options.data, options.samples, options.bits)


if __name__ == "__main__":
    main()
