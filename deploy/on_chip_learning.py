"""On-chip learning: a deployment's last dense layer adapts to a few labelled samples, in the chip's integers.

* ``learn``: gradient steps by a local rule. Each presentation of a sample is one learning epoch: x1 counts the hidden
  spikes, the host reads the answer and sends back errors (softmax minus target, 5 bits, only where they reach the
  threshold), and the learning engine adds m · 2^e · x1 · error to the weights, rounded stochastically.
* ``imprint``: no gradient: the weights of a class become the mean hidden spike counts of its samples, written by the
  host. Qi et al. 2018, "Low-shot learning with imprinted weights", arXiv:1712.07136.

Stewart & Neftci 2022, arXiv:2201.10777, for the rule; `spikeport.deploy.learning.engine` for its integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.converters.findings import Finding
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.learning.costs import LearningCosts, epoch_costs
from spikeport.deploy.learning.engine import (
    ROUNDING_SEED,
    Rate,
    Rounding,
    count_trace,
    impulse_for,
    nearest_rate,
    product,
    update,
    weight_range,
    weight_unit,
)
from spikeport.deploy.learning.layer import PlasticLayer, answers, plastic_layer, with_room, with_weights
from spikeport.deploy.learning.third_factor import ERROR_MAX, THRESHOLD, errors, sent
from spikeport.deploy.run import Run
from spikeport.errors import DataError, UnsupportedOnChipError

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Learning:
    """Settings of `learn`.

    Attributes:
        rate: of a gradient step on the trained network's weights, features being spikes per step, for one sample.
        passes: how often each sample is shown.
        temperature: scores per unit of a logit; None: the number of steps, so that a running sum counts as a mean.
        bits: of the weights while they learn; None: as many as the layer has.
        threshold: errors below it are not sent.
        seed: of the stochastic rounding; 2 is Lava's.
        batch: whether all errors of a pass come from the weights it began with, as in a gradient step on all samples.
            Each sample is then shown twice in a pass, to be answered and to be learnt from. Otherwise it is learnt
            from at once, and the next one meets the weights that came of it: half the work, for small rates.
    """

    rate: float = 1.0
    passes: int = 5
    temperature: float | None = None
    bits: int | None = None
    threshold: float = THRESHOLD
    seed: int = ROUNDING_SEED
    batch: bool = True

    def __post_init__(self) -> None:
        if self.passes < 1 or not 0 < self.rate < float("inf"):
            raise DataError(f"learning needs passes >= 1 and a rate > 0, found {self.passes} and {self.rate}")
        if self.temperature is not None and not 0 < self.temperature < float("inf"):
            raise DataError(f"the temperature must be above 0, found {self.temperature}")
        if not 0 <= self.threshold < 1:
            raise DataError(f"the error threshold must be at least 0 and below 1, found {self.threshold}")


@dataclass(frozen=True)
class Adapted:
    """A deployment that learnt.

    Attributes:
        deployment: with the new weights.
        costs: of the learning; its presentations ran as `run` did, each ``passes`` times.
        run: of the samples, once, before the learning.
        rate: the rule's, None where there was none.
        errors: (passes,) mean size of the errors before they were quantised.
    """

    deployment: Deployment
    costs: LearningCosts
    run: Run
    rate: Rate | None
    errors: tuple[float, ...] = ()


def learn(
    deployment: Deployment,
    data: NDArray[Any],
    labels: Ints,
    how: Learning | None = None,
    progress: Progress | None = None,
) -> Adapted:
    """Adapt the last layer to ``data`` (B, ...) of the classes ``labels`` (B,), sample by sample in the order given.

    Raises:
        DataError: labels that do not fit data or output, or a rate that the rule cannot write.
        UnsupportedOnChipError: the last layer is not one dense group of spikes.
    """
    how = how or Learning()
    run, hidden = _hidden(deployment, data, labels)
    deployment = with_room(deployment, int(hidden.sum((1, 2)).max()))
    layer = plastic_layer(deployment)
    steps = hidden.shape[1]
    unit = weight_unit(how.bits or layer.synapses.num_weight_bits, layer.synapses.sign_mode)
    weights = to_grid(layer.weights, unit, layer)
    rate, x1 = rule_for(how.rate, layer.unit, steps), count_trace(hidden, impulse_for(steps))
    rounding, costs, sizes = Rounding(how.seed), LearningCosts(), np.zeros(how.passes)

    def told(i: int) -> NDArray[np.float64]:
        scores = answers(deployment, layer, weights, data[i : i + 1], hidden[i])
        return errors(scores, labels[i], how.temperature or steps)

    for turn in range(how.passes):
        known = [told(i) for i in range(len(labels))] if how.batch else []
        for i in range(len(labels)):
            error = known[i] if how.batch else told(i)
            y1, before = sent(error, how.threshold), weights
            weights = update(weights, product(x1[i], y1, rate), rounding.next(), unit, layer.synapses.sign_mode)
            costs = costs.plus(epoch_costs(before, weights, x1[i], y1, int(hidden[i].sum()), 1 + how.batch))
            sizes[turn] += np.abs(error).mean() / len(labels)
            if progress is not None:
                progress(turn * len(labels) + i + 1, how.passes * len(labels))
    return Adapted(_adapted(deployment, layer, weights, "gradient"), costs, run, rate, tuple(map(float, sizes)))


def rule_for(rate: float, unit: float, steps: int) -> Rate:
    """The rule that comes nearest to ``rate`` · error · (spikes per step) in weights of which ``unit`` make 1.

    x1 is impulse · count and y1 is 15 · error, so a gain of rate · unit / (15 · impulse · steps) is wanted.
    """
    return nearest_rate(rate * unit / (ERROR_MAX * impulse_for(steps) * steps))


def to_grid(weights: Ints, unit: int, layer: PlasticLayer) -> Ints:
    """The nearest weights that are multiples of ``unit``."""
    low, high = weight_range(unit, layer.synapses.sign_mode)
    return np.clip(np.rint(weights / unit).astype(np.int64) * unit, low, high)


def imprint(deployment: Deployment, data: NDArray[Any], labels: Ints) -> Adapted:
    """Write each class's mean hidden spike counts, at unit length, into its weights.

    Raises:
        DataError: labels that do not fit data or output, or a class without samples or without hidden spikes.
        UnsupportedOnChipError: the last layer is not one dense group of spikes, or holds no positive weights.
    """
    run, hidden = _hidden(deployment, data, labels)
    deployment = with_room(deployment, int(hidden.sum((1, 2)).max()))
    layer = plastic_layer(deployment)
    if layer.synapses.sign_mode == "inhibitory":
        raise UnsupportedOnChipError(f"{layer.synapses.name}: all its weights are inhibitory; spike counts are not")
    weights = imprinted(hidden.sum(1), labels, layer)
    costs = LearningCosts(presentations=len(labels), host_weights=weights.size)
    return Adapted(_adapted(deployment, layer, weights, "imprint"), costs, run, None)


def imprinted(counts: Ints, labels: Ints, layer: PlasticLayer) -> Ints:
    """Weights (n_output, n_hidden) from hidden spike counts (B, n_hidden): the largest fills the format.

    Raises:
        DataError: a class without samples, or without spikes.
    """
    classes = np.arange(len(layer.weights))
    if missing := [int(c) for c in classes if not (labels == c).any()]:
        raise DataError(f"imprinting needs samples of every class; there are none of {', '.join(map(str, missing))}")
    means = np.stack([counts[labels == c].mean(0) for c in classes])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    if not lengths.all():
        raise DataError(f"class {int(lengths.argmin())}: {layer.hidden} did not spike for any of its samples")
    unit = weight_unit(layer.synapses.num_weight_bits, layer.synapses.sign_mode)
    _, high = weight_range(unit, layer.synapses.sign_mode)
    prototypes = means / lengths
    return to_grid(np.rint(prototypes * high / prototypes.max()).astype(np.int64), unit, layer)


def _hidden(deployment: Deployment, data: NDArray[Any], labels: Ints) -> tuple[Run, Ints]:
    """The run of all samples, and the hidden layer's spikes (B, T, n)."""
    layer = plastic_layer(deployment)
    outputs = len(layer.weights)
    if labels.shape != (len(data),) or not len(data):
        raise DataError(f"{len(data)} samples and labels of shape {labels.shape}: there must be one label each")
    if labels.min() < 0 or labels.max() >= outputs:
        raise DataError(f"labels {labels.min()}..{labels.max()}, but {layer.output.name} has {outputs} outputs")
    run = deployment.run(data, record=[layer.hidden])
    spikes = run.spikes[layer.hidden]
    return run, spikes.reshape(*spikes.shape[:2], -1)


def _adapted(deployment: Deployment, layer: PlasticLayer, weights: Ints, rule: str) -> Deployment:
    text = f"its weights were adapted after compilation ({rule}); the quantization report is about those before."
    made = replace(deployment.provenance, options={**deployment.provenance.options, "adapted": rule})
    finding = Finding("adapted", "info", layer.output.name, text)
    changed = with_weights(deployment, layer, weights)
    return replace(changed, provenance=made, findings=(*deployment.findings, finding))
