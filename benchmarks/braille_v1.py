"""Train a recurrent current-based network on 27 tactile Braille letters, then run it on both chips.

Data: Mueller-Cleve et al., Zenodo 6556273 (taxel readings of a robot's fingertip), repetitions 40..49 for test.
Run: ``python benchmarks/braille_v1.py --data ../shared/data -o out``. Writes, for each seed, model.nir, calib.npz and
test.npz.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from chip_accuracy import Samples, rows, show
from data_folder import data_file
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spikeport.converters.network import Edge, Input, Linear, Network, Neuron, Node, Output
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.nir import read_nir
from spikeport.converters.write.nir import write_nir
from spikeport.models.surrogate import FastSigmoid

TAXELS = (1, 2, 6, 10)  # the other eight never move in this recording
THRESHOLDS = (4, 12)  # sensor units; sensor noise at rest stays within about 4
HIDDEN, CLASSES = 64, 27
CURRENT_DECAY, MEMBRANE_DECAY = 0.8, 0.9
DT = 1e-3
DIALECT = f"snntorch:dt={DT},reset=zero,reset_delay=0"
EPOCHS, BATCH, LEARNING_RATE, RATE_PENALTY, SLOPE = 30, 64, 1e-2, 0.1, 4.0
CALIBRATION_SAMPLES = 64


def load(path: Path) -> tuple[Samples, Samples]:
    """Training part (1080) and test part (270): spikes (B, 76, 16) uint8."""
    with np.load(path) as archive:
        spikes = np.concatenate([send_on_delta(archive["taxel"], step) for step in THRESHOLDS], axis=2)
        labels, is_test = archive["label"], archive["repetition"] >= 40
    return Samples(spikes[~is_test], labels[~is_test]), Samples(spikes[is_test], labels[is_test])


def send_on_delta(taxel: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """(B, T, 8) up and down spikes: one whenever a taxel is ``step`` or more off the level last sent."""
    values = taxel[:, :, TAXELS].astype(np.int64)
    level = values[:, 0].copy()
    spikes = np.zeros((*values.shape, 2), dtype=np.uint8)
    for t in range(values.shape[1]):
        up, down = values[:, t] - level >= step, level - values[:, t] >= step
        level += step * up - step * down
        spikes[:, t, :, 0], spikes[:, t, :, 1] = up, down
    return spikes.reshape(*values.shape[:2], -1)


class BrailleNet(nn.Module):
    """Two layers of current-based LIF neurons, the first recurrent; the class with most spikes wins.

    I = a · I + x (+ W_rec s[t-1]); w = b · v + I; a spike where w > 1; v = 0 where it spiked and w elsewhere.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.into = nn.Parameter(torch.randn(HIDDEN, inputs) / inputs**0.5)
        self.recurrent = nn.Parameter(0.1 * torch.randn(HIDDEN, HIDDEN) / HIDDEN**0.5)
        self.out = nn.Parameter(0.3 * torch.randn(CLASSES, HIDDEN) / HIDDEN**0.5)

    def forward(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """Spike counts (B, 27) and the mean hidden rate () for input spikes (T, B, 16)."""
        batch = spikes.shape[1]
        hidden = i1 = v1 = torch.zeros(batch, HIDDEN)
        counts = i2 = v2 = torch.zeros(batch, CLASSES)
        rate = torch.zeros(())
        for drive in spikes @ self.into.T:
            hidden, i1, v1 = cuba(i1, v1, drive + hidden @ self.recurrent.T)
            output, i2, v2 = cuba(i2, v2, hidden @ self.out.T)
            counts = counts + output
            rate = rate + hidden.mean() / len(spikes)
        return counts, rate


def cuba(current: Tensor, v: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of the neuron above: spikes, current, membrane; all shaped like ``x``."""
    current = CURRENT_DECAY * current + x
    w = MEMBRANE_DECAY * v + current
    s = FastSigmoid(SLOPE)(w - 1.0)
    return s, current, w * (1.0 - s.detach())


def train(data: Samples, seed: int) -> BrailleNet:
    """A trained network; the same seed gives the same weights on the same machine and torch."""
    torch.manual_seed(seed)
    spikes, labels = as_torch(data), torch.from_numpy(data.labels)
    net = BrailleNet(spikes.shape[2])
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    steps = EPOCHS * -(-len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            counts, rate = net(spikes[:, chosen])
            loss = functional.cross_entropy(0.3 * counts, labels[chosen]) + RATE_PENALTY * rate
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return net


def as_torch(data: Samples) -> Tensor:
    """(T, B, 16) float."""
    return torch.from_numpy(data.spikes.astype(np.float32)).transpose(0, 1).contiguous()


def accuracy(net: BrailleNet, data: Samples) -> float:
    """Share of samples whose true class has the most spikes."""
    with torch.no_grad():
        counts, _ = net(as_torch(data))
    return float(np.mean(counts.numpy().argmax(1) == data.labels))


def to_network(net: BrailleNet) -> Network:
    """The trained weights as a Network."""
    into, recurrent, out = (Linear(w.detach().numpy()) for w in (net.into, net.recurrent, net.out))
    nodes: dict[str, Node] = {
        "input": Input((into.weight.shape[1],)),
        "into": into,
        "hidden": _neuron(),
        "recurrent": recurrent,
        "readout": out,
        "letters": _neuron(),
        "output": Output((CLASSES,)),
    }
    chain = [Edge(a, b) for a, b in (("input", "into"), ("into", "hidden"), ("hidden", "readout"))]
    chain += [Edge("readout", "letters"), Edge("letters", "output")]
    loop = [Edge("hidden", "recurrent", delay=1), Edge("recurrent", "hidden")]
    edges = tuple(sorted(chain + loop, key=lambda e: (e.source, e.target, e.delay)))
    return infer(Network(nodes, edges, {}, DT, DIALECT)).result


def _neuron() -> Neuron:
    a, b, one = (np.array(x, np.float32) for x in (CURRENT_DECAY, MEMBRANE_DECAY, 1.0))
    return Neuron(membrane_decay=b, threshold=one, current_decay=a)


def main() -> None:
    """Train, write, run on the chips, print."""
    parser = argparse.ArgumentParser(description="recurrent Braille network: train, then float and chip accuracy")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder that holds braille/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    training, test = load(data_file(options.data, "braille/braille_v1.npz"))
    for seed in options.seeds:
        start = time.process_time()
        net = train(training, seed)
        seconds = time.process_time() - start
        print(f"\nseed {seed}: {accuracy(net, test):.2%} in torch, trained in {seconds:.0f} CPU s", flush=True)
        calibration = some(training, CALIBRATION_SAMPLES)
        folder = options.output / f"seed{seed}"
        write(folder, net, {"calib": calibration, "test": test})
        show(rows(read_nir(folder / "model.nir", DIALECT), calibration, test))


def some(data: Samples, count: int) -> Samples:
    """``count`` samples in mixed order, the same ones every time."""
    chosen = np.random.default_rng(0).permutation(len(data.labels))[:count]
    return Samples(data.spikes[chosen], data.labels[chosen])


def write(folder: Path, net: BrailleNet, parts: dict[str, Samples]) -> None:
    """model.nir and one .npz per part."""
    folder.mkdir(parents=True, exist_ok=True)
    write_nir(to_network(net), folder / "model.nir")
    for name, part in parts.items():
        np.savez_compressed(folder / f"{name}.npz", input=part.spikes, label=part.labels)


if __name__ == "__main__":
    main()
