"""One step of a sigma-delta unit in torch: the `SigmaDelta` docstring, line by line. Tensors are (B, *shape)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from spikeport.converters.network import SigmaDelta


@dataclass(frozen=True)
class Held:
    """What a unit keeps from step to step: the sum of changes received, its activation, the change not yet sent."""

    sigma: Tensor
    activation: Tensor
    residue: Tensor


def at_rest(zeros: Tensor) -> Held:
    """Before the first step everything is zero."""
    return Held(zeros, zeros, zeros)


def sigma_delta(node: SigmaDelta, own: Mapping[str, Tensor], held: Held, x: Tensor) -> tuple[Tensor, Held]:
    """What the unit gives, and what it keeps."""
    sigma = held.sigma + x if node.sums else x
    biased = sigma + own["bias"]
    activation = torch.relu(biased) if node.rectified else biased
    if not node.sends_changes:
        return activation, Held(sigma, activation, held.residue)
    change = activation - held.activation + held.residue
    sent = torch.where(change.abs() >= own["threshold"], change, torch.zeros_like(change))
    return sent, Held(sigma, activation, change - sent)
