"""DA-LIF on the chip: learnt decays against fixed ones, exact folding, and the decision that comes late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikeport.converters.network import Linear, Network, Neuron
from spikeport.deploy.compile import CompileOptions
from spikeport.deploy.zoo.deployed import Deployed, deploy_run, float_classes
from spikeport.deploy.zoo.reproduction import Claim, Reproduction, ResultTable, Spread, Step, trained
from spikeport.models.da_lif.recipe import DALIFConfig, samples
from spikeport.models.da_lif.recipe import trained as trained_module
from spikeport.models.training.evaluate import outputs
from spikeport.models.training.run_folder import RunFolder

GRID = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Fixed decays that DA-LIF is compared with, each with a gain of 1."""
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "LIF tau=2": {"neuron": "lif", "decay": 0.5, "gain": 0.5},
    "PLIF": {"neuron": "plif"},
    "DA-LIF": {"neuron": "da-lif"},
    **{f"LIF decay {decay:g}": {"neuron": "lif", "decay": decay, "gain": 1.0} for decay in GRID},
}
FIXED = tuple(name for name in VARIANTS if name.startswith("LIF decay"))
TASKS: Mapping[str, Mapping[str, Any]] = {
    "T=4": {"steps": 4},
    "T=8": {"steps": 8},
    "late, T=8": {"steps": 8, "late": True, "neuron_rate": 10.0},
}
"""As in the trials this follows; the late decision needs decays far from where they start."""
LATE = "late, T=8"
BEST = "LIF, best of the grid"
TARGET = "loihi2"
HEADS = {
    "variant": "neurons",
    "float": "float",
    "chip": "chip",
    "same": "same answer",
    "fine": "chip, split weights",
    "fine_same": "same answer",
    "decays": "decays",
    "rate": "least firing rate",
}


@dataclass(frozen=True)
class Result:
    """One training, deployed.

    Attributes:
        figures: of the training.
        deployed: with spikeport's own choice of weights: one group of 8 bits wherever calibration finds that enough.
        fine: with every weight split into a coarse and a fine group.
        folded: share of test samples on which the folded network answers as the trained module does.
    """

    figures: Mapping[str, float]
    deployed: Deployed
    fine: Deployed
    folded: float


