"""to_network: a composed torch module becomes a Network, exactly as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from spikeport.converters.network import Conv, Edge, Flatten, Input, Linear, Network, Node, Output, Pool, Scale, Shape
from spikeport.converters.passes.infer import infer
from spikeport.errors import UnsupportedNodeError
from spikeport.models.neurons import SteppedNeuron

DT = 1e-3


def to_network(net: nn.Module, shape: Shape, dt: float = DT) -> Network:
    """A module of plain torch layers and `spikeport.models.neurons`, in the form it has for evaluation.

    Args:
        net: takes (N, *shape); batch norm with the statistics it holds, dropout left out.
        shape: of one step of one sample.
        dt: seconds per step.

    Raises:
        UnsupportedNodeError: a layer no Network has a word for.
        UnsupportedOnChipError: neurons whose constants change from step to step.
    """
    nodes: dict[str, Node] = {"input": Input(shape)}
    x = torch.zeros(1, *shape)
    with torch.no_grad():
        for name, layer in _layers(net.eval()):
            # Neurons keep the shape; those with constants for T steps would not run a single one.
            x = x if isinstance(layer, SteppedNeuron) else layer(x)
            node = _node(name, layer, tuple(x.shape[1:]))
            if node is not None:
                nodes[name] = node
    nodes["output"] = Output(tuple(x.shape[1:]))
    names = list(nodes)
    edges = tuple(sorted(map(Edge, names, names[1:]), key=lambda e: (e.source, e.target)))
    return infer(Network(nodes, edges, {}, dt, f"snntorch:dt={dt},reset=zero,reset_delay=0")).result


def _layers(net: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, layer in net.named_children():
        if isinstance(layer, nn.Sequential):
            yield from _layers(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def _node(name: str, layer: nn.Module, shape: Shape) -> Node | None:
    if isinstance(layer, SteppedNeuron):
        return layer.to_neuron(name, shape)
    if type(layer) not in _NODES:
        raise UnsupportedNodeError(
            f"layer '{name}' is a {type(layer).__name__}; there are {', '.join(t.__name__ for t in _NODES)} and neurons"
        )
    return _NODES[type(layer)](layer)


def _linear(layer: nn.Linear) -> Node:
    return Linear(_array(layer.weight), _bias(layer.bias))


def _conv(layer: nn.Conv2d) -> Node:
    padding = tuple(int(p) for p in layer.padding)
    return Conv(_array(layer.weight), _bias(layer.bias), layer.stride, padding, layer.dilation, layer.groups)


def _batch_norm(layer: nn.BatchNorm1d | nn.BatchNorm2d) -> Node:
    """torch's own evaluation: x · (weight / sqrt(var + eps)) + (bias - mean · the same)."""
    if layer.running_mean is None or layer.running_var is None:
        raise UnsupportedNodeError("batch norm without running statistics depends on the batch; track them")
    factor = layer.weight / torch.sqrt(layer.running_var + layer.eps)
    axes = (-1, 1, 1) if isinstance(layer, nn.BatchNorm2d) else (-1,)
    return Scale(_array(factor).reshape(axes), _array(layer.bias - layer.running_mean * factor).reshape(axes))


def _pool(layer: nn.AvgPool2d) -> Node:
    kernel, stride, padding = (
        p if isinstance(p, tuple) else (p, p) for p in (layer.kernel_size, layer.stride, layer.padding)
    )
    return Pool("average", kernel, stride, padding)


def _bias(bias: Tensor | None) -> NDArray[np.float32] | None:
    return None if bias is None else _array(bias)


def _array(tensor: Tensor) -> NDArray[np.float32]:
    return tensor.detach().numpy().astype(np.float32)


_NODES: Mapping[type[nn.Module], Callable[[Any], Node | None]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.AvgPool2d: _pool,
    nn.Flatten: lambda layer: Flatten(0, -1),
    nn.Dropout: lambda layer: None,
    nn.Identity: lambda layer: None,
}
