"""The NIR paper's recurrent Braille network on its recovered test sample: whose hidden spikes are snnTorch's?

Compares the chip with split weights, the chip with single 8-bit groups, and the run that the paper's authors stored
for Lava with the spikes they stored for snnTorch (Pedersen et al., Nature Communications 15:8122, 2024).
Run: ``python benchmarks/braille_paper.py --data ../shared/data``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from data_folder import data_file
from numpy.typing import NDArray

from spikeport.converters.network import Network
from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import CompileOptions, compile_network

DIALECT = "snntorch:reset=zero,reset_delay=0"
HIDDEN = "lif1.lif"
FOLDER = "nir_paper/03_rnn"
Spikes = NDArray[np.bool_]


def stored(folder: Path, platform: str) -> Spikes:
    """(256, 38): the hidden layer's spikes that the authors stored."""
    activity = np.load(data_file(folder, f"{FOLDER}/{platform}_activity_noDelay_bias_zero.npy")) > 0
    return activity.T if activity.shape[0] == 38 else activity


def on_chip(network: Network, sample: NDArray[np.uint8], target: str, split: str) -> tuple[Spikes, int, float]:
    """Hidden spikes (256, 38), class, and synaptic operations of one compiled network.

    The sample is its own calibration: it is the only recording of this data set there is.
    """
    options = CompileOptions(split=split)  # type: ignore[arg-type]  # one of the literals, see main
    deployment = compile_network(network, target, sample, options=options)
    run = deployment.run(sample, record=[HIDDEN])
    synops = sum(float(counts.sum()) for counts in run.activity.synops.values())
    return run.spikes[HIDDEN][0] > 0, int(deployment.codec.decode(run.output).classes[0]), synops


def line(name: str, spikes: Spikes, truth: Spikes, rest: str = "") -> None:
    """One row of the table."""
    common = int((spikes & truth).sum())
    print(f"| {name} | {int(spikes.sum())} | {common} of {int(truth.sum())} | {common / truth.sum():.1%} | {rest} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="hidden spikes of the NIR paper's Braille network")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds nir_paper/")
    parser.add_argument("--targets", nargs="+", default=["loihi1", "loihi2"])
    options = parser.parse_args()
    with np.load(data_file(options.data, f"{FOLDER}/braille_test_sample0.npz")) as archive:
        sample = archive["spikes"][None]
    network = read_nir(data_file(options.data, f"{FOLDER}/braille_noDelay_bias_zero.nir"), DIALECT)
    truth = stored(options.data, "snntorch")
    run = run_float(network, sample.astype(np.float32), record=[HIDDEN])
    (output,) = run.outputs.values()
    print("| executor | hidden spikes | in common with snnTorch | share | class, SynOps |\n|---|---|---|---|---|")
    line("float", np.asarray(run.spikes[HIDDEN])[0] > 0, truth, f"class {np.asarray(output).sum(1).argmax()}")
    for target in options.targets:
        for split in ("auto", "always", "never"):
            spikes, winner, synops = on_chip(network, sample, target, split)
            line(f"{target}, split={split}", spikes, truth, f"class {winner}, {synops:.0f}")
    line("Lava, stored by the authors", stored(options.data, "lava"), truth)


if __name__ == "__main__":
    main()
