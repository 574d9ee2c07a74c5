"""Connectivity as matrix products over many rows of spikes at once; exact, since `exact` chose the number type.

Convolutions are unfolded by hand: a library's convolution may go through Fourier or Winograd transforms, whose sums are
not exact. A row is one step of one sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional

from spikeport.converters.accumulate import accumulator
from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Ints, Sparse

WORTH_FILLING = 16
"""A sparse group is kept as a full int8 matrix where that takes no more bytes than this per synapse."""
LEAST_FACTORS = 8
"""Sums of fewer products go without int8: torch 2.13's int8 product of an (M, 1) and a (1, N) matrix is wrong."""


class Map(Protocol):
    """Weights made ready for one number type.

    Attributes:
        dtype: of the rows it takes. The sums of int8 rows are int32, others have the type of their rows.
        row_bytes: memory that one row takes on its way through.
    """

    @property
    def dtype(self) -> torch.dtype:
        """See above."""
        ...

    @property
    def row_bytes(self) -> int:
        """See above."""
        ...

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """Sums of ``rows`` (R, n_source): (R, C, n_target / C) for a C of the map's own, not always contiguous."""
        ...


@dataclass(frozen=True)
class Matrix:
    """``weight`` (n_target, n_source), dense, in no more than 4 bytes each; products are of ``dtype``."""

    weight: torch.Tensor
    dtype: torch.dtype

    @property
    def row_bytes(self) -> int:
        """See `Map`."""
        return self.weight.shape[1] * self.dtype.itemsize + self.weight.shape[0] * 4

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Map`."""
        return product(rows, self.weight.to(self.dtype).T).unsqueeze(1)


@dataclass(frozen=True)
class Convolution:
    """``weight`` (groups, channels of a group, taps); ``shape``: the convolution without its weights."""

    weight: torch.Tensor
    shape: Conv2d

    @property
    def dtype(self) -> torch.dtype:
        """See `Map`."""
        return self.weight.dtype

    @property
    def row_bytes(self) -> int:
        """See `Map`."""
        groups, channels, taps = self.weight.shape
        return self._pixels * groups * (taps * self.dtype.itemsize + channels * 4)

    @property
    def _pixels(self) -> int:
        return self.shape.target_shape[1] * self.shape.target_shape[2]

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Map`."""
        taps = patches(self.shape, rows)
        if self.dtype == torch.int8:
            found = product(self.weight[0], taps)
        else:
            found = self.weight @ taps.reshape(len(self.weight), self.weight.shape[2], -1)
        return found.reshape(-1, len(rows), self._pixels).transpose(0, 1)


@dataclass(frozen=True)
class Scattered:
    """``weight`` (n_target, n_source) csr of int32 or int64, on the processor."""

    weight: csr_array

    @property
    def dtype(self) -> torch.dtype:
        """See `Map`."""
        return torch.int32 if self.weight.dtype == np.int32 else torch.int64

    @property
    def row_bytes(self) -> int:
        """See `Map`."""
        return sum(self.weight.shape) * self.dtype.itemsize

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Map`."""
        sums = self.weight @ np.ascontiguousarray(rows.cpu().numpy().T)
        return torch.from_numpy(sums).to(rows.device).T.unsqueeze(1)


@dataclass(frozen=True)
class Specified:
    """Sums too large for every fast type, as the reference computes them: slowly, on the processor."""

    accumulate: Callable[[Ints], Ints]
    row_bytes: int
    dtype: torch.dtype = torch.int64

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        """See `Map`."""
        return torch.from_numpy(self.accumulate(rows.cpu().numpy())).to(rows.device).unsqueeze(1)


def int8_product(connectivity: Connectivity) -> bool:
    """Whether the group's sums can be had from a product of int8 matrices."""
    match connectivity:
        case Dense(weight):
            return bool(weight.shape[1] >= LEAST_FACTORS)
        case Conv2d(weight, groups=groups):
            return groups == 1 and weight[0].size >= LEAST_FACTORS
        case Sparse(matrix):
            full = int(matrix.nnz) * WORTH_FILLING >= int(np.prod(matrix.shape))
            return bool(full and matrix.shape[1] >= LEAST_FACTORS)


def lay_out(connectivity: Connectivity, dtype: torch.dtype | None, device: torch.device) -> Map:
    """The map for rows of ``dtype``; None for sums that no such type holds."""
    match connectivity:
        case _ if dtype is None:
            return Specified(accumulator(connectivity), 1 << 16)
        case Dense(weight):
            kept = torch.from_numpy(weight).to(device)
            return Matrix(kept if dtype == torch.float64 else kept.to(dtype), dtype)
        case Sparse(matrix) if dtype == torch.int8:
            return Matrix(torch.from_numpy(matrix.astype(np.int8).toarray()).to(device), dtype)
        case Sparse(matrix):
            return Scattered(matrix.astype(np.int32 if dtype == torch.float32 else np.int64))
        case Conv2d(weight, groups=groups):
            kernels = torch.from_numpy(weight.reshape(groups, len(weight) // groups, -1)).to(device, dtype)
            return Convolution(kernels, without_weights(connectivity))


def without_weights(conv: Conv2d) -> Conv2d:
    """The convolution's shapes; the kernel's, too, is kept."""
    return replace(conv, weight=np.empty((0, *conv.weight.shape[1:]), np.int64))


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """``a`` (M, K) @ ``b`` (K, N); int8 factors give int32."""
    if a.dtype != torch.int8:
        return a @ b
    (m, k), n = a.shape, b.shape[1]
    if a.device.type == "cpu":
        # torch 2.13 leaves the result of thin products unset now and then: seen with one row, and with one column.
        return torch._int_mm(a, b) if min(m, k, n) >= LEAST_FACTORS else a.to(torch.int32) @ b.to(torch.int32)
    # CUDA's int8 product wants more than 16 rows and multiples of 8.
    padded = functional.pad(a, (0, -k % 8, 0, max(-m % 8, 24 - m))), functional.pad(b, (0, -n % 8, 0, -k % 8))
    return torch._int_mm(*padded)[:m, :n]


def patches(conv: Conv2d, rows: torch.Tensor) -> torch.Tensor:
    """(C · kernel height · kernel width, R · pixels): what each tap of the kernel sees of ``rows`` (R, n_source)."""
    (c, h, w), (_, oh, ow), (kh, kw) = conv.source_shape, conv.target_shape, conv.weight.shape[2:]
    (sy, sx), (py, px), (dy, dx) = conv.stride, conv.padding, conv.dilation
    image = functional.pad(rows.reshape(-1, c, h, w), (px, px, py, py))
    r, plane, line, _ = image.stride()
    seen = image.as_strided((c, kh, kw, len(rows), oh, ow), (plane, dy * line, dx, r, sy * line, sx))
    return seen.reshape(c * kh * kw, -1)
