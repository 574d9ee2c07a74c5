"""Which number type computes a layer's sums exactly, on this machine and with these settings of torch.

int8 products with 32-bit sums are several times faster than float ones where the processor has instructions for them.
Processors without may add pairs of products in 16 bits, which saturate; so int8 has to prove itself at the extremes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

_INT8 = torch.iinfo(torch.int8)
_EXACT = {torch.int8: 1 << 31, torch.float32: 1 << 24, torch.float64: 1 << 53}
"""Integer sums below this are exact in any order; those of int8 products are int32."""


@dataclass(frozen=True)
class Number:
    """A number type, and the largest absolute value of a spike up to which its sums are exact."""

    dtype: torch.dtype
    payload: int


def number(weights: tuple[int, int], heaviest: int, payload: int, int8: bool, device: torch.device) -> Number | None:
    """The fastest type in which every partial sum of payloads times weights is exact, whatever the order of addition.

    Args:
        weights: the smallest and the largest.
        heaviest: the largest sum of absolute weights onto one target.
        payload: bound of the spikes' absolute values.
        int8: whether the product exists for int8.
        device: where it is to run.

    Returns:
        int8, float32 or float64; None where even float64 is not enough.
    """
    for dtype, bound in _EXACT.items():
        most = (bound - 1) // max(heaviest, 1)
        if dtype == torch.int8:
            small = _INT8.min <= weights[0] and weights[1] <= _INT8.max
            usable, most = int8 and small and int8_adds_up(device), min(most, _INT8.max)
        else:
            usable = dtype == torch.float64 or not float32_is_rounded()
        if usable and payload <= most:
            return Number(dtype, most)
    return None


@cache
def int8_adds_up(device: torch.device) -> bool:
    """Whether int8 products of the largest and smallest numbers have their true sums here."""
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(72), indexing="ij")
    left = torch.where((rows + columns) % 3 == 0, _INT8.min, _INT8.max)
    left[:20] = (columns[:20] % 5 != 0).long()
    right = torch.where((rows // 8 + columns // 2) % 2 == 0, _INT8.min, _INT8.max)
    right[0] = _INT8.min
    try:
        product = torch._int_mm(left.to(device, torch.int8), right.to(device, torch.int8).T)
    except (AttributeError, NotImplementedError, RuntimeError):
        return False
    return bool(torch.equal(product.to("cpu", torch.int64), left @ right.T))


def float32_is_rounded() -> bool:
    """Whether somebody allowed torch to round the factors of float32 products (TF32 or bfloat16)."""
    try:
        return torch.get_float32_matmul_precision() != "highest"
    except RuntimeError:  # torch refuses to say where its old and its new switches were both used
        return True
