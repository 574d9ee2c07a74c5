"""compare: a trained network and its deployment on the same input: where they part, and which effect costs what.

Effects are shown in two directions: the trained network with one effect alone, and the chip without that one. The
networks between are executed in float64 (`spikeport.deploy.compare.circuit_float`); with every effect on they are the
integer program bit for bit, which is checked against the simulator on the data at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Network
from spikeport.deploy.compare.comparison import Comparison
from spikeport.deploy.compare.layers import MEASURE, Measure
from spikeport.deploy.compare.pair import pair
from spikeport.deploy.compare.work import Work
from spikeport.deploy.deployment import Deployment
from spikeport.errors import DataError

Progress = Callable[[int, int], None]


def compare(
    network: Network,
    deployment: Deployment,
    data: NDArray[Any],
    labels: NDArray[np.integer] | None = None,
    *,
    effects: bool = True,
    measure: Measure = MEASURE,
    progress: Progress | None = None,
) -> Comparison:
    """Run both on ``data`` and hold everything against each other.

    Args:
        network: the trained network that the deployment was compiled from.
        deployment: the compiled one.
        data: (B, T, *shape), or (B, *shape) where the deployment's encoder makes the time axis.
        labels: (B,) the right classes; without them accuracy means agreement with the trained network.
        effects: whether to work out what each effect costs, which takes 16 runs more.
        measure: constants of the distances.
        progress: called with (samples done, in all).

    Raises:
        DataError: the deployment came from another network or from integers, or the data do not fit.
    """
    if len(data) == 0:
        raise DataError(f"the data are empty: shape {data.shape}")
    if labels is not None and labels.shape != data.shape[:1]:
        raise DataError(f"labels of shape {labels.shape} for {len(data)} samples")
    work = Work(pair(network, deployment), deployment, measure, effects)
    size = work.batch_size(data)
    for first in range(0, len(data), size):
        work.add(data[first : first + size], first)
        if progress is not None:
            progress(min(first + size, len(data)), len(data))
    return work.finish(None if labels is None else np.asarray(labels, np.int64))
