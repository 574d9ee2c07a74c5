"""Which number type computes a layer's sums exactly, on this machine and with these settings of torch.

int8 products with 32-bit sums are several times faster than float ones where the processor has instructions for them.
Processors without may add pairs of products in 16 bits, which saturate; so int8 has to prove itself at the extremes.
"""

from __future__ import annotations

from functools import cache

import torch

FLOAT32_EXACT = 1 << 24
FLOAT64_EXACT = 1 << 53
INT32_EXACT = 1 << 31
_INT8 = torch.iinfo(torch.int8)


def number_type(
    weights: tuple[int, int], heaviest: int, payload: int, int8: bool, device: torch.device
) -> torch.dtype | None:
    """The fastest type in which every partial sum of payloads times weights is exact, whatever the order of addition.

    Args:
        weights: the smallest and the largest.
        heaviest: the largest sum of absolute weights onto one target.
        payload: bound of the spikes' absolute values.
        int8: whether the product exists for int8.
        device: where it is to run.

    Returns:
        int8 (sums in int32), float32 or float64; None where even float64 is not enough.
    """
    most = heaviest * payload
    narrow = _INT8.min <= weights[0] and weights[1] <= _INT8.max and payload <= _INT8.max and most < INT32_EXACT
    if int8 and narrow and int8_adds_up(device):
        return torch.int8
    if most < FLOAT32_EXACT and not float32_is_rounded():
        return torch.float32
    return torch.float64 if most < FLOAT64_EXACT else None


@cache
def int8_adds_up(device: torch.device) -> bool:
    """Whether int8 products of the largest and smallest numbers have their true sums here."""
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(72), indexing="ij")
    left = torch.where((rows + columns) % 3 == 0, _INT8.min, _INT8.max)
    left[: len(left) // 2] = (columns[: len(left) // 2] % 5 != 0).long()
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
    except RuntimeError:  # torch refuses to say so where its old and its new switches were both used
        return True
