"""Settings of the few-shot trainings, chosen on classes that are neither learnt from nor judged by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.deploy.zoo.few_shot import Floats, adapted, right
from spikeport.deploy.zoo.reproduction import Step, trained
from spikeport.models.meta.episodes import Episodes, Task, draw_episodes
from spikeport.models.meta.full_loop import full_accuracy
from spikeport.models.meta.learner import Learner
from spikeport.models.meta.recipe import MetaConfig, features_of, split
from spikeport.models.meta.recipe import trained as learner_of
from spikeport.models.training.run_folder import RunFolder

SHOTS = (1, 5)
QUERIES = 10
PASSES = 5
EPISODES = 300
CANDIDATES = tuple({"learning_rate": rate, "gain": gain} for rate in (2e-3, 6e-3) for gain in (2.0, 4.0))
"""Settings tried of every mode: learning rates around the paper's 2e-3, and sizes of the first weights."""
RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Inner rates tried for bodies that have not learnt one."""
WITHOUT_RATE = ("supervised", "random")


@dataclass(frozen=True)
class Choice:
    """``settings`` of the training, ``rates`` of the head's inner loop by shots, ``accuracy`` with 1 shot."""

    settings: Mapping[str, Any]
    rates: Mapping[int, float]
    accuracy: float


def choose(settings: Mapping[str, Any], data: Path, folder: Path, step: Step) -> Choice:
    """The best of `CANDIDATES`, each trained with the choice's classes held back; judged with 1 shot on these.

    MAML is judged by one step of everything, all others by the head's inner loop.
    """
    found = []
    for number, candidate in enumerate(CANDIDATES):
        asked = {**settings, **candidate, "held_back": True}
        name = f"{settings['set']}-{settings['mode']}-{settings['seed']}"
        step(f"{name}, choosing settings, {number + 1} of {len(CANDIDATES)}")
        run, _, _ = trained("meta", asked, data, folder / f"choice-{name}-{number}")
        found.append(_judged(run, candidate))
    return max(found, key=lambda choice: choice.accuracy)


def _judged(run: RunFolder[MetaConfig], candidate: Mapping[str, Any]) -> Choice:
    learner, classes = learner_of(run), split(run).choice
    frames, per_class = classes.flat(run.config.steps), classes.frames.shape[1]
    features = features_of(learner, frames)
    accuracy = 0.0
    rates: dict[int, float] = {}
    for shots in SHOTS:
        episodes = draw_episodes(len(classes), per_class, Task(5, shots, QUERIES), EPISODES, run.config.seed)
        tried = (learner.log_rates[0].exp().item(),) if run.config.mode not in WITHOUT_RATE else RATES
        by_rate = {rate: _head_accuracy(learner, features, episodes, rate) for rate in tried}
        rates[shots] = max(by_rate, key=lambda rate: by_rate[rate])
        if shots == 1:
            whole = run.config.mode.startswith("maml")
            accuracy = full_accuracy(learner, frames, episodes) if whole else by_rate[rates[shots]]
    return Choice(candidate, rates, accuracy)


def _head_accuracy(learner: Learner, features: Floats, episodes: Episodes, rate: float) -> float:
    return right(adapted(learner.head.detach().numpy(), features, episodes, rate, PASSES), features, episodes)
