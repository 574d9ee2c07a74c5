"""The spike as a function that gradients pass through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradients[0] / (ctx.slope * distance.abs() + 1.0) ** 2, None


def spike(distance: Tensor, slope: float) -> Tensor:
    """1 where ``distance`` (membrane minus threshold) is above 0, else 0; any shape.

    Backwards it is the fast sigmoid of Zenke and Ganguli, "SuperSpike" (Neural Computation 30, 2018):
    d spike / d distance = 1 / (slope · |distance| + 1)^2.
    """
    result: Tensor = _Spike.apply(distance, slope)  # type: ignore[no-untyped-call]  # torch leaves apply untyped
    return result
