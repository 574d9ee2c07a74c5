"""Parts of one neuron's step in torch: how many spikes a membrane is worth, with a surrogate gradient, and its resets.

The gradient of a single spike is the arctangent's (Fang et al. 2021, arXiv:2007.05785, eq. 7 with alpha = 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from spikeport.converters.network import Neuron


def late_value_reset(node: Neuron, own: Mapping[str, Tensor], w: Tensor, due: Tensor, v: Tensor, u: Tensor) -> Tensor:
    """A reset to a value that acts one step late: on the new membrane (the input is lost) or on the old one."""
    fired = due > 0
    if node.reset_discards_input:
        return torch.where(fired, own["v_reset"], w)
    before = torch.where(fired, own["v_reset"], v)
    return own["membrane_decay"] * before + own["current_gain"] * u + own["bias"]


def reset(node: Neuron, own: Mapping[str, Tensor], w: Tensor, spikes: Tensor, due: Tensor) -> Tensor:
    """v[t] from w[t] where the reset is in the step of the spike."""
    if node.reset == "value":
        return torch.where(spikes > 0, own["v_reset"], w)
    if node.reset == "subtract":
        return w - (spikes - due) * own["threshold"]
    return w


def spikes_of(w: Tensor, threshold: Tensor, node: Neuron) -> Tensor:
    """n[t]: how many spikes the membrane ``w`` is worth."""
    if node.max_spikes == 1:
        fired: Tensor = _Single.apply(w - threshold, node.comparison == ">=")  # type: ignore[no-untyped-call]
        return fired
    most = float("inf") if node.max_spikes is None else float(node.max_spikes)
    counted: Tensor = _Multi.apply(w / threshold, node.comparison == ">=", most)  # type: ignore[no-untyped-call]
    return counted


class _Single(torch.autograd.Function):
    """1 where the distance to the threshold is positive (or zero, if that counts); arctangent gradient."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, at_threshold: bool) -> Tensor:
        ctx.save_for_backward(distance)
        return (distance >= 0 if at_threshold else distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradients[0] / (1.0 + (torch.pi * distance) ** 2), None


class _Multi(torch.autograd.Function):
    """How many thresholds fit, at most ``most``; the gradient of the straight line between the jumps."""

    @staticmethod
    def forward(ctx: Any, ratio: Tensor, at_threshold: bool, most: float) -> Tensor:
        ctx.save_for_backward(ratio)
        count = torch.floor(ratio) if at_threshold else torch.ceil(ratio) - 1.0
        return count.clamp(0.0, most)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (ratio,) = ctx.saved_tensors
        return gradients[0] * (ratio >= 0.5).to(ratio.dtype), None, None
