"""Nodes without memory in torch: one function per kind, found in `MEMORYLESS`. Tensors are (B, *shape), one time step.

Differentiable: an `Activation` in steps passes gradients as if it had none (straight-through, Bu et al. 2022,
arXiv:2303.04347, section 4), to its input and to its ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from spikeport.converters.network import (
    Activation,
    Conv,
    Embed,
    Flatten,
    Linear,
    MaxPool,
    Output,
    Permute,
    Pool,
    Reshape,
    Scale,
    SparseMap,
)

Arrays = Mapping[str, Tensor]


def _linear(node: Linear, own: Arrays, x: Tensor) -> Tensor:
    return functional.linear(x, own["weight"], own.get("bias"))


def _conv(node: Conv, own: Arrays, x: Tensor) -> Tensor:
    call = functional.conv1d if len(node.stride) == 1 else functional.conv2d
    y: Tensor = call(x, own["weight"], own.get("bias"), node.stride, node.padding, node.dilation, node.groups)
    return y


def _pool(node: Pool, own: Arrays, x: Tensor) -> Tensor:
    divisor = 1 if node.kind == "sum" else None
    planes = x.reshape(x.shape[0], -1, *x.shape[-2:])
    pooled = functional.avg_pool2d(planes, node.kernel, node.stride, node.padding, divisor_override=divisor)
    return pooled.reshape(*x.shape[:-2], *pooled.shape[-2:])


def _flatten(node: Flatten, own: Arrays, x: Tensor) -> Tensor:
    start, end = (axis + 1 if axis >= 0 else axis for axis in (node.start, node.end))
    return torch.flatten(x, start, end)


def _sparse(node: SparseMap, own: Arrays, x: Tensor) -> Tensor:
    y: Tensor = torch.sparse.mm(own["matrix"], x.reshape(x.shape[0], -1).T).T
    y = y + own["bias"] if "bias" in own else y
    return y.reshape(x.shape[0], *node.shape)


def _scale(node: Scale, own: Arrays, x: Tensor) -> Tensor:
    y = own["factor"] * x
    return y + own["bias"] if "bias" in own else y


def _reshape(node: Reshape, own: Arrays, x: Tensor) -> Tensor:
    return x.reshape(x.shape[0], *node.shape)


def _permute(node: Permute, own: Arrays, x: Tensor) -> Tensor:
    return x.permute(0, *(axis + 1 for axis in node.axes))


def _embed(node: Embed, own: Arrays, x: Tensor) -> Tensor:
    """Zeros around x; functional.pad counts axes from the last one."""
    axes = list(zip(node.offset, node.shape, x.shape[1:], strict=True))
    return functional.pad(x, [n for o, whole, held in reversed(axes) for n in (o, whole - o - held)])


def _activation(node: Activation, own: Arrays, x: Tensor) -> Tensor:
    """The `Activation` docstring."""
    ceiling = own.get("ceiling")
    if ceiling is None:
        return functional.relu(x)
    if node.levels is None:
        return torch.minimum(functional.relu(x), ceiling)
    step = ceiling / node.levels
    rounded: Tensor = _Floor.apply(x / step + 0.5)  # type: ignore[no-untyped-call]
    return step * rounded.clamp(0.0, float(node.levels))


def _max_pool(node: MaxPool, own: Arrays, x: Tensor) -> Tensor:
    planes = x.reshape(x.shape[0], -1, *x.shape[-2:])
    pooled = functional.max_pool2d(planes, node.kernel, node.stride, node.padding)
    return pooled.reshape(*x.shape[:-2], *pooled.shape[-2:])


class _Floor(torch.autograd.Function):
    """Round down; the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.floor(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


MEMORYLESS: Mapping[type, Callable[[Any, Arrays, Tensor], Tensor]] = {
    Linear: _linear,
    Conv: _conv,
    Pool: _pool,
    Flatten: _flatten,
    Reshape: _reshape,
    Permute: _permute,
    Embed: _embed,
    SparseMap: _sparse,
    Scale: _scale,
    Activation: _activation,
    MaxPool: _max_pool,
    Output: lambda node, own, x: x,
}
