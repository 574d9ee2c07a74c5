"""Untrained conventional networks in torch, with batch norms that have seen data, for what reads and converts ONNX.

And small ONNX files written by hand, node by node.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional


class LeNet(nn.Module):
    """Convolutions, max pools, linear layers; functional activations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = x.view(x.size(0), -1)
        x = functional.relu(self.fc1(x))
        x = functional.relu(self.fc2(x))
        return self.fc3(x)


def vgg() -> nn.Module:
    """Sequential blocks with batch norm, average pools, dropout."""
    features, width = [], 3
    for out in (8, 16):
        features += [nn.Conv2d(width, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
        features += [nn.Conv2d(out, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU(), nn.AvgPool2d(2)]
        width = out
    head = [nn.Flatten(), nn.Linear(16 * 16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 10)]
    return nn.Sequential(nn.Sequential(*features), nn.Sequential(*head))


class Block(nn.Module):
    """ResNet's basic block; a 1x1 convolution where the shape changes."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.down: nn.Module = nn.Identity()
        if stride > 1 or c_in != c_out:
            self.down = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.down(x))


class ResNet(nn.Module):
    """Two stages and a global average pool."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer2(self.layer1(x))
        return self.fc(torch.flatten(self.pool(x), 1))


class MobileNet(nn.Module):
    """Inverted residuals with depthwise convolutions and ReLU6; the mean over the image as a reduction."""

    def __init__(self) -> None:
        super().__init__()

        def unit(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
            convolution = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
            return nn.Sequential(convolution, nn.BatchNorm2d(c_out), nn.ReLU6())

        self.stem = unit(3, 8, 3, 2)
        self.expand, self.depthwise = unit(8, 24, 1), unit(24, 24, 3, groups=24)
        self.project = nn.Sequential(nn.Conv2d(24, 8, 1, bias=False), nn.BatchNorm2d(8))
        self.head, self.fc = unit(8, 16, 1), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.project(self.depthwise(self.expand(x)))
        return self.fc(self.head(x).mean((2, 3)))


class DenseNet(nn.Module):
    """Every layer sees all before it, concatenated; batch norm and ReLU in front of the convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6 + 4 * k) for k in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(6 + 4 * k, 4, 3, padding=1, bias=False) for k in range(3))
        self.norm, self.fc = nn.BatchNorm2d(18), nn.Linear(18, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(functional.relu(norm(x)))], 1)
        x = functional.relu(self.norm(x))
        return self.fc(functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def conv1d() -> nn.Module:
    """Convolutions and pools along one axis."""
    return nn.Sequential(
        nn.Conv1d(2, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.AvgPool1d(2),
        nn.Conv1d(8, 8, 3, padding=2, dilation=2, groups=4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(48, 5),
    )  # fmt: skip


def mlp() -> nn.Module:
    """Images flattened into linear layers with batch norm."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "lenet": (LeNet, (1, 28, 28)),
    "vgg": (vgg, (3, 16, 16)),
    "resnet": (ResNet, (3, 12, 12)),
    "mobilenet": (MobileNet, (3, 16, 16)),
    "densenet": (DenseNet, (3, 8, 8)),
    "conv1d": (conv1d, (2, 48)),
    "mlp": (mlp, (1, 8, 8)),
}


def built(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    """A model of `MODELS` in evaluation mode, and a batch of inputs (4, *shape)."""
    make, shape = MODELS[name]
    torch.manual_seed(seed)
    model, x = make(), torch.rand(4, *shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.3)
            nn.init.normal_(module.running_mean, 0.0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.eval(), x


def exported(model: nn.Module, x: Tensor, path: Path, dynamo: bool, **options: Any) -> Path:
    """``model`` as torch.onnx writes it for batches like ``x``, quietly."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), path, dynamo=dynamo, **options)
    return path


def written(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str | None],
    constants: Mapping[str, Any] | None = None,
    opset: int = 17,
) -> Path:
    """An ONNX file of ``nodes`` from ``x`` (shape with its batch axis) to ``y``; ``constants`` become initialisers."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(values), name) for name, values in (constants or {}).items()],
    )
    domains = {node.domain for node in nodes} - {""}
    versions = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=9), path)
    return path
