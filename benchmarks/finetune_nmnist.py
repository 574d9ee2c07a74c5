"""The NIR paper's N-MNIST network at few bits per weight: how much accuracy rounding takes, and fine-tuning gives back.

Network and data as in ``nmnist_cnn.py``. Fine-tuned on every other training recording (one in five of them judges the
epochs); the figures are of the other 350 training and the 100 test recordings, since 100 alone are too few to tell two
points apart. Run: ``python benchmarks/finetune_nmnist.py --data ../shared/data --bits 4 3 2 --seeds 0 1 2``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from chip_accuracy import Samples
from data_folder import data_file
from nmnist_cnn import CALIBRATION_SAMPLES, load

from spikeport.converters.network import Network
from spikeport.converters.read.nir import read_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import CompileOptions, compile_network
from spikeport.deploy.deployment import Deployment
from spikeport.models.finetuning import TuningOptions, finetune

DIALECT = "sinabs:dt=0.001,reset=zero,spike=single"
BATCH = 20


def chip_accuracy(deployment: Deployment, test: Samples) -> float:
    """Share of test recordings that the deployment classifies right."""
    classes = deployment.codec.decode(deployment.run(test.spikes).output).classes
    return float(np.mean(classes == test.labels))


def main() -> None:
    """A line per number of bits and seed."""
    parser = argparse.ArgumentParser(description="fine-tuning at few bits per weight on N-MNIST")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with nmnist/ and nir_paper/")
    parser.add_argument("--bits", type=int, nargs="+", default=[4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--learning-rate", type=float, default=TuningOptions.learning_rate)
    parser.add_argument("--scales", type=int, default=CompileOptions.scales)
    options = parser.parse_args()
    recordings = data_file(options.data, "nmnist/nmnist.npz")
    network = read_nir(data_file(options.data, "nir_paper/02_cnn/cnn_sinabs.nir"), DIALECT)
    calibration = load(recordings, "train", range(0, 700, 700 // CALIBRATION_SAMPLES))
    training, others = (load(recordings, "train", range(first, 700, 2)) for first in (0, 1))
    test = _joined(others, load(recordings, "test", range(100)))
    eight = compile_network(network, "loihi2", calibration.spikes, options=CompileOptions(split="never"))
    print(f"8 bits: {chip_accuracy(eight, test):.2%}; float {float_accuracy(network, test, eight):.2%}", flush=True)
    print("| bits | seed | rounded | fine-tuned | seconds | held-back accuracy by epoch |\n|---|---|---|---|---|---|")
    for bits in options.bits:
        few = CompileOptions(split="never", weight_bits=bits, scales=options.scales)
        deployment = compile_network(network, "loihi2", calibration.spikes, options=few)
        rounded = chip_accuracy(deployment, test)
        for seed in options.seeds:
            choices = TuningOptions(options.epochs, learning_rate=options.learning_rate, seed=seed)
            start = time.perf_counter()
            tuned, history = finetune(network, deployment, training.spikes, training.labels, choices)
            seconds, epochs = time.perf_counter() - start, " ".join(f"{e.accuracy:.3f}" for e in history)
            print(
                f"| {bits} | {seed} | {rounded:.2%} | {chip_accuracy(tuned, test):.2%} | {seconds:.0f} | {epochs} |",
                flush=True,
            )


def _joined(one: Samples, other: Samples) -> Samples:
    return Samples(np.concatenate([one.spikes, other.spikes]), np.concatenate([one.labels, other.labels]))


def float_accuracy(network: Network, test: Samples, deployment: Deployment) -> float:
    """Share of test recordings that the trained network classifies right."""
    right = 0
    for first in range(0, len(test.labels), BATCH):
        run = run_float(network, test.spikes[first : first + BATCH].astype(np.float32))
        (output,) = run.outputs.values()
        classes = deployment.codec.decode(np.asarray(output)).classes
        right += int(np.sum(classes == test.labels[first : first + BATCH]))
    return right / len(test.labels)


if __name__ == "__main__":
    main()
