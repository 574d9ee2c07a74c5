"""SEENN on the chip: how many steps and synaptic operations are left when a sample ends as soon as it is sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.activity import Activity
from spikeport.deploy.compile import compile_network
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.early_exit import EarlyExit, GivenSteps, Readings, Rule, calibrate, exit_steps
from spikeport.deploy.report.tables import si
from spikeport.deploy.zoo.deployed import CALIBRATION, PRICES, Deployed, deploy_run
from spikeport.deploy.zoo.lava_check import lava_claim
from spikeport.deploy.zoo.reproduction import Claim, Reproduction, ResultTable, Spread, Step, known_mean, trained
from spikeport.hw_profiles.profile import load_profile
from spikeport.models.data.samples import Samples
from spikeport.models.seenn.recipe import (
    PENALTIES,
    SEENNConfig,
    events,
    fold_networks,
    parts,
    right_after,
    samples,
    trained_policy,
)
from spikeport.models.training.run_folder import RunFolder

Ints = NDArray[np.int64]

TARGET = "loihi2"
TOLERANCE = 0.005
"""Accuracy that calibration may give away."""
CONFIDENCES = (0.9, 0.98, 0.99)
"""Fixed operating points of SEENN-I: exit once a two-way softmax of the best two sums would say this much."""
FIXED = "all steps"
CHOSEN = "SEENN-I, margin from calibration"
FIRST = "first accumulator, from calibration"
HEADS = {"rule": "rule", "accuracy": "accuracy", "steps": "mean steps", "share": "steps", "synops": "SynOps"}


@dataclass(frozen=True)
class Point:
    """One rule on the test samples: ``steps`` is a mean, ``share`` of T; ``synops`` a share of the full run's."""

    accuracy: float
    steps: float
    share: float
    synops: float


@dataclass(frozen=True)
class Cost:
    """Of one sample, the pipeline's drain included; None where a price is missing."""

    energy_j: float | None
    latency_s: float | None


@dataclass(frozen=True)
class Seed:
    """All rules of one training on the chip; ``nested`` and ``empirical``: average earliest times, see `earliest`.

    ``costs``: by rule and price list.
    """

    points: dict[str, Point]
    costs: Mapping[str, Mapping[str, Cost]]
    nested: float
    empirical: float
    float_accuracy: float


