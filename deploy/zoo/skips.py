"""Skips on the chip: delays that make the pipeline exact, skips against the plain chain, searches for the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.deploy.deployment import Deployment
from spikeport.deploy.report.tables import si
from spikeport.deploy.zoo.deployed import PRICES, deploy_run
from spikeport.deploy.zoo.lava_check import lava_claim
from spikeport.deploy.zoo.reproduction import Claim, Reproduction, ResultTable, Spread, Step, known_mean
from spikeport.deploy.zoo.skips_record import TRIED_HEADS, front_table, tried_row
from spikeport.deploy.zoo.skips_search import Search, search
from spikeport.deploy.zoo.skips_sweep import (
    BLOCKS,
    DIGITS,
    EVENTS,
    OPTIONS,
    PLAIN,
    SWEPT,
    TARGET,
    Result,
    plan,
    result_of,
    run_of,
)
from spikeport.deploy.zoo.skips_trial import Candidate, Tried, attempt
from spikeport.models.data.recognise import recognise
from spikeport.models.skips.matrix import regular
from spikeport.models.skips.recipe import SkipsConfig
from spikeport.models.training.config import read_config

Found = dict[str, dict[str, list[Result]]]
TRIALS = 12
SEARCH_SEEDS = 2
"""Each costs some twenty trainings."""
SEARCHED: Mapping[str, Any] = {"epochs": 12, "validation": 250}
"""Short trainings, as in the trials this follows."""
GP, RANDOM = "search (gp)", "random"


@dataclass(frozen=True)
class Searches:
    """Per seed: the plain chain at the same settings, and all trials by how they were drawn."""

    plain: tuple[Tried, ...]
    trials: Mapping[str, tuple[tuple[Tried, ...], ...]]

    def best(self, how: str) -> list[Tried]:
        """Of each seed that with the best score; it is chosen on the samples for validation."""
        return [max(tried, key=lambda t: t.score) for tried in self.trials[how]]


def reproduce(data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Reproduction:
    """See `spikeport.deploy.zoo.reproduction.reproduce`."""
    found: Found = {}
    recordings = recognise(data).name
    for task, variant, seed in plan(tuple(seeds)):
        step(f"{task}, {variant}, seed {seed}")
        found.setdefault(task, {}).setdefault(variant, []).append(result_of(*run_of(task, variant, seed, data, folder)))
    searches = _searches(data, folder, seeds[:SEARCH_SEEDS], step)
    step("Lava")
    checked = {variant: _with_frames(variant, seeds[0], data, folder) for variant in ("DSC n=4", "ASC n=4")}
    tables = (*_sweep_tables(found, recordings), _search_table(searches), _front_table(searches))
    claims = (*_timing_claims(found), *_sweep_claims(found), *_search_claims(searches), lava_claim(checked))
    run, recipe, _ = run_of(EVENTS, PLAIN, seeds[0], data, folder)
    return Reproduction("skips", tuple(seeds), tables, claims, recipe.samples(run).findings)


def _with_frames(variant: str, seed: int, data: Path, folder: Path) -> tuple[Deployment, NDArray[Any]]:
    run, recipe, _ = run_of(DIGITS, variant, seed, data, folder)
    return deploy_run(run, recipe, TARGET, options=OPTIONS).deployment, recipe.samples(run).test.frames


def _searches(data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Searches:
    plain: list[Tried] = []
    trials: dict[str, list[tuple[Tried, ...]]] = {GP: [], RANDOM: []}
    for seed in seeds:
        settings, home = {**SEARCHED, "seed": seed}, folder / f"search-{seed}"
        for how, sampler in ((GP, "gp"), (RANDOM, "random")):
            step(f"{how}, seed {seed}")
            trials[how].append(search(Search(data, settings, TARGET, sampler, "score", seed), home, TRIALS))
        chain = str(regular(read_config(SkipsConfig, settings).depth, 0, "dsc"))
        plain.append(attempt(Candidate(chain, settings, data, home, TARGET)))
    return Searches(tuple(plain), {how: tuple(each) for how, each in trials.items()})


_SWEEP_HEADS = {
    "variant": "skips",
    "float": "float",
    "chip": "chip",
    "same": "same answer",
    "rate": "firing rate",
    "parameters": "parameters",
    "cores": "cores",
    "step": "step",
    **{name: f"at {name} prices" for name in PRICES},
    "changed": "logits changed without delays",
    "undelayed": "chip without delays",
}


def _sweep_tables(found: Found, recordings: str) -> Iterator[ResultTable]:
    for task, variants in found.items():
        rows = tuple(_sweep_row(variant, results) for variant, results in variants.items())
        title = task.replace("events", recordings)
        yield ResultTable(f"{title}: accuracy on samples held out; energy per sample on {TARGET}", _SWEEP_HEADS, rows)


def _sweep_row(variant: str, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "variant": variant,
        "float": Spread(tuple(r.float_accuracy for r in results)),
        "chip": Spread(tuple(r.accuracy for r in results)),
        "same": Spread(tuple(r.same for r in results)),
        "rate": Spread(tuple(r.figures["rate"] for r in results)),
        "parameters": f"{results[0].figures['parameters']:,.0f}",
        "cores": max(r.cores for r in results),
        "step": si(known_mean([r.step_s for r in results]), "s"),
        **{name: si(known_mean([r.energy_j[name] for r in results]), "J") for name in PRICES},
        "changed": Spread(tuple(r.timing.changed / r.timing.logits for r in results)),
        "undelayed": Spread(tuple(r.timing.undelayed for r in results)),
    }


def _search_table(searches: Searches) -> ResultTable:
    rows = []
    for how, best in ((PLAIN, searches.plain), *((how, searches.best(how)) for how in searches.trials)):
        rows += [{"how": how, "run": number, "matrix": t.matrix, **tried_row(t)} for number, t in enumerate(best)]
    title = f"{DIGITS}: best score of {TRIALS} trials each, {SEARCHED['epochs']} epochs per trial"
    return ResultTable(title, {"how": "", "run": "run", "matrix": "matrix", **TRIED_HEADS}, tuple(rows))


def _front_table(searches: Searches) -> ResultTable:
    tried = [searches.plain[0], *(t for each in searches.trials.values() for t in each[0])]
    different = len({t.matrix for t in tried})
    return front_table(
        tried, f"Pareto front of {different} networks of run 0: accuracy, firing rate, energy, cores, step"
    )


def _timing_claims(found: Found) -> Iterator[Claim]:
    every = [r for variants in found.values() for results in variants.values() for r in results]
    logits = sum(r.timing.logits for r in every)
    wrong = sum(not r.timing.equal for r in every)
    text = "chip pipeline = integer twin without pipeline, in every read-out after every step"
    yield Claim(text, wrong == 0, f"{len(every) - wrong} of {len(every)} networks equal; {logits:,} last-step logits")
    skips = [r for task in SWEPT for v, results in found[task].items() if v != PLAIN for r in results]
    shares = [r.timing.changed / r.timing.logits for r in skips]
    text = "without the delays more than half of the logits of every network with skips change"
    yield Claim(text, min(shares) > 0.5, f"{min(shares):.1%} to {max(shares):.1%}")
    lost = [100 * (r.accuracy - r.timing.undelayed) for r in skips]
    text = "accuracy alone shows it, too: each network loses more than 1 point"
    yield Claim(text, min(lost) > 1, f"{min(lost):+.1f} to {max(lost):+.1f} points lost")


def _sweep_claims(found: Found) -> Iterator[Claim]:
    for task in SWEPT:
        plain = found[task][PLAIN]
        accuracy, rate = _accuracy(plain), _rate(plain)
        with_skips = {v: results for v, results in found[task].items() if v != PLAIN}
        gains = {v: 100 * (_accuracy(results) - accuracy) for v, results in with_skips.items()}
        said = ", ".join(f"{v} {gain:+.1f}" for v, gain in gains.items())
        yield Claim(
            f"{task}: every kind of skips is at least as accurate as the plain chain", min(gains.values()) >= 0, said
        )
        rates = {v: _rate(results) for v, results in with_skips.items()}
        said = f"plain {rate:.1%}; " + ", ".join(f"{v} {r:.1%}" for v, r in rates.items())
        yield Claim(f"{task}: and fires less", max(rates.values()) < rate, said)
        yield Claim(f"{task}: DSC n=4 fires less than ASC n=4", rates["DSC n=4"] < rates["ASC n=4"], said)
        yield _chip_claim(task, [r for results in found[task].values() for r in results])
    yield _chip_claim(BLOCKS, [r for results in found[BLOCKS].values() for r in results])


def _chip_claim(task: str, results: Sequence[Result]) -> Claim:
    gap = 100 * float(np.mean([r.accuracy - r.float_accuracy for r in results]))
    return Claim(
        f"{task}: the chip is within 1 point of float on the mean of all", abs(gap) <= 1.0, f"{gap:+.2f} points"
    )


def _accuracy(results: Sequence[Result]) -> float:
    return float(np.mean([r.float_accuracy for r in results]))


def _rate(results: Sequence[Result]) -> float:
    return float(np.mean([r.figures["rate"] for r in results]))


def _search_claims(searches: Searches) -> Iterator[Claim]:
    plain = [t.score for t in searches.plain]
    scores = {how: [t.score for t in searches.best(how)] for how in searches.trials}
    gains = [best - base for best, base in zip(scores[GP], plain, strict=True)]
    text = "the best searched skips have a better score than the plain chain, in every run"
    yield Claim(text, min(gains) > 0, ", ".join(f"{gain:+.2f}" for gain in gains))
    ours = [a - b for a, b in zip(scores[GP], scores[RANDOM], strict=True)]
    text = f"the search beats random search at {TRIALS} trials each, in every run"
    yield Claim(text, min(ours) > 0, ", ".join(f"{gain:+.2f}" for gain in ours))
    tests = [100 * (a.test - b.test) for a, b in zip(searches.best(GP), searches.plain, strict=True)]
    text = "and on samples that no search saw it is more accurate than the plain chain on the mean"
    yield Claim(text, float(np.mean(tests)) > 0, f"{float(np.mean(tests)):+.1f} points")
