"""Meta-learning on the chip: few-shot episodes of unseen classes, their inner loop in integers, and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Ints
from spikeport.deploy.compile import CompileOptions
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.learning.costs import LearningCosts
from spikeport.deploy.learning.layer import PlasticLayer, plastic_layer, with_room
from spikeport.deploy.report.tables import si
from spikeport.deploy.zoo.deployed import PRICES, Deployed, deploy_run
from spikeport.deploy.zoo.few_shot import (
    OnChip,
    adapted,
    imprinted_on_chip,
    learnt,
    nearest_mean,
    prototypes,
    right,
)
from spikeport.deploy.zoo.lava_check import lava_claim
from spikeport.deploy.zoo.meta_choice import PASSES, QUERIES, SHOTS, Choice, choose
from spikeport.deploy.zoo.reproduction import Claim, Reproduction, ResultTable, Spread, Step, known_mean, trained
from spikeport.models.meta.episodes import Episodes, Task, draw_episodes
from spikeport.models.meta.full_loop import full_accuracy
from spikeport.models.meta.recipe import MetaConfig, features_of, split
from spikeport.models.meta.recipe import trained as trained_learner
from spikeport.models.training.run_folder import RunFolder

TARGET = "loihi2"
ONE_GROUP = CompileOptions(split="never")
EPISODES = 600
BITS = (8, 6, 4)
OMNIGLOT, DIGITS = "omniglot", "double-digits"
MODES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    OMNIGLOT: {
        "anil": {},
        "supervised": {},
        "maml": {"epochs": 10},
        "maml-first-order": {"epochs": 10},
        "random": {},
    },
    DIGITS: {"anil": {"epochs": 12}, "supervised": {"epochs": 12}, "random": {}},
}
"""By set: settings that make its trainings take about as long: an outer step of MAML costs twice one of ANIL."""
TITLES = {OMNIGLOT: "Omniglot, unseen alphabets", DIGITS: "double-digit N-MNIST, unseen numbers and recordings"}
NAMES = {"maml": "MAML, second order", "maml-first-order": "MAML, first order"}

BEFORE = "ANIL, before adaptation"
ONE_STEP = "ANIL, last layer, floats, 1 step"
FLOAT = "ANIL, last layer, floats, 5 steps"
IMPRINT = "ANIL body, imprinting, floats"
SUPERVISED = "supervised body, same inner loop, chosen rate"
SUPERVISED_IMPRINT = "supervised body, imprinting, floats"
RANDOM = "random body, same inner loop, chosen rate"
RANDOM_IMPRINT = "random body, imprinting, floats"
PIXELS = "raw pixels, nearest mean"


def on_chip(bits: int) -> str:
    """Name of the chip's row."""
    return f"ANIL, last layer, chip, {bits} bits"


def imprint_on_chip(body: str) -> str:
    """Name of a row with imprinted weights on the chip."""
    return f"{body} body, imprinting, chip, 8 bits"


@dataclass(frozen=True)
class Seed:
    """One seed: accuracy by row and shots; what learning took per episode; energy per presentation; processor time."""

    rows: Mapping[int, Mapping[str, float]]
    costs: Mapping[int, LearningCosts]
    energy_j: Mapping[str, float | None]
    cpu_s: Mapping[str, float]


@dataclass(frozen=True)
class Hidden:
    """The deployed body on all test samples: its last layer, and the spikes (B, T, n) of the layer before it."""

    layer: PlasticLayer
    spikes: Ints


def reproduce(data: Path, folder: Path, seeds: Sequence[int], step: Step) -> Reproduction:
    """See `spikeport.deploy.zoo.reproduction.reproduce`; a ``data`` that is one file holds Omniglot alone."""
    sets = (OMNIGLOT,) if data.is_file() else tuple(MODES)
    tables: list[ResultTable] = []
    claims: list[Claim] = []
    lava: dict[str, tuple[Deployment, NDArray[Any]]] = {}
    for kind in sets:
        settings = {mode: {**fixed, "mode": mode, "set": kind} for mode, fixed in MODES[kind].items()}
        choices = {m: choose({**s, "seed": seeds[0]}, data, folder, step) for m, s in settings.items()}
        found = []
        for seed in seeds:
            runs, times = {}, {}
            for mode, choice in choices.items():
                step(f"{kind}, seed {seed}, {mode}")
                asked = {**settings[mode], **choice.settings, "seed": seed}
                runs[mode], recipe, figures = trained("meta", asked, data, folder / f"{kind}-{mode}-{seed}")
                times[mode] = figures["cpu_s"]
            step(f"{kind}, seed {seed}, episodes")
            deployed = {m: deploy_run(runs[m], recipe, TARGET, options=ONE_GROUP) for m in ("anil", "supervised")}
            found.append(_seed(runs, deployed, choices, times))
            lava.setdefault(kind, (deployed["anil"].deployment, recipe.samples(runs["anil"]).test.frames))
        title = TITLES[kind]
        tables += [_table(found, title), _trainings(found, choices, title), _cost_table(found, title)]
        tables.append(_energy_table(found, title))
        claims += _claims(found, title)
    if DIGITS not in sets:
        claims.append(Claim(f"{TITLES[DIGITS]}", None, f"{data} is one file; give a folder with N-MNIST as well"))
    step("Lava")
    return Reproduction("meta", tuple(seeds), tuple(tables), (*claims, lava_claim(lava)))