def reproduce(data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Reproduction:
    """See `spikeport.deploy.zoo.reproduction.reproduce`."""
    results: dict[str, dict[str, list[Result]]] = {}
    for task, setting in TASKS.items():
        results[task] = {}
        for variant, neuron in VARIANTS.items():
            results[task][variant] = []
            for seed in seeds:
                step(f"{task}, {variant}, seed {seed}")
                path = folder / f"{task}-{variant}-{seed}".replace(" ", "-").replace(",", "")
                results[task][variant].append(_result({**setting, **neuron, "seed": seed}, data, path))
    tables = tuple(_table(task, found) for task, found in results.items())
    return Reproduction("da-lif", tuple(seeds), tables, tuple(_claims(results)))


def _result(settings: Mapping[str, Any], data: Path, path: Path) -> Result:
    run, recipe, figures = trained("da-lif", settings, data, path)
    deployed = deploy_run(run, recipe, TARGET)
    fine = deploy_run(run, recipe, TARGET, options=CompileOptions(split="always"))
    return Result(figures, deployed, fine, folding_agreement(run, deployed))


def folding_agreement(run: RunFolder[DALIFConfig], deployed: Deployed) -> float:
    """Share of test samples on which plain LIF neurons, alpha in their weights, answer as the trained module does."""
    frames = samples(run).test.frames
    module = outputs(trained_module(run), frames)[:, -1].argmax(1)
    return float(np.mean(float_classes(plain(deployed.network), deployed.deployment, frames) == module))


def plain(network: Network) -> Network:
    """The same network of dense layers with every input gain in the weights before it, as `lower` puts it there.

    alpha · (W x + b) = (alpha · W) x + alpha · b, in float64, rounded once.
    """
    nodes = dict(network.nodes)
    for name in network.neurons:
        neuron = nodes[name]
        (edge,) = network.into(name)
        before = nodes[edge.source]
        if isinstance(neuron, Neuron) and isinstance(before, Linear):
            gain = neuron.input_gain.astype(np.float64)
            bias = None if before.bias is None else (before.bias * gain).astype(np.float32)
            nodes[edge.source] = replace(before, weight=(before.weight * gain).astype(np.float32), bias=bias)
            nodes[name] = replace(neuron, input_gain=np.ones((), np.float32))
    return replace(network, nodes=nodes)


def best_of_grid(found: Mapping[str, Sequence[Result]]) -> tuple[list[Result], list[str]]:
    """For every seed the fixed decay that was best on the *other* seeds, and its name."""
    count = len(found[FIXED[0]])
    chosen = []
    for seed in range(count):
        others = [k for k in range(count) if k != seed] or [seed]
        score = {name: sum(found[name][k].deployed.float_accuracy for k in others) for name in FIXED}
        chosen.append(max(score, key=lambda name: score[name]))
    return [found[name][seed] for seed, name in enumerate(chosen)], chosen


def _table(task: str, found: Mapping[str, Sequence[Result]]) -> ResultTable:
    best, names = best_of_grid(found)
    rows = [_row(variant, results) for variant, results in found.items()]
    rows.append(_row(BEST, best) | {"decays": "chosen: " + ", ".join(n.removeprefix("LIF decay ") for n in names)})
    samples_ = len(best[0].deployed.labels)
    return ResultTable(f"N-MNIST, {task}: accuracy on {samples_} held-out recordings", HEADS, tuple(rows))


def _row(variant: str, results: Sequence[Result]) -> dict[str, Any]:
    learnt = [[v for k, v in r.figures.items() if k.endswith(".decay")] for r in results]
    return {
        "variant": variant,
        "float": Spread(tuple(r.deployed.float_accuracy for r in results)),
        "chip": Spread(tuple(r.deployed.accuracy for r in results)),
        "same": Spread(tuple(r.deployed.same for r in results)),
        "fine": Spread(tuple(r.fine.accuracy for r in results)),
        "fine_same": Spread(tuple(r.fine.same for r in results)),
        "decays": " / ".join(f"{value:.2f}" for value in np.mean(learnt, axis=0)),
        "rate": Spread(tuple(min(_hidden_rates(r)) for r in results)),
    }


def _hidden_rates(result: Result) -> list[float]:
    return [rate for name, rate in result.deployed.rates.items() if name != "input"]


def _mean(results: Sequence[Result]) -> float:
    return float(np.mean([r.deployed.float_accuracy for r in results]))


def _claims(results: Mapping[str, Mapping[str, Sequence[Result]]]) -> Iterator[Claim]:
    for task in TASKS:
        found = results[task]
        ours = _mean(found["DA-LIF"])
        best = _mean(best_of_grid(found)[0])
        rivals = {name: 100 * (ours - _mean(found[name])) for name in ("LIF tau=2", "PLIF")}
        if task == LATE:
            text = "late decision: DA-LIF beats LIF tau=2 and PLIF by more than 5 points"
            yield Claim(text, min(rivals.values()) > 5, _points(rivals))
            learnt = [v for r in found["DA-LIF"] for k, v in r.figures.items() if k.endswith(".decay")]
            yield Claim("late decision: every decay learnt is above 0.8", min(learnt) > 0.8, f"least {min(learnt):.2f}")
        else:
            for name, gain in rivals.items():
                yield Claim(f"{task}: DA-LIF is no worse than {name} on the mean", gain >= 0, f"{gain:+.1f} points")
        text = f"{task}: DA-LIF is within 4 points of the best fixed decay of the grid"
        yield Claim(text, abs(ours - best) <= 0.04, f"{100 * (ours - best):+.1f} points")
    yield from _chip_claims(results)


def _chip_claims(results: Mapping[str, Mapping[str, Sequence[Result]]]) -> Iterator[Claim]:
    every = [r for found in results.values() for each in found.values() for r in each]
    same = min(r.folded for r in every)
    yield Claim("folded into weights, every network gives the same answer on every sample", same == 1.0, f"{same:.2%}")
    for task, found in results.items():
        ours = found["DA-LIF"]
        for how, chips in (("", [r.deployed for r in ours]), (", weights split,", [r.fine for r in ours])):
            gap = 100 * float(np.mean([chip.accuracy - chip.float_accuracy for chip in chips]))
            text = f"{task}: DA-LIF on the chip{how} is within 0.5 point of float on the mean"
            yield Claim(text, abs(gap) <= 0.5, f"{gap:+.2f} points")


def _points(gains: Mapping[str, float]) -> str:
    return ", ".join(f"{gain:+.1f} points over {name}" for name, gain in gains.items())
