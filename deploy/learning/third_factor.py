"""The third factor: what the host makes of the answers and sends back to the learning layer.

Error-triggered learning (SOEL: Stewart, Orchard, Shrestha, Neftci 2020, IEEE JETCAS 10(4)): an error below the
threshold is not sent, and a neuron without an error writes nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints

ERROR_MAX = 15
"""Errors are sent in 5 bits, sign included."""
THRESHOLD = 0.05
"""Stewart & Neftci 2022, arXiv:2201.10777."""


def errors(scores: NDArray[Any], labels: Ints, temperature: float) -> NDArray[np.float64]:
    """one-hot(label) - softmax(scores / temperature), (..., n): minus the gradient of the cross-entropy.

    Args:
        scores: (..., n).
        labels: (...).
        temperature: scores per unit of a logit.
    """
    logits = np.asarray(scores, np.float64) / temperature
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    softmax = powers / powers.sum(-1, keepdims=True)
    target = np.arange(logits.shape[-1]) == np.asarray(labels)[..., None]
    found: NDArray[np.float64] = target - softmax
    return found


def sent(error: NDArray[np.float64], threshold: float = THRESHOLD) -> Ints:
    """Errors in -1..1 as they are sent: 15ths, the nearest; 0, which is not sent, where |error| < threshold."""
    return np.where(np.abs(error) < threshold, 0, np.rint(ERROR_MAX * error)).astype(np.int64)