def _seed(
    runs: Mapping[str, RunFolder[MetaConfig]],
    deployed: Mapping[str, Deployed],
    choices: Mapping[str, Choice],
    times: Mapping[str, float],
) -> Seed:
    hidden = {mode: _hidden(deployed[mode], runs[mode]) for mode in deployed}
    rows: dict[int, dict[str, float]] = {}
    costs: dict[int, LearningCosts] = {}
    for shots in SHOTS:
        classes, seed = split(runs["anil"]).test, runs["anil"].config.seed
        episodes = draw_episodes(len(classes), classes.frames.shape[1], Task(5, shots, QUERIES), EPISODES, seed)
        chip, costs[shots] = _chip_rows(runs["anil"], hidden, episodes)
        rows[shots] = _float_rows(runs, episodes, choices) | chip
    energy = {e.profile: e.energy_j for e in deployed["anil"].estimates}
    return Seed(rows, costs, energy, times)


def _hidden(deployed: Deployed, run: RunFolder[MetaConfig]) -> Hidden:
    name = plastic_layer(deployed.deployment).hidden
    frames = split(run).test.flat(run.config.steps)
    spikes = deployed.deployment.run(frames, record=[name]).spikes[name]
    spikes = spikes.reshape(*spikes.shape[:2], -1)
    return Hidden(plastic_layer(with_room(deployed.deployment, int(spikes.sum((1, 2)).max()))), spikes)


def _chip_rows(
    run: RunFolder[MetaConfig], hidden: Mapping[str, Hidden], episodes: Episodes
) -> tuple[dict[str, float], LearningCosts]:
    """Everything on the chip, and what the 8-bit inner loop took."""
    learner = trained_learner(run)
    anil = hidden["anil"]
    start = np.rint(learner.head.detach().numpy() * anil.layer.unit).astype(np.int64)
    rate = learner.log_rates[0].exp().item() / len(episodes.support_labels)
    done = {b: learnt(anil.layer, start, anil.spikes, episodes, OnChip(b, rate, PASSES)) for b in BITS}
    rows = {on_chip(bits): accuracy for bits, (accuracy, _) in done.items()}
    rows |= {
        imprint_on_chip(name): imprinted_on_chip(hidden[mode].layer, hidden[mode].spikes, episodes)
        for name, mode in (("ANIL", "anil"), ("supervised", "supervised"))
    }
    return rows, done[BITS[0]][1]


def _float_rows(
    runs: Mapping[str, RunFolder[MetaConfig]], episodes: Episodes, choices: Mapping[str, Choice]
) -> dict[str, float]:
    """Everything in floats."""
    frames = split(runs["anil"]).test.flat(runs["anil"].config.steps)
    rows: dict[str, float] = {}
    for mode in (name for name in ("anil", *NAMES) if name in runs):
        learner = trained_learner(runs[mode])
        features, head = features_of(learner, frames), learner.head.detach().numpy()
        rate = learner.log_rates[0].exp().item()
        after = [right(adapted(head, features, episodes, rate, steps), features, episodes) for steps in (0, 1, PASSES)]
        if mode == "anil":
            rows |= dict(zip((BEFORE, ONE_STEP, FLOAT), after, strict=True))
            rows[IMPRINT] = right(prototypes(features, episodes), features, episodes)
            continue
        rows[f"{NAMES[mode]}, last layer, floats, 5 steps"] = after[2]
        rows[f"{NAMES[mode]}, everything adapted, 1 step"] = full_accuracy(learner, frames, episodes)
    for mode, loop, imprint in (("supervised", SUPERVISED, SUPERVISED_IMPRINT), ("random", RANDOM, RANDOM_IMPRINT)):
        learner = trained_learner(runs[mode])
        features, rate = features_of(learner, frames), choices[mode].rates[episodes.task.shots]
        heads = adapted(learner.head.detach().numpy(), features, episodes, rate, PASSES)
        rows[loop] = right(heads, features, episodes)
        rows[imprint] = right(prototypes(features, episodes), features, episodes)
    rows[PIXELS] = nearest_mean(frames.mean(1).reshape(len(frames), -1), episodes)
    return rows


