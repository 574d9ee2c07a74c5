"""convert: a conventional network and data in; a spiking or sigma-delta network and how it fares out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Activation, Network
from spikeport.converters.passes.convert.operations import Operations
from spikeport.converters.passes.infer import infer
from spikeport.deploy.codec import encoder_text
from spikeport.deploy.conversion.curve import Exam, Measure, Point, best_reading, curve, enough, run_encoded
from spikeport.deploy.conversion.make import LayerConversion, Made, sigma_delta, spiking
from spikeport.deploy.conversion.observe import answers
from spikeport.deploy.conversion.options import ConvertOptions, Target, check_target
from spikeport.deploy.conversion.prepare import PoolChoice, Prepared, prepared_for
from spikeport.deploy.encode import arrange
from spikeport.errors import DataError, ModelError

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Conversion:
    """A converted network and what is known about it.

    Attributes:
        network: the result; it carries the encoding and decoding it was made for.
        to: "spiking" or "sigma-delta".
        measure: what scores count.
        samples: how many samples the scores come from.
        original: the conventional network's score; 1.0 where there are no labels.
        points: scores by time steps, read from ``warm_up`` on.
        from_start: the same, read from the first step on.
        steps: the fewest steps from which on the score stays within the allowed points; None where none are enough.
        warm_up: steps at the start that are not read.
        max_pools: how maximum pools were treated, and the scores with each treatment; None where there are none.
        layers: by activation.
        operations: estimates for both codes.
        findings: what had to be decided or given up.
    """

    network: Network
    to: Target
    measure: Measure
    samples: int
    original: float
    points: tuple[Point, ...]
    from_start: tuple[Point, ...]
    steps: int | None
    warm_up: int
    max_pools: PoolChoice | None
    layers: Mapping[str, LayerConversion]
    operations: Operations
    findings: tuple[Finding, ...]


def convert(
    network: Network,
    data: NDArray[Any],
    to: Target = "spiking",
    labels: NDArray[np.int64] | None = None,
    test: NDArray[Any] | None = None,
    test_labels: NDArray[np.int64] | None = None,
    options: ConvertOptions | None = None,
    progress: Progress = lambda what: None,
) -> Conversion:
    """Convert a conventional network (one with `Activation` nodes).

    Args:
        network: as a reader returns it; one input, one output.
        data: calibration data (N, *shape); for sigma-delta also sequences (N, T, *shape).
        to: "spiking": rates of integrate-and-fire neurons. "sigma-delta": graded changes (Loihi 2).
        labels: (N,) classes of ``data``.
        test: what the scores are taken on; the calibration data if None.
        test_labels: classes of ``test``.
        options: see `ConvertOptions`.
        progress: called with what is being done.

    Raises:
        SpikeportError: the network, the data and the options do not go together.
    """
    check_target(to)
    options = options or ConvertOptions()
    network = _checked(network)
    shape = network.shapes[network.inputs[0]]
    values = arrange(data, shape).astype(np.float32)
    exam_data, exam_labels = (
        (values, labels) if test is None else (arrange(test, shape).astype(np.float32), test_labels)
    )
    _check_time(to, values, exam_data, shape)
    progress("looking at the activations")
    known = None if labels is None else labels[: options.samples]
    prepared = prepared_for(network, values[: options.samples], known, to, options)
    made = (spiking if to == "spiking" else sigma_delta)(prepared, options)
    progress("running the converted network")
    exam = Exam(exam_data, _expected(network, exam_data, shape), exam_labels)
    return _examined(made, prepared, exam, options)


def _checked(network: Network) -> Network:
    for what, names in (("input", network.inputs), ("output", network.outputs)):
        if len(names) != 1:
            raise ModelError(f"the network has {len(names)} {what}s ({', '.join(names)}); conversion takes one.")
    if network.neurons or network.units:
        name = (*network.neurons, *network.units)[0]
        raise ModelError(f"{name}: the network has neurons already; compile it, there is nothing to convert.")
    if not any(isinstance(node, Activation) for node in network.nodes.values()):
        raise ModelError("the network has no activation (ReLU, ReLU6, QCFS); there is nothing to convert.")
    return infer(network).result


def _check_time(to: Target, values: NDArray[Any], exam: NDArray[Any], shape: tuple[int, ...]) -> None:
    for what, given in (("calibration data", values), ("test data", exam)):
        if to == "spiking" and given.ndim != len(shape) + 1:
            raise DataError(
                f"the {what} have shape {given.shape}: rates stand for values that do not change in time, "
                f"(N, {', '.join(map(str, shape))}). Give single frames, or convert with --to sigma-delta, which is "
                "made for sequences."
            )


def _expected(network: Network, data: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The conventional network's answers, (N, n): for sequences to their last frame."""
    last = data if data.ndim == len(shape) + 1 else data[:, -1]
    return answers(network, last).reshape(len(data), -1)


def _examined(made: Made, prepared: Prepared, exam: Exam, options: ConvertOptions) -> Conversion:
    """Scores by time steps, and the network with the encoding that they suggest."""
    original = exam.score(exam.answers)
    wanted = original - options.points / 100
    if made.to == "spiking":
        outputs = run_encoded(made.network, made.encoder, exam.data, options.steps)
        warm_up = best_reading(exam, outputs, wanted) if options.warm_up is None else options.warm_up
        points, whole = curve(exam, outputs, warm_up), curve(exam, outputs)
        steps = enough(points, wanted)
        encoder = replace(made.encoder, steps=steps or options.steps)
        decode = "membrane" + (f":start={warm_up}" if warm_up else "")
    else:
        if exam.data.ndim > len(made.network.shapes[made.network.inputs[0]]) + 1:
            made = replace(made, encoder=replace(made.encoder, steps=0))
        outputs = run_encoded(made.network, made.encoder, exam.data, 1)[:, -1]
        warm_up, points = 0, (Point(1, exam.score(outputs), exam.error(outputs)),)
        whole = points
        steps, encoder, decode = enough(points, wanted), made.encoder, "membrane-last"
    findings = (*prepared.findings, *made.findings, *_short(made.to, points, original, steps, prepared, options))
    network = replace(made.network, encode=encoder_text(encoder), decode=decode, findings=findings)
    return Conversion(
        network, made.to, exam.measure, len(exam.data), original, points, whole, steps, warm_up,
        prepared.max_pools, made.layers, made.operations, findings,
    )  # fmt: skip


def _short(
    to: Target,
    points: tuple[Point, ...],
    original: float,
    steps: int | None,
    prepared: Prepared,
    options: ConvertOptions,
) -> tuple[Finding, ...]:
    if steps is not None:
        return ()
    last = points[-1]
    message = (
        f"after {last.steps} step(s) the score is {last.score:.2%}, more than {options.points:g} point(s) below the "
        f"conventional network's {original:.2%}."
    )
    advice = "Allow more --steps, try --percentile 99 or 100, or --to sigma-delta."
    if to == "sigma-delta":
        advice = "Lower --error."
    if prepared.max_pools is not None and prepared.max_pools.treatment == "average":
        # Averages that served on calibration data may not on others, and no number of steps mends that.
        advice = f"Try --max-pool exact first. {advice}"
    return (Finding("conversion-short", "warning", "", message, advice),)
