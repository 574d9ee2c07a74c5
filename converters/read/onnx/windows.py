"""Where the windows of convolutions and pools lie: strides, dilations, and padding at both ends of each axis."""

from __future__ import annotations

from dataclasses import dataclass

from spikeport.converters.network import Embed, Shape
from spikeport.converters.read.onnx.build import Build, Signal
from spikeport.converters.read.onnx.graph import OnnxNode
from spikeport.errors import ModelError


@dataclass(frozen=True)
class Windows:
    """Per axis. ``before``, ``after``: padding. ``size``: how many windows there are."""

    stride: Shape
    dilation: Shape
    before: Shape
    after: Shape
    size: Shape


def windows(node: OnnxNode, pixels: Shape, kernel: Shape) -> Windows:
    """The windows of ``kernel`` over axes of ``pixels`` elements; sizes as ONNX's Conv and pools define them.

    With ``ceil_mode`` a last window that hangs over the end counts, if it starts inside or in the padding before
    (torch's rule, and ONNX's since opset 19).

    Raises:
        ModelError: attributes that do not fit each other, or no window at all.
    """
    ones = (1,) * len(pixels)
    stride, dilation = node.integers("strides", ones), node.integers("dilations", ones)
    if min((*stride, *dilation, *kernel)) < 1:
        raise ModelError(f"{node}: stride {stride}, dilation {dilation} and kernel {kernel} must be positive.")
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    before, after = _padding(node, pixels, stride, reach)
    rounds_up = node.integer("ceil_mode", 0) != 0
    each = zip(pixels, reach, stride, before, after, strict=True)
    size = tuple(_count(n + b + e - r, s, n + b, rounds_up) for n, r, s, b, e in each)
    if min(size) < 1:
        raise ModelError(f"{node}: its kernel {kernel} (dilation {dilation}) is larger than its input {pixels}.")
    return Windows(stride, dilation, before, after, size)


def alike_at_both_ends(pixels: Shape, kernel: Shape, found: Windows) -> bool:
    """Whether the padding in front, put behind as well, gives the same windows; pixels left over do not count."""
    each = zip(pixels, kernel, found.dilation, found.stride, found.before, found.size, strict=True)
    return all((n + 2 * b - d * (k - 1) - 1) // s + 1 == m for n, k, d, s, b, m in each)


def padded(build: Build, name: str, signal: Signal, before: Shape, after: Shape) -> Signal:
    """Zeros around the last axes of a signal, by a node ``name``; the signal itself where there are none."""
    if not any((*before, *after)):
        return signal
    rest = len(signal.shape) - len(before)
    each = zip(before, signal.shape[rest:], after, strict=True)
    shape = (*signal.shape[:rest], *(b + n + e for b, n, e in each))
    return build.add(name, Embed(shape, (*(0,) * rest, *before)), signal, keeps=True)


def _count(room: int, stride: int, start_before: int, rounds_up: bool) -> int:
    """How many windows fit: ``room`` is what the first leaves; one that hangs over starts before ``start_before``."""
    if not rounds_up:
        return max(room // stride + 1, 0)
    count = max(-(-room // stride) + 1, 0)
    return count - 1 if (count - 1) * stride >= start_before else count


def _padding(node: OnnxNode, pixels: Shape, stride: Shape, reach: Shape) -> tuple[Shape, Shape]:
    axes = len(pixels)
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = node.integers("pads", (0,) * (2 * axes))
        if min(pads) < 0:
            raise ModelError(f"{node} crops its input with pads {pads}; only padding is read.")
        return pads[:axes], pads[axes:]
    if mode == "VALID":
        return (0,) * axes, (0,) * axes
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ModelError(f"{node}: auto_pad {mode!r:.40} is none of NOTSET, VALID, SAME_UPPER, SAME_LOWER.")
    total = [(-(-n // s) - 1) * s + r - n for n, s, r in zip(pixels, stride, reach, strict=True)]
    if min(total) < 0:
        raise ModelError(f"{node}: with strides {stride} over kernels of {reach}, runtimes disagree about {mode}.")
    less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
    return (less, more) if mode == "SAME_UPPER" else (more, less)
