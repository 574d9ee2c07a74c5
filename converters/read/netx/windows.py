"""Geometry of convolutions and pools as SLAYER computes them."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array, csr_array

from spikeport.converters.chip_network import Conv2d, Ints
from spikeport.converters.network import Shape
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.converters.read.netx.numbers import MAX_NEURONS, MAX_WEIGHTS, layer_shape, pair, refuse

Image = tuple[int, int, int]
NAME_INPUT = "name the input's shape (--input-shape, read(..., input_shape=)), or export with an input layer"


def image(layer: RawLayer, shape: Shape) -> Image:
    """``shape`` as (C, H, W); what a convolution or a pool needs before it."""
    if len(shape) != 3:
        raise refuse(layer, f"needs an image (C, H, W) before it, but there are {shape} values")
    return shape[0], shape[1], shape[2]


def convolution(layer: RawLayer, source: Image, weight: Ints, groups: int) -> Conv2d:
    """The convolution of ``source`` with ``weight`` (K, C / groups, kH, kW), cross-correlation as torch computes it."""
    stride, padding, dilation = pair(layer, "stride", 1), pair(layer, "padding", 0), pair(layer, "dilation", 1)
    channels, _, kernel = weight.shape[0], weight.shape[1], weight.shape[2:]
    if groups < 1 or source[0] % groups or channels % groups or weight.shape[1] * groups != source[0]:
        raise refuse(layer, f"weights of shape {weight.shape} in {groups} group(s) do not fit {source[0]} channels")
    size = [(source[1 + k] + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
    return Conv2d(weight, source, (channels, size[0], size[1]), stride, padding, dilation, groups)


def only_source(layer: RawLayer, weight: Shape, groups: int) -> Image:
    """The one input (C, H, W) from which a convolution gives the shape in the file: there is one where strides are 1.

    Raises:
        ModelError: strides pass over pixels, so that several sizes give the same.
    """
    if len(weight) not in (4, 5):
        raise refuse(layer, f"weight of shape {weight} should be (K, C / groups, kH, kW)")
    shape, kernel = image(layer, layer_shape(layer)), weight[2:4]
    stride, padding, dilation = pair(layer, "stride", 1), pair(layer, "padding", 0), pair(layer, "dilation", 1)
    each = zip(shape[1:], kernel, stride, padding, dilation, strict=True)
    height, width = ((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, p, d in each)
    channels = weight[1] * groups
    if min(channels, height, width) < 1 or channels * height * width > MAX_NEURONS:
        raise refuse(layer, f"no input of up to {MAX_NEURONS} values gives its shape {shape}")
    if stride != (1, 1):
        sizes = f"{channels}x{height}x{width} to {channels}x{height + stride[0] - 1}x{width + stride[1] - 1}"
        raise refuse(layer, f"is the first, and inputs of {sizes} all give its shape; {NAME_INPUT}")
    return channels, height, width


def check_shape(layer: RawLayer, declared: Shape, computed: Shape) -> None:
    """The layer's own ``shape`` against what its geometry gives."""
    if declared != computed:
        raise refuse(layer, f"shape {declared} in the file, its kernel, stride and padding give {computed}")


def end_padding(source: Image, kernel: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of zeros that SLAYER's pool adds at the end: size modulo kernel (`synapse.layer.Pool`)."""
    return source[1] % kernel[0], source[2] % kernel[1]


def unrolled(layer: RawLayer, conv: Conv2d, source: Image) -> csr_array:
    """A depthwise convolution over ``conv.source_shape`` as a matrix over ``source``, its upper left part.

    The rest of the larger image is zeros, whose synapses are left out. Shape (n_target, n_source).
    """
    (channels, height, width), (_, rows, columns) = source, conv.target_shape
    kernel = conv.weight[0, 0]
    if channels * rows * columns * kernel.size > MAX_WEIGHTS:
        raise refuse(layer, f"its windows take more than {MAX_WEIGHTS} synapses")
    y, dy, x, dx = np.ix_(range(rows), range(kernel.shape[0]), range(columns), range(kernel.shape[1]))
    above = y * conv.stride[0] - conv.padding[0] + dy * conv.dilation[0]
    left = x * conv.stride[1] - conv.padding[1] + dx * conv.dilation[1]
    inside = (above >= 0) & (above < height) & (left >= 0) & (left < width)
    one = [np.broadcast_to(part, inside.shape)[inside] for part in (y * columns + x, above * width + left)]
    values = np.broadcast_to(kernel[None, :, None, :], inside.shape)[inside]
    offsets = np.arange(channels)[:, None]
    target = (offsets * rows * columns + one[0]).reshape(-1)
    origin = (offsets * height * width + one[1]).reshape(-1)
    shape = (channels * rows * columns, channels * height * width)
    return csr_array(coo_array((np.tile(values, channels), (target, origin)), shape))