def reproduce(data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Reproduction:
    """See `spikeport.deploy.zoo.reproduction.reproduce`."""
    found = []
    lava: dict[str, tuple[Deployment, NDArray[Any]]] = {}
    for seed in seeds:
        step(f"seed {seed}")
        run, recipe, _ = trained("seenn", {"seed": seed}, data, folder / f"seed-{seed}")
        deployed = deploy_run(run, recipe, TARGET)
        found.append(_judged(run, deployed))
        name = f"{events(run).source.name}, T = {run.config.steps}"
        lava = lava or {name: (deployed.deployment, parts(run).test.frames)}
    step("Lava")
    tables = (_table(next(iter(lava)), found), _cost_table(found), _times(found))
    return Reproduction("seenn", tuple(seeds), tables, (*_claims(found), lava_claim(lava)), samples(run).findings)


def _judged(run: RunFolder[SEENNConfig], deployed: Deployed) -> Seed:
    """Every rule on one deployment; thresholds come from the calibration samples on the chip."""
    test, readings = parts(run).test, deployed.run.output
    held, labels = _calibration(run, deployed)
    rules = {f"SEENN-I, p = {p:g}": EarlyExit("margin", log(p / (1 - p))) for p in CONFIDENCES}
    rules |= {CHOSEN: _calibrated(held, labels, "margin"), FIRST: _calibrated(held, labels, "first")}
    steps = {FIXED: np.full(len(test), readings.shape[1])}
    steps |= {name: exit_steps(readings, rule) for name, rule in rules.items()}
    for penalty in PENALTIES:
        steps[f"SEENN-II, penalty {penalty:g}"] = trained_policy(run, penalty).steps(test.frames)
    points = {name: point(readings, test, used, deployed.run.activity) for name, used in steps.items()}
    costs = {name: _costs(deployed, test, used) for name, used in steps.items()}
    return Seed(points, costs, *earliest(right_after(readings, test.labels)), deployed.float_accuracy)


def _costs(deployed: Deployed, test: Samples, steps: Ints) -> dict[str, Cost]:
    run = deployed.deployment.run(test.frames, stop=GivenSteps(steps))
    estimates = {name: deployed.deployment.estimate(run, load_profile(name)) for name in PRICES}
    return {name: Cost(e.energy_j, e.latency_s) for name, e in estimates.items()}


def _calibration(run: RunFolder[SEENNConfig], deployed: Deployed) -> tuple[Readings, Ints]:
    """Readings on the chip, and labels, of samples that whoever answers has not learnt from.

    The samples held back are few; those of the policy's folds, each answered by the fold's own network, deployed alike,
    are several times as many.
    """
    kept = parts(run).calibration
    found = [(deployed.deployment.run(kept.frames).output, kept.labels)]
    for network, unseen in fold_networks(run):
        codec = deployed.deployment.codec
        deployment = compile_network(network, TARGET, kept.frames[:CALIBRATION], codec)
        found.append((deployment.run(unseen.frames).output, unseen.labels))
    return np.concatenate([r for r, _ in found]), np.concatenate([y for _, y in found])


def _calibrated(held: Readings, labels: Ints, rule: Rule) -> EarlyExit:
    return calibrate(held, labels, rule, TOLERANCE).rule


def point(readings: Readings, test: Samples, steps: Ints, activity: Activity) -> Point:
    """Accuracy of the answers after each sample's own number of ``steps``, and what these steps cost."""
    classes = readings[np.arange(len(steps)), steps - 1].argmax(-1)
    length = readings.shape[1]
    return Point(
        accuracy=float(np.mean(classes == test.labels)),
        steps=float(np.mean(steps)),
        share=float(np.mean(steps)) / length,
        synops=synops_share(activity, steps + activity.steps - length),
    )


def synops_share(activity: Activity, used: Ints) -> float:
    """Synaptic operations of the first ``used`` (B,) chip steps of each sample, as a share of all."""
    total = np.sum([np.asarray(counts) for counts in activity.synops.values()], axis=0)
    counted = np.arange(total.shape[1]) < used[:, None]
    return float((total * counted).sum() / max(total.sum(), 1))


def earliest(right: NDArray[np.bool_]) -> tuple[float, float]:
    """SEENN's AET, and its empirical value, from (B, T): right after each step.

    With C_t the number of samples that are right after t steps::

        AET = (C_1 + sum over t = 2 .. T of t · (C_t - C_(t-1)) + T · (B - C_T)) / B

    It takes what is right once to stay right; the empirical value is the mean of the first step that is right, T where
    none is.
    """
    batch, steps = right.shape
    counts = right.sum(0).astype(np.float64)
    gains = np.diff(counts, prepend=0.0)
    nested = float((np.arange(1, steps + 1) * gains).sum() + steps * (batch - counts[-1])) / batch
    first = np.where(right.any(1), right.argmax(1) + 1, steps)
    return nested, float(first.mean())


def _spread(found: Sequence[Seed], rule: str, what: str) -> Spread:
    return Spread(tuple(getattr(seed.points[rule], what) for seed in found))


def _table(name: str, found: Sequence[Seed]) -> ResultTable:
    rows: list[dict[str, Any]] = []
    for rule in found[0].points:
        mean_steps = float(np.mean(_spread(found, rule, "steps").values))
        shares = {what: _spread(found, rule, what) for what in ("accuracy", "share", "synops")}
        rows.append({"rule": rule, "steps": f"{mean_steps:.2f}", **shares})
    return ResultTable(f"{name}, on the chip: test samples", HEADS, tuple(rows))


def _cost_table(found: Sequence[Seed]) -> ResultTable:
    rows = []
    for rule in found[0].points:
        costs = {name: [seed.costs[rule][name] for seed in found] for name in PRICES}
        energy = {f"{name} energy": si(known_mean([c.energy_j for c in each]), "J") for name, each in costs.items()}
        latency = {f"{name} latency": si(known_mean([c.latency_s for c in each]), "s") for name, each in costs.items()}
        rows.append({"rule": rule, **energy, **latency})
    heads = {f"{name} {what}": f"{what} at {name} prices" for what in ("energy", "latency") for name in PRICES}
    title = "cost of a sample, drain included; SEENN-II without its policy on the host"
    return ResultTable(title, {"rule": "rule", **heads}, tuple(rows))


def _times(found: Sequence[Seed]) -> ResultTable:
    rows = [
        {"what": name, "value": f"{np.mean(values):.2f} ± {np.std(values):.2f}"}
        for name, values in (
            ("average earliest time (AET)", [s.nested for s in found]),
            ("empirical earliest time", [s.empirical for s in found]),
            ("accuracy in floats, all steps (%)", [100 * s.float_accuracy for s in found]),
        )
    ]
    return ResultTable("when answers are first right, in steps", {"what": "", "value": "mean"}, tuple(rows))


def _claims(found: Sequence[Seed]) -> Iterator[Claim]:
    full = _spread(found, FIXED, "accuracy").mean
    for rule in (CHOSEN, "SEENN-I, p = 0.99"):
        accuracy, share, synops = (_spread(found, rule, what).mean for what in ("accuracy", "share", "synops"))
        lost = 100 * (full - accuracy)
        yield Claim(f"{rule}: within 0.5 point of all steps", lost <= 0.5, f"{-lost:+.2f} points")
        yield Claim(f"{rule}: at most 45 % of the steps", share <= 0.45, f"{share:.1%}")
        yield Claim(f"{rule}: at most 55 % of the synaptic operations", synops <= 0.55, f"{synops:.1%}")
    best = max(
        (r for r in found[0].points if r.startswith("SEENN-II")), key=lambda r: _spread(found, r, "accuracy").mean
    )
    accuracy, share = _spread(found, best, "accuracy").mean, _spread(found, best, "share").mean
    text = f"{best}: within 3.5 points of all steps at less than half of them"
    yield Claim(text, full - accuracy <= 0.035 and share < 0.5, f"{100 * (accuracy - full):+.1f} points, {share:.0%}")
    ordered = all(s.empirical <= s.nested + 1e-9 for s in found)
    yield Claim("empirical earliest time <= AET", ordered, "in every seed" if ordered else "not in every seed")
