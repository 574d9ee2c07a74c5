"""Operators with weights: Gemm, MatMul, Conv, BatchNormalization."""

from __future__ import annotations

import numpy as np

from spikeport.converters.network import Array, Conv, Linear, Reshape, Scale, Shape
from spikeport.converters.read.onnx.build import Build, Signal
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.converters.read.onnx.windows import alike_at_both_ends, padded, windows
from spikeport.errors import ModelError


def gemm(node: OnnxNode, build: Build) -> Signal:
    """Y = alpha · A B + beta · C, A being the signal."""
    signal, weight = build.signal(node), build.weights(node, 1)
    if node.integer("transA", 0) or len(signal.shape) != 1 or weight.ndim != 2:
        raise ModelError(f"{node} multiplies {signal.shape} and {weight.shape}; one vector per sample is read.")
    weight = weight if node.integer("transB", 0) else weight.T
    bias = build.weights(node, 2) if node.given(2) else None
    if bias is not None:
        size = (weight.shape[0],)
        bias = np.array(np.broadcast_to(build.per_sample(node, bias, size), size)) * _like(bias, node.number("beta", 1))
    scaled = np.ascontiguousarray(weight * _like(weight, node.number("alpha", 1)))
    return build.add(build.names.of(node, build.origin(node, 1)), Linear(scaled, bias), signal)


def matmul(node: OnnxNode, build: Build) -> Signal:
    """A signal times a matrix, along its last axis; a bias behind it is an Add (`spikeport...arithmetic.add`)."""
    signal, weight = build.signal(node), build.weights(node, 1)
    if weight.ndim not in (1, 2):
        raise ModelError(f"{node} multiplies by a constant of {weight.ndim} axes; a matrix is needed.")
    rows = np.ascontiguousarray(weight.T if weight.ndim == 2 else weight[None])
    result = build.add(build.names.of(node, build.origin(node, 1)), Linear(rows), signal)
    if weight.ndim == 2:
        return result
    name = build.names.unique(f"{result.label}.reshape")
    return build.add(name, Reshape(result.shape[:-1]), result, keeps=True)


def conv(node: OnnxNode, build: Build) -> Signal:
    """Convolution over one or two axes; padding that differs between the ends becomes an Embed in front."""
    signal, weight = build.signal(node), build.weights(node, 1)
    axes = weight.ndim - 2
    if axes not in (1, 2) or len(signal.shape) != axes + 1:
        raise ModelError(f"{node} convolves {signal.shape} with weights of shape {weight.shape}; 1-d and 2-d are read.")
    kernel = node.integers("kernel_shape", weight.shape[2:])
    if kernel != weight.shape[2:]:
        raise ModelError(f"{node}: its kernel_shape {kernel} is not that of its weights {weight.shape}.")
    found = windows(node, signal.shape[1:], kernel)
    bias = build.weights(node, 2) if node.given(2) else None
    name = build.names.of(node, build.origin(node, 1))
    if alike_at_both_ends(signal.shape[1:], kernel, found):
        padding, behind = found.before, signal
    else:
        padding, behind = (
            (0,) * axes,
            padded(build, build.names.unique(f"{name}.pad"), signal, found.before, found.after),
        )
    convolution = Conv(weight, bias, found.stride, padding, found.dilation, node.integer("group", 1))
    return build.add(name, convolution, behind)


def batch_norm(node: OnnxNode, build: Build) -> Signal:
    """y = scale · (x - mean) / sqrt(var + epsilon) + bias as a factor and a bias per channel."""
    if node.integer("training_mode", 0) or len(list(filter(None, node.outputs))) > 1:
        raise ModelError(f"{node} is in training mode. Export the model in evaluation mode: model.eval().")
    signal = build.signal(node)
    scale, bias, mean, var = (_channels(node, build.weights(node, k), signal.shape) for k in range(1, 5))
    epsilon = node.number("epsilon", 1e-5)
    if np.any(var + epsilon <= 0):
        raise ModelError(f"{node}: a variance of {float(np.min(var)):.4g} cannot be. Train or export it again.")
    factor = scale.astype(np.float64) / np.sqrt(var.astype(np.float64) + epsilon)
    shift = bias - mean.astype(np.float64) * factor
    axes = (len(signal.shape) - 1) * (1,)
    made = (values.reshape(-1, *axes).astype(scale.dtype) for values in (factor, shift))
    return build.add(build.names.of(node, build.origin(node, 1)), Scale(*made), signal)


def _channels(node: OnnxNode, values: Array, shape: Shape) -> Array:
    if values.shape != shape[:1]:
        raise ModelError(f"{node} has {values.size} values for the channels of {shape}. Export the model again.")
    return values


def _like(array: Array, value: float) -> Array:
    return np.asarray(value, array.dtype)
