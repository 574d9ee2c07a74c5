"""The losses of static-to-event transfer, as the authors' public code has them (Brain-Cog-Lab/Transfer-for-DVS)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TARGET_WEIGHT = 1e-3
"""lambda of the temporal efficient training term, and the weight of its regulariser."""


def linear_cka(x: Tensor, y: Tensor) -> Tensor:
    """Linear centred kernel alignment of two sets of features (B, F), (B, G) of the same B pairs; ().

    <K, L>_F / (|K| · |L| + 1e-7) with the centred Gram matrices K, L: Kornblith et al. 2019, arXiv:1905.00414.
    """
    k, l = (_centred(z @ z.T) for z in (x, y))  # noqa: E741  # the paper's names
    alignment: Tensor = (k * l).sum() / (k.norm() * l.norm() + 1e-7)
    return alignment


def _centred(gram: Tensor) -> Tensor:
    return gram - gram.mean(0, keepdim=True) - gram.mean(1, keepdim=True) + gram.mean()


def alignment_losses(static: Tensor, event: Tensor) -> Tensor:
    """(T,) 1 - |CKA| of membranes (B, T, F) of both domains, step by step."""
    steps = zip(static.unbind(1), event.unbind(1), strict=True)
    return torch.stack([1.0 - linear_cka(s, e).abs() for s, e in steps])


def step_losses(logits: Tensor, labels: Tensor, target: float) -> Tensor:
    """(T,) (1 - lambda) · CE(o_t, y) + lambda · MSE(o_t, target) of single steps' logits (B, T, classes)."""
    parts = []
    for step in logits.unbind(1):
        distance = ((step - target) ** 2).mean()
        parts.append((1.0 - TARGET_WEIGHT) * functional.cross_entropy(step, labels) + TARGET_WEIGHT * distance)
    return torch.stack(parts)


def sliding_probability(done: int, total: int) -> float:
    """((b + e · N) / (E · N))^3: how probably a static sample gives way to its event partner in this batch."""
    return (done / total) ** 3
