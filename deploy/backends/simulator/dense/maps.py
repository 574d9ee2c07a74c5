"""Connectivity as matrix products over many rows of spikes at once; exact, since `exact` chose the number type.

Convolutions are unfolded by hand: a library's convolution may go through Fourier or Winograd transforms, whose sums are
not exact. A row is one step of one sample. Several groups of one shape share a map: their targets stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch.nn import functional

from spikeport.converters.accumulate import accumulator
from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, Sparse

Sums: TypeAlias = tuple[torch.Tensor, ...]
"""One (R, C, n / C) view for each group of a map; products of int8 are int32, of others their own type."""
WORTH_FILLING = 16
"""Bytes per synapse up to which a sparse group is kept as a full matrix."""


class Map(Protocol):
    """Weights made ready for one number type."""

    dtype: torch.dtype

    def __call__(self, rows: torch.Tensor) -> Sums:
        """Sums of ``rows`` (R, n_source), of the map's number type."""
        ...

    def bytes_per_row(self) -> int:
        """Memory that one row takes on its way through."""
        ...


@dataclass(frozen=True)
class Matrix:
    """``weight`` (groups · n_target, n_source), dense."""

    weight: torch.Tensor
    groups: int

    @property
    def dtype(self) -> torch.dtype:
        """Of rows."""
        return self.weight.dtype

    def __call__(self, rows: torch.Tensor) -> Sums:
        """See `Map`."""
        found = product(rows, self.weight.T)
        return tuple(part.unsqueeze(1) for part in found.chunk(self.groups, dim=1))

    def bytes_per_row(self) -> int:
        """See `Map`."""
        return self.weight.shape[1] * self.dtype.itemsize + self.weight.shape[0] * 4


@dataclass(frozen=True)
class Convolution:
    """``weight`` (conv groups, synapse groups · channels of a conv group, taps); ``shape``: any of its groups."""

    weight: torch.Tensor
    groups: int
    shape: Conv2d

    @property
    def dtype(self) -> torch.dtype:
        """Of rows."""
        return self.weight.dtype

    def __call__(self, rows: torch.Tensor) -> Sums:
        """See `Map`."""
        taps = patches(self.shape, rows)
        if self.dtype == torch.int8:
            found = product(self.weight[0], taps).unsqueeze(0)
        else:
            found = self.weight @ taps.reshape(self.shape.groups, self.weight.shape[2], -1)
        pixels = self.shape.target_shape[1] * self.shape.target_shape[2]
        parts = found.reshape(self.shape.groups, self.groups, -1, len(rows), pixels).unbind(1)
        return tuple(part.reshape(-1, len(rows), pixels).transpose(0, 1) for part in parts)

    def bytes_per_row(self) -> int:
        """See `Map`."""
        pixels = self.shape.target_shape[1] * self.shape.target_shape[2]
        channels, taps = self.weight.shape[0] * self.weight.shape[1], self.weight.shape[0] * self.weight.shape[2]
        return pixels * (taps * self.dtype.itemsize + channels * 4)


@dataclass(frozen=True)
class Scattered:
    """``weight`` (n_target, n_source), csr."""

    weight: torch.Tensor

    @property
    def dtype(self) -> torch.dtype:
        """Of rows."""
        return self.weight.dtype

    def __call__(self, rows: torch.Tensor) -> Sums:
        """See `Map`."""
        return ((self.weight @ rows.T.contiguous()).T.unsqueeze(1),)

    def bytes_per_row(self) -> int:
        """See `Map`."""
        return (self.weight.shape[1] + self.weight.shape[0]) * self.dtype.itemsize


@dataclass(frozen=True)
class Specified:
    """Sums beyond every fast type, as the reference computes them; slow, and on the processor."""

    accumulate: Callable[[Ints], Ints]
    sizes: int
    dtype: torch.dtype = torch.int64

    def __call__(self, rows: torch.Tensor) -> Sums:
        """See `Map`."""
        return (torch.from_numpy(self.accumulate(rows.cpu().numpy())).to(rows.device).unsqueeze(1),)

    def bytes_per_row(self) -> int:
        """See `Map`."""
        return self.sizes * 8


def lay_out(members: Sequence[Connectivity], dtype: torch.dtype, device: torch.device) -> Map:
    """The members, of one kind and geometry, as one map; a sparse one comes alone."""
    match members[0]:
        case Sparse(matrix):
            return _scattered(matrix, dtype, device)
        case Dense():
            weight = np.concatenate([m.weight for m in members if isinstance(m, Dense)])
            return Matrix(torch.from_numpy(weight).to(device, dtype), len(members))
        case Conv2d() as shape:
            kernels = [
                m.weight.reshape(m.groups, len(m.weight) // m.groups, -1) for m in members if isinstance(m, Conv2d)
            ]
            weight = torch.from_numpy(np.concatenate(kernels, axis=1)).to(device, dtype)
            return Convolution(weight, len(members), replace(shape, weight=shape.weight[:0]))


def specified(connectivity: Connectivity, sizes: int) -> Specified:
    """The reference's own sums; ``sizes``: neurons of source and target together."""
    return Specified(accumulator(connectivity), sizes)


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a`` (M, K) @ ``b`` (K, N); int8 factors give int32."""
    if a.dtype != torch.int8:
        return a @ b
    if a.device.type == "cpu":
        return torch._int_mm(a, b)
    (m, k), n = a.shape, b.shape[1]
    # CUDA's int8 product wants more than 16 rows and multiples of 8.
    padded = functional.pad(a, (0, -k % 8, 0, max(-m % 8, 24 - m))), functional.pad(b, (0, -n % 8, 0, -k % 8))
    return torch._int_mm(*padded)[:m, :n]


def patches(conv: Conv2d, rows: torch.Tensor) -> torch.Tensor:
    """(C · kernel height · kernel width, R · pixels): what each tap of the kernel sees of ``rows`` (R, n_source)."""
    (c, h, w), (_, oh, ow), (kh, kw) = conv.source_shape, conv.target_shape, conv.kernel
    (sy, sx), (py, px), (dy, dx) = conv.stride, conv.padding, conv.dilation
    image = functional.pad(rows.reshape(-1, c, h, w), (px, px, py, py))
    r, plane, row, _ = image.stride()
    size, stride = (c, kh, kw, len(rows), oh, ow), (plane, dy * row, dx, r, sy * row, sx)
    return image.as_strided(size, stride).reshape(c * kh * kw, -1)
