"""Four conventional networks for MNIST, small enough to train on one CPU core in a minute or two each.

Styles after LeCun et al. 1998 (average pooling), Simonyan and Zisserman 2015 with batch norm (maximum pooling), He et
al. 2016 (basic blocks with identity and 1x1 shortcuts), Howard et al. 2017 (depthwise separable convolutions, ReLU6).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

BATCH = 64
LEARNING_RATE = 3e-3
EPOCHS = 24
SHIFT = 2
"""Training images move by up to this many pixels each way."""


class LeNet(nn.Sequential):
    """Two convolutions with average pooling, three dense layers."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip


class Vgg(nn.Sequential):
    """Three pairs of 3x3 convolutions with batch norm, each pair followed by a maximum pool; one dense layer."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        channels = 1
        for width in (8, 16, 32):
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        super().__init__(*layers, nn.Flatten(), nn.Linear(32 * 9, 10))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added, by itself or through a 1x1 convolution."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width, H / stride, W / stride)."""
        inner = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Sequential):
    """A stem and four basic blocks, 13 layers deep; global average pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            BasicBlock(8, 8, 1), BasicBlock(8, 16, 2), BasicBlock(16, 16, 1), BasicBlock(16, 32, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
        )  # fmt: skip


def _separable(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False), nn.BatchNorm2d(channels), nn.ReLU6(),
        nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(),
    ]  # fmt: skip


class MobileNet(nn.Sequential):
    """A stem and four depthwise separable blocks with ReLU6; global average pooling."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            *_separable(8, 16, 1), *_separable(16, 32, 2), *_separable(32, 32, 1), *_separable(32, 64, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
        )  # fmt: skip


NETWORKS: dict[str, Callable[[], nn.Module]] = {"lenet": LeNet, "vgg": Vgg, "resnet": ResNet, "mobilenet": MobileNet}


def pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(B, 28, 28) bytes to (B, 1, 28, 28) between 0 and 1."""
    return (images[:, None] / np.float32(255)).astype(np.float32)


def train(name: str, images: NDArray[np.float32], labels: NDArray[np.uint8], seed: int) -> nn.Module:
    """A trained network in evaluation mode; the same seed gives the same weights on the same machine and torch."""
    torch.manual_seed(seed)
    inputs, targets = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))
    net = NETWORKS[name]()
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    batches = -(-len(targets) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, EPOCHS * batches)
    for epoch in range(EPOCHS):
        for chosen in torch.split(torch.randperm(len(targets)), BATCH):
            loss = functional.cross_entropy(net(moved(inputs[chosen])), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"{name}: epoch {epoch + 1}/{EPOCHS} loss {loss.item():.3f}", end="\r", flush=True)
    return net.eval()


def moved(images: Tensor) -> Tensor:
    """Each image shifted by up to `SHIFT` pixels each way; same shape."""
    height, width = images.shape[2:]
    padded = functional.pad(images, (SHIFT,) * 4)
    moves = torch.randint(0, 2 * SHIFT + 1, (len(images), 2)).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, moves, strict=True)])


def accuracy(net: nn.Module, images: NDArray[np.float32], labels: NDArray[np.uint8]) -> float:
    """Share of right classes."""
    with torch.no_grad():
        classes = torch.cat([net(part).argmax(1) for part in torch.from_numpy(images).split(500)])
    return float(np.mean(classes.numpy() == labels))


def export(net: nn.Module, path: Path) -> None:
    """Write ``net`` as ONNX by torch's own exporter, with a free batch axis."""
    batch = torch.export.Dim("batch")
    example = (torch.zeros(2, 1, 28, 28),)
    torch.onnx.export(net, example, path, dynamo=True, external_data=False, dynamic_shapes=({0: batch},), verbose=False)
