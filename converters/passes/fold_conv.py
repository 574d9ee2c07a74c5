"""Two convolutions in a row as one, where that is exact.

Per axis, the first (kernel k1, stride s1, padding p1, dilation d1) and the second (k2, s2, p2, d2) give::

    y[o] = Σ_j w2[j] · m[o·s2 - p2 + j·d2]        m[q] = Σ_i w1[i] · x[q·s1 - p1 + i·d1]  for 0 <= q < M, else 0
         = Σ_ij w2[j]·w1[i] · x[o·(s1·s2) - (p1 + p2·s1) + j·(d2·s1) + i·d1]

so stride s1·s2, padding p1 + p2·s1 and taps at j·d2·s1 + i·d1. The one thing the second line loses is the zero outside
0 <= q < M: where the second convolution pads, the folded kernel may still see pixels (`sees_past_border`). Output
sizes always agree, because both floors divide the same number.
"""

from __future__ import annotations

from itertools import product
from math import gcd

import numpy as np

from spikeport.converters.network import Array, Conv, Shape
from spikeport.converters.passes.fold_matrix import Index

# A kernel stores its gaps as zero weights; below this share of used taps unrolled synapses are the better form.
LEAST_USED = 0.25


def compose_convs(first: Conv, then: Conv, shapes: tuple[Shape, Shape, Shape]) -> Conv | str:
    """``then`` after ``first``, without biases, as one convolution; or, as text, why there is no exact or good one.

    Args:
        first: a convolution (a pool or a channel-wise scale in convolution form included).
        then: one with the same number of kernel axes, whose input channels are ``first``'s output channels.
        shapes: of the input, between the two, and of the output, each (C, *sizes).
    """
    for axis in range(len(first.stride)):
        if sees_past_border(first, then, axis, *(shape[1 + axis] for shape in shapes)):
            return (
                f"at the border of its {shapes[0][1 + axis]}-pixel axis the folded kernel would see pixels "
                f"that the padding between the two maps hides"
            )
    used = float(np.mean(_weights(_ones(first), _ones(then)) > 0))
    if used < LEAST_USED:
        return f"only {used:.0%} of the folded kernel's taps would be used"
    gaps = _gaps(first, then)
    return Conv(
        _weights(first, then),
        None,
        stride=tuple(a * b for a, b in zip(first.stride, then.stride, strict=True)),
        padding=tuple(p1 + p2 * s for p1, p2, s in zip(first.padding, then.padding, first.stride, strict=True)),
        dilation=gaps,
        groups=gcd(first.groups, then.groups),
    )


def sees_past_border(first: Conv, then: Conv, axis: int, n_in: int, n_mid: int, n_out: int) -> bool:
    """Whether, on one axis, some tap of the folded kernel finds a pixel through a position that was padding.

    Goes through every position q the second convolution reads outside 0 <= q < ``n_mid``, so the answer is a proof.
    """
    reads = np.arange(n_out)[:, None] * then.stride[axis] - then.padding[axis]
    reads = reads + np.arange(then.weight.shape[2 + axis]) * then.dilation[axis]
    padding = reads[(reads < 0) | (reads >= n_mid)]
    taps = np.arange(first.weight.shape[2 + axis]) * first.dilation[axis] - first.padding[axis]
    pixels = padding[:, None] * first.stride[axis] + taps
    return bool(np.any((pixels >= 0) & (pixels < n_in)))


def _ones(conv: Conv) -> Conv:
    return Conv(np.ones(conv.weight.shape), None, conv.stride, conv.padding, conv.dilation, conv.groups)


def _steps(first: Conv, then: Conv) -> Shape:
    """Input pixels between neighbouring taps of the second kernel, per axis."""
    return tuple(d * s for d, s in zip(then.dilation, first.stride, strict=True))


def _gaps(first: Conv, then: Conv) -> Shape:
    """The largest dilation on whose grid all folded taps lie; a kernel of one tap asks for none."""
    pairs = zip(first.weight.shape[2:], first.dilation, then.weight.shape[2:], _steps(first, then), strict=True)
    return tuple(gcd(d1 if k1 > 1 else 0, d2 if k2 > 1 else 0) or 1 for k1, d1, k2, d2 in pairs)


def _weights(first: Conv, then: Conv) -> Array:
    """The folded kernel, (C_out, C_in / groups, *size) float64: each tap of the second carries the first."""
    groups = gcd(first.groups, then.groups)
    inner, outer = _per_group(first, groups), _per_group(then, groups)
    gaps, kernel = _gaps(first, then), inner.shape[3:]
    near = [d // g if k > 1 else 1 for d, g, k in zip(first.dilation, gaps, kernel, strict=True)]
    far = [s // g for s, g in zip(_steps(first, then), gaps, strict=True)]
    size = [(k2 - 1) * f + (k1 - 1) * n + 1 for k2, f, k1, n in zip(outer.shape[3:], far, kernel, near, strict=True)]
    total = np.zeros((groups, outer.shape[1], inner.shape[2], *size))
    for tap in product(*(range(k) for k in outer.shape[3:])):
        spans = zip(tap, far, kernel, near, strict=True)
        window: Index = (..., *(slice(t * f, t * f + (k - 1) * n + 1, n) for t, f, k, n in spans))
        at_tap: Index = (..., *tap)
        dressed = outer[at_tap] @ inner.reshape(*inner.shape[:2], -1)
        total[window] += dressed.reshape(groups, -1, *inner.shape[2:])
    return total.reshape(-1, *total.shape[2:])


def _per_group(conv: Conv, groups: int) -> Array:
    """Weights as (groups, out, in, *kernel): the convolution's own finer groups become blocks filled up with zeros."""
    blocks = conv.groups // groups
    n_out, n_in, *kernel = conv.weight.shape
    fine = conv.weight.astype(np.float64).reshape(groups, blocks, n_out // conv.groups, n_in, *kernel)
    coarse = np.zeros((groups, blocks, n_out // conv.groups, blocks, n_in, *kernel))
    for block in range(blocks):
        coarse[:, block, :, block] = fine[:, block]
    return coarse.reshape(groups, n_out // groups, blocks * n_in, *kernel)
