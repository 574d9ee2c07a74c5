"""Train the digits network and export it as NIR.

Run as ``python -m spikeport.models.digits.train --seed 0 -o digits.nir``. The recipe (width, slope, jitter, penalty)
was chosen on every fifth training sample held out, never on the test part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spikeport.converters.network import Conv, Edge, Flatten, Input, Linear, Network, Neuron, Node, Output, Pool
from spikeport.converters.passes.infer import infer
from spikeport.converters.write.nir import write_nir
from spikeport.models.digits import DIALECT, DT, STEPS, load_test, load_train
from spikeport.models.surrogate import FastSigmoid

CHANNELS = (16, 32)
DECAY = 0.9
EPOCHS = 60
BATCH = 64
LEARNING_RATE = 1e-2
RATE_PENALTY = 0.3
SLOPE = 10.0
INIT_GAINS = (2.0, 3.0, 2.0)


class DigitsNet(nn.Module):
    """Two convolutions with pooling, one dense layer, LIF neurons after each; the class with most spikes wins.

    One LIF step (snnTorch's Leaky, reset to zero in the same step): w = DECAY · v + x, a spike where w > 1, then
    v = 0 where it spiked and w elsewhere. No biases: a silent image costs nothing on the chip.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second = CHANNELS
        self.conv1 = nn.Conv2d(1, first, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, bias=False)
        self.dense = nn.Linear(second * 4, 10, bias=False)
        weights: list[Tensor] = [self.conv1.weight, self.conv2.weight, self.dense.weight]
        for weight, gain in zip(weights, INIT_GAINS, strict=True):
            # torch's default is made for values around 1; spikes are sparser and need larger first weights
            weight.data.mul_(gain)

    def forward(self, spikes: Tensor) -> tuple[Tensor, Tensor]:
        """Spike counts (B, 10) and mean hidden rate () for input spikes (T, B, 1, 8, 8)."""
        v1 = v2 = v3 = counts = rate = torch.zeros(())
        for step in spikes:
            s1, v1 = lif(v1, self.conv1(step))
            s2, v2 = lif(v2, self.conv2(functional.avg_pool2d(s1, 2)))
            s3, v3 = lif(v3, self.dense(functional.avg_pool2d(s2, 2).flatten(1)))
            counts = counts + s3
            rate = rate + (s1.mean() + s2.mean()) / len(spikes)
        return counts, rate


def lif(v: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the neuron above: spikes and the new membrane potential, shaped like ``x``."""
    w = DECAY * v + x
    s = FastSigmoid(SLOPE)(w - 1.0)
    return s, w * (1.0 - s.detach())


def encode(images: NDArray[np.float32]) -> Tensor:
    """Spikes (T, B, 1, 8, 8) of integrate-and-fire inputs fed with the pixel at every step, threshold 16."""
    pixels = images.astype(np.int64)
    steps = np.arange(STEPS + 1).reshape(-1, 1, 1, 1, 1)
    spikes_so_far = pixels * steps // 16
    return torch.from_numpy(np.diff(spikes_so_far, axis=0).astype(np.float32))


def train(seed: int) -> DigitsNet:
    """A trained network; the same seed gives the same weights on the same machine and torch."""
    torch.manual_seed(seed)
    images, labels = load_train()
    spikes, targets = encode(images), torch.from_numpy(labels)
    net = DigitsNet()
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    batches = -(-len(targets) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, EPOCHS * batches)
    for epoch in range(EPOCHS):
        for chosen in torch.split(torch.randperm(len(targets)), BATCH):
            counts, rate = net(jitter(spikes[:, chosen]))
            loss = functional.cross_entropy(0.5 * counts, targets[chosen]) + RATE_PENALTY * rate
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch + 1}/{EPOCHS} loss {loss.item():.3f}", end="\r", flush=True)
    return net


def jitter(spikes: Tensor) -> Tensor:
    """Half of the samples moved by up to one pixel each way: handwriting does not sit still. Same shape."""
    samples = spikes.shape[1]
    moves = torch.randint(0, 3, (samples, 2))
    moves[torch.rand(samples) < 0.5] = 1
    padded = functional.pad(spikes, (1, 1, 1, 1))
    crops = [padded[:, n, :, y : y + 8, x : x + 8] for n, (y, x) in enumerate(moves.tolist())]
    return torch.stack(crops, dim=1)


def accuracy(net: DigitsNet) -> float:
    """Share of the 500 test images whose true class has the most spikes (the lower class wins a tie)."""
    images, labels = load_test()
    with torch.no_grad():
        counts, _ = net(encode(images))
    return float(np.mean(counts.numpy().argmax(1) == labels))


def to_network(net: DigitsNet) -> Network:
    """The trained weights as a Network."""
    nodes: dict[str, Node] = {
        "input": Input((1, 8, 8)),
        "conv1": _conv(net.conv1),
        "lif1": _neuron(),
        "pool1": _pool(),
        "conv2": _conv(net.conv2),
        "lif2": _neuron(),
        "pool2": _pool(),
        "flatten": Flatten(0, 2),
        "dense": Linear(net.dense.weight.detach().numpy()),
        "lif3": _neuron(),
        "output": Output((10,)),
    }
    names = list(nodes)
    edges = tuple(sorted(map(Edge, names, names[1:]), key=lambda e: (e.source, e.target)))
    return infer(Network(nodes, edges, {}, DT, DIALECT)).result


def _conv(layer: nn.Conv2d) -> Conv:
    return Conv(layer.weight.detach().numpy(), None, stride=(1, 1), padding=(1, 1), dilation=(1, 1))


def _pool() -> Pool:
    return Pool("average", kernel=(2, 2), stride=(2, 2), padding=(0, 0))


def _neuron() -> Neuron:
    return Neuron(membrane_decay=np.array(DECAY, np.float32), threshold=np.array(1.0, np.float32))


def main() -> None:
    """Train, say the figure, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="where to write the .nir")
    options = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    net = train(options.seed)
    write_nir(to_network(net), options.output)
    print(f"seed {options.seed}: {accuracy(net):.1%} of 500 test images, float; written to {options.output}")


if __name__ == "__main__":
    main()
