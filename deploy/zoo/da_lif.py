"""DA-LIF on the chip: learnt decays against fixed ones, exact folding, and the decision that comes late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Linear, Network, Neuron
from spikeport.deploy.compile import CompileOptions
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.report.tables import si
from spikeport.deploy.zoo.deployed import PRICES, Deployed, deploy_run, float_classes
from spikeport.deploy.zoo.lava_check import lava_claim
from spikeport.deploy.zoo.reproduction import Claim, Reproduction, ResultTable, Spread, Step, known_mean, trained
from spikeport.models.da_lif.recipe import DALIFConfig, samples
from spikeport.models.da_lif.recipe import trained as trained_module
from spikeport.models.data.recognise import recognise
from spikeport.models.recipe import Recipe
from spikeport.models.training.evaluate import outputs
from spikeport.models.training.fit import Figures
from spikeport.models.training.run_folder import RunFolder

GRID = (0.5, 0.7, 0.8, 0.9, 0.95)
"""Fixed decays that DA-LIF is compared with, each with a gain of 1."""
HELD_BACK = 150
"""Samples to learn from that the best of the grid is chosen on, by trainings of its own without them."""
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
FINE = CompileOptions(split="always")
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
class Chip:
    """One deployment: ``accuracy``, ``same`` (share of samples answered as in floats), ``energy_j`` by price list."""

    accuracy: float
    same: float
    energy_j: Mapping[str, float | None]


@dataclass(frozen=True)
class Result:
    """One training, deployed.

    Attributes:
        decays: of the spiking layers.
        accuracy: of the trained network in floats.
        chip: with spikeport's own choice of weights: one group of 8 bits wherever calibration finds that enough.
        fine: with every weight split into a coarse and a fine group.
        rate: the least of the hidden layers' firing rates, on the chip.
        folded: share of test samples on which the folded network answers as the trained module does.
    """

    decays: tuple[float, ...]
    accuracy: float
    chip: Chip
    fine: Chip
    rate: float
    folded: float


def reproduce(data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Reproduction:
    """See `spikeport.deploy.zoo.reproduction.reproduce`."""
    results: dict[str, dict[str, list[Result]]] = {}
    name = recognise(data).name
    for task in TASKS:
        chosen = []
        for seed in seeds:
            step(f"{task}, choice of the fixed decay, seed {seed}")
            chosen.append(best_of_grid(task, seed, data, folder))
        results[task] = {}
        for variant in VARIANTS:
            results[task][variant] = []
            for seed in seeds:
                step(f"{task}, {variant}, seed {seed}")
                results[task][variant].append(result_of(*run_of(task, variant, seed, data, folder)))
        results[task][BEST] = [results[task][name][number] for number, name in enumerate(chosen)]
    step("Lava")
    checked = {task: _fine_with_frames(task, seeds[0], data, folder) for task in TASKS}
    run = run_of(LATE, "DA-LIF", seeds[0], data, folder)[0]
    tables = (*(_table(f"{name}, {task}", found) for task, found in results.items()), _energy_table(results))
    return Reproduction("da-lif", tuple(seeds), tables, (*_claims(results), lava_claim(checked)), samples(run).findings)


def run_of(
    task: str, variant: str, seed: int, data: Path, folder: Path, validation: int = 0
) -> tuple[RunFolder[DALIFConfig], Recipe[DALIFConfig], Figures]:
    """The finished training of one variant on one task; its folder lies under ``folder``."""
    settings = {**TASKS[task], **VARIANTS[variant], "seed": seed, "validation": validation}
    name = f"{task}-{variant}-{seed}{'-choice' if validation else ''}".replace(" ", "-").replace(",", "")
    return trained("da-lif", settings, data, folder / name)


def best_of_grid(task: str, seed: int, data: Path, folder: Path) -> str:
    """The fixed decay that is best on samples held back from what the seed learns from; its test has no part in it."""
    score = {name: run_of(task, name, seed, data, folder, HELD_BACK)[2]["validation"] for name in FIXED}
    return max(score, key=lambda name: score[name])


def _fine_with_frames(task: str, seed: int, data: Path, folder: Path) -> tuple[Deployment, NDArray[Any]]:
    run, recipe, _ = run_of(task, "DA-LIF", seed, data, folder)
    return deploy_run(run, recipe, TARGET, options=FINE).deployment, samples(run).test.frames


def result_of(run: RunFolder[DALIFConfig], recipe: Recipe[DALIFConfig], figures: Figures) -> Result:
    """A finished training on the chip, both ways."""
    chip, fine = deploy_run(run, recipe, TARGET), deploy_run(run, recipe, TARGET, options=FINE)
    return Result(
        decays=tuple(value for name, value in figures.items() if name.endswith(".decay")),
        accuracy=chip.float_accuracy,
        chip=_chip(chip),
        fine=_chip(fine),
        rate=min(rate for name, rate in chip.rates.items() if name != "input"),
        folded=folding_agreement(run, chip),
    )


def _chip(deployed: Deployed) -> Chip:
    return Chip(deployed.accuracy, deployed.same, {e.profile: e.energy_j for e in deployed.estimates})


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


def _table(title: str, found: Mapping[str, Sequence[Result]]) -> ResultTable:
    rows = tuple(_row(variant, results) for variant, results in found.items())
    return ResultTable(f"{title}: accuracy on recordings held out, and share of equal answers", HEADS, rows)


def _row(variant: str, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "variant": variant,
        "float": Spread(tuple(r.accuracy for r in results)),
        "chip": Spread(tuple(r.chip.accuracy for r in results)),
        "same": Spread(tuple(r.chip.same for r in results)),
        "fine": Spread(tuple(r.fine.accuracy for r in results)),
        "fine_same": Spread(tuple(r.fine.same for r in results)),
        "decays": _decays(variant, results),
        "rate": Spread(tuple(r.rate for r in results)),
    }


def _decays(variant: str, results: Sequence[Result]) -> str:
    """Of both layers, their means over seeds; where they were chosen, of every seed the one there is."""
    if variant == BEST:
        return "chosen: " + ", ".join(f"{r.decays[0]:g}" for r in results)
    return " / ".join(f"{value:.2f}" for value in np.mean([r.decays for r in results], axis=0))


def _energy_table(results: Mapping[str, Mapping[str, Sequence[Result]]]) -> ResultTable:
    rows = []
    for task, found in results.items():
        for variant in ("LIF tau=2", "DA-LIF"):
            for how, chips in (
                ("8 bits", [r.chip for r in found[variant]]),
                ("split", [r.fine for r in found[variant]]),
            ):
                energy = {name: si(known_mean([chip.energy_j[name] for chip in chips]), "J") for name in PRICES}
                rows.append({"task": task, "variant": variant, "weights": how, **energy})
    heads = {"task": "task", "variant": "neurons", "weights": "weights", **{n: f"at {n} prices" for n in PRICES}}
    return ResultTable("energy per sample", heads, tuple(rows))


def _mean(results: Sequence[Result]) -> float:
    return float(np.mean([r.accuracy for r in results]))


def _claims(results: Mapping[str, Mapping[str, Sequence[Result]]]) -> Iterator[Claim]:
    for task, found in results.items():
        ours, best = _mean(found["DA-LIF"]), _mean(found[BEST])
        rivals = {name: 100 * (ours - _mean(found[name])) for name in ("LIF tau=2", "PLIF")}
        if task == LATE:
            yield from _late_claims(rivals, found["DA-LIF"])
        else:
            for name, gain in rivals.items():
                yield Claim(f"{task}: DA-LIF is no worse than {name} on the mean", gain >= 0, f"{gain:+.1f} points")
        text = f"{task}: DA-LIF is within 4 points of the best fixed decay of the grid"
        yield Claim(text, abs(ours - best) <= 0.04, f"{100 * (ours - best):+.1f} points")
        yield from _chip_claims(task, found["DA-LIF"])
    same = min(r.folded for found in results.values() for each in found.values() for r in each)
    yield Claim("folded into weights, every network gives the same answer on every sample", same == 1.0, f"{same:.2%}")


def _late_claims(gains: Mapping[str, float], ours: Sequence[Result]) -> Iterator[Claim]:
    found = ", ".join(f"{gain:+.1f} points over {name}" for name, gain in gains.items())
    text = f"{LATE}: DA-LIF beats LIF tau=2 and PLIF by more than 5 points"
    yield Claim(text, min(gains.values()) > 5, found)
    least = min(decay for r in ours for decay in r.decays)
    yield Claim(f"{LATE}: every decay learnt is above 0.8", least > 0.8, f"least {least:.2f}")


def _chip_claims(task: str, ours: Sequence[Result]) -> Iterator[Claim]:
    for how, chips in (("", [r.chip for r in ours]), (", weights split,", [r.fine for r in ours])):
        gap = 100 * float(np.mean([c.accuracy - r.accuracy for c, r in zip(chips, ours, strict=True)]))
        text = f"{task}: DA-LIF on the chip{how} is within 0.5 point of float on the mean"
        yield Claim(text, abs(gap) <= 0.5, f"{gap:+.2f} points")
