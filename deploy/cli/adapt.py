"""``spikeport adapt``: a deployment learns new classes from a few labelled samples, as the chip would."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from spikeport.deploy.cli import options


class Rule(str, Enum):
    """How weights are found."""

    imprint = "imprint"
    gradient = "gradient"


def adapt(
    model: options.Deployed,
    data: options.Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="The .spk file to write.")],
    rule: Annotated[
        Rule,
        typer.Option(help="imprint: each class's mean spike counts become its weights. gradient: the learning engine."),
    ] = Rule.imprint,
    rate: Annotated[float, typer.Option(help="gradient: step size for one sample, in trained units.")] = 1.0,
    passes: Annotated[int, typer.Option(min=1, help="gradient: how often each sample is shown.")] = 5,
    bits: Annotated[
        int | None, typer.Option(min=1, max=8, help="gradient: bits of the weights; the layer's own if absent.")
    ] = None,
    threshold: Annotated[float, typer.Option(help="gradient: smaller errors write nothing.")] = 0.05,
    temperature: Annotated[
        float | None, typer.Option(help="gradient: scores per unit of a logit; the number of steps if absent.")
    ] = None,
    online: Annotated[
        bool,
        typer.Option("--online", help="gradient: learn from each sample at once, not from all at the end of a pass."),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="gradient: of the stochastic rounding; 2 is Lava's.")] = 2,
    split: options.Split = None,
    samples: options.Samples = None,
    bin: options.Bin = 1e-3,
    steps: options.Steps = None,
    sensor: options.Sensor = None,
    counts: options.Counts = False,
    time_unit: options.TimeUnit = 1e-6,
    json: options.Json = None,
) -> None:
    """Adapt the last layer to labelled samples, in the chip's integers, and write the adapted deployment."""
    from spikeport.deploy.cli.output import check_suffix, check_targets, show, tell
    from spikeport.deploy.cli.sources import make_binning, read_data, read_deployment
    from spikeport.deploy.on_chip_learning import Learning, imprint, learn
    from spikeport.deploy.report.adapt_record import adapt_record, adapt_tables
    from spikeport.errors import DataError

    check_targets(output, json, inputs=(model, data))
    check_suffix(output, ".spk", "--output")
    deployment = read_deployment(model)
    shape = deployment.network.populations[deployment.network.inputs[0]].shape
    binning = make_binning(bin, steps, sensor, counts, time_unit)
    given = read_data(data, split, binning, samples, shape, deployment.codec.encoder)
    if given.labels is None:
        raise DataError(f"{data} has no labels; learning needs them (array `label` or `labels`)")
    if rule is Rule.imprint:
        adapted = imprint(deployment, given.input, given.labels)
    else:
        how = Learning(rate, passes, temperature, bits, threshold, seed, not online)
        adapted = learn(deployment, given.input, given.labels, how)
    adapted.deployment.save(output)
    tell((*given.findings, *adapted.run.findings))
    record = adapt_record(str(model), output, rule.value, deployment, adapted, given.input, given.labels)
    show(record, adapt_tables(record), json)