def _spread(found: Sequence[Seed], shots: int, row: str) -> Spread:
    return Spread(tuple(seed.rows[shots][row] for seed in found if row in seed.rows[shots]))


def _table(found: Sequence[Seed], title: str) -> ResultTable:
    rows = tuple({"row": name} | {f"{k}": _spread(found, k, name) for k in SHOTS} for name in found[0].rows[1])
    heads = {"row": "how", **{f"{k}": f"5-way {k}-shot" for k in SHOTS}}
    return ResultTable(f"{title}, {EPISODES} episodes", heads, rows)


def _trainings(found: Sequence[Seed], choices: Mapping[str, Choice], title: str) -> ResultTable:
    rows = [
        {
            "mode": mode,
            "settings": ", ".join(f"{name}={value:g}" for name, value in choice.settings.items()),
            "rates": ", ".join(f"{choice.rates[k]:.3g}" for k in SHOTS),
            "cpu": f"{np.mean([seed.cpu_s[mode] for seed in found]):.0f}",
        }
        for mode, choice in choices.items()
    ]
    heads = {"mode": "training", "settings": "settings", "rates": "head's rate, 1 and 5 shots", "cpu": "processor s"}
    return ResultTable(f"{title}: trainings, settings chosen on classes held back", heads, tuple(rows))


def _cost_table(found: Sequence[Seed], title: str) -> ResultTable:
    rows = []
    for what in found[0].costs[1].as_dict():
        cells = {f"{k}": np.mean([s.costs[k].as_dict()[what] for s in found]) / EPISODES for k in SHOTS}
        if any(cells.values()):
            rows.append({"what": what.replace("_", " "), **{k: f"{value:,.0f}" for k, value in cells.items()}})
    what = "events (loihi1 prices weight updates, no list the others)"
    heads = {"what": what, **{f"{k}": f"{k}-shot" for k in SHOTS}}
    return ResultTable(f"{title}: what learning takes per episode on the chip, 8 bits, 5 passes", heads, tuple(rows))


def _energy_table(found: Sequence[Seed], title: str) -> ResultTable:
    presented = {k: float(np.mean([s.costs[k].presentations for s in found])) / EPISODES for k in SHOTS}
    rows = []
    for name in PRICES:
        each = known_mean([s.energy_j[name] for s in found])
        episodes = {f"{k}": si(None if each is None else each * presented[k], "J") for k in SHOTS}
        rows.append({"prices": name, "each": si(each, "J"), **episodes})
    heads = {"prices": "prices of", "each": "one presentation", **{f"{k}": f"adaptation, {k}-shot" for k in SHOTS}}
    return ResultTable(f"{title}: energy without the learning's own events", heads, tuple(rows))


def _claims(found: Sequence[Seed], title: str) -> Iterator[Claim]:
    for shots in SHOTS:
        mean = {row: 100 * _spread(found, shots, row).mean for row in found[0].rows[shots]}
        where = f"{title.split(',')[0]}, {shots}-shot:"
        yield Claim(f"{where} chance before adaptation", abs(mean[BEFORE] - 20) <= 2, f"{mean[BEFORE]:.1f} %")
        for bits, allowed in ((8, 3), (6, 4), (4, 6)):
            lost = mean[on_chip(bits)] - mean[FLOAT]
            text = f"{where} the chip's inner loop with {bits} bits loses at most {allowed} points"
            yield Claim(text, lost >= -allowed, f"{lost:+.1f} points")
        yield from _comparisons(where, mean)


def _comparisons(where: str, mean: Mapping[str, float]) -> Iterator[Claim]:
    def better(text: str, one: float, other: float) -> Claim:
        return Claim(f"{where} {text}", one > other, f"{one:.1f} against {other:.1f} %")

    best = max(value for row, value in mean.items() if row.startswith("MAML") or row in (ONE_STEP, FLOAT))
    yield better("by the same rule, the meta-learnt body beats the supervised one", mean[FLOAT], mean[SUPERVISED])
    yield better("the meta-learnt body beats raw pixels", mean[FLOAT], mean[PIXELS])
    yield better("gradient steps beat imprinting on the same body", mean[FLOAT], mean[IMPRINT])
    yield better("imprinting on the supervised body beats every gradient variant", mean[SUPERVISED_IMPRINT], best)
    chip = mean[imprint_on_chip("ANIL")] - mean[IMPRINT]
    yield Claim(f"{where} imprinting on the chip loses at most 1 point", chip >= -1, f"{chip:+.1f} points")
    for name in (NAMES["maml"], NAMES["maml-first-order"]):
        if (full := mean.get(f"{name}, everything adapted, 1 step")) is not None:
            last = mean[f"{name}, last layer, floats, 5 steps"]
            text = f"{where} {name}: the last layer alone is within 3 points of adapting everything"
            yield Claim(text, last >= full - 3, f"{last - full:+.1f} points")
