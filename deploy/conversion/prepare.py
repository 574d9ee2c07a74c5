"""The conventional network made ready: inputs in 0 .. 1, factors in the weights, no maximum pools."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import Network
from spikeport.converters.passes.convert.coding import Range, range_of, with_input_range
from spikeport.converters.passes.convert.max_pool import Treatment, max_pools, without_max_pools
from spikeport.converters.passes.convert.melt import melted
from spikeport.converters.passes.convert.swap import pools_behind_activations
from spikeport.converters.passes.infer import infer
from spikeport.deploy.conversion.curve import Exam, Measure
from spikeport.deploy.conversion.observe import answers
from spikeport.deploy.conversion.options import ConvertOptions, Target


@dataclass(frozen=True)
class PoolChoice:
    """How maximum pools were treated, and the conventional network's scores (on calibration data) either way."""

    treatment: Treatment
    pools: tuple[str, ...]
    measure: Measure
    exact: float
    average: float


@dataclass(frozen=True)
class Prepared:
    """The conventional network in the form that is converted, calibration frames as it takes them, the data's range."""

    network: Network
    frames: NDArray[np.float32]
    ends: Range
    max_pools: PoolChoice | None
    findings: tuple[Finding, ...]


def prepared_for(
    network: Network,
    values: NDArray[np.float32],
    labels: NDArray[np.int64] | None,
    to: Target,
    options: ConvertOptions,
) -> Prepared:
    """``network``, inferred, made ready with calibration ``values`` (N, *shape) or (N, T, *shape).

    Its input becomes what encoders send: for rates 0 .. 1 between the ends of the range, for sigma-delta what lies
    above the low end, in the data's own unit.
    """
    shape = network.shapes[network.inputs[0]]
    frames = values.reshape(-1, *shape)
    found = range_of(frames) if options.low is None or options.high is None else Range(options.low, options.high)
    ends = Range(*(b if a is None else a for a, b in ((options.low, found.low), (options.high, found.high))))
    sent = ends if to == "spiking" else Range(ends.low, ends.low + 1.0)
    scaled = ((frames.clip(ends.low, ends.high) - sent.low) / (sent.high - sent.low)).astype(np.float32)
    coded = infer(with_input_range(network, sent)).result
    base = pools_behind_activations(melted(coded))
    if not max_pools(base):
        return Prepared(base, scaled, ends, None, ())
    chosen, record = _pools(base, scaled, labels if len(frames) == len(values) else None, options)
    return Prepared(melted(chosen.result), scaled, ends, record, chosen.findings)


def _pools(
    network: Network, frames: NDArray[np.float32], labels: NDArray[np.int64] | None, options: ConvertOptions
) -> tuple[Outcome[Network], PoolChoice]:
    """Maximum pools replaced as asked for; "auto" takes the average where that costs less than the allowed points."""
    exam = Exam(frames, answers(network, frames).reshape(len(frames), -1), labels)
    average = without_max_pools(network, "average")
    kept, lost = exam.score(exam.answers), exam.score(answers(average.result, frames).reshape(len(frames), -1))
    costly = lost < kept - options.points / 100
    exact = options.max_pool == "exact" or (options.max_pool == "auto" and costly)
    chosen = without_max_pools(network, "exact") if exact else average
    return chosen, PoolChoice("exact" if exact else "average", max_pools(network), exam.measure, kept, lost)
