"""Searching skips: an Optuna study over adjacency matrices, resumable, its trials side by side on Dask."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from spikeport.converters.write.atomic import atomic_write
from spikeport.deploy.zoo.skips_trial import OBJECTIVES, Candidate, Tried, attempt
from spikeport.errors import BackendError, DataError, ModelError, OutputError
from spikeport.models.skips.matrix import BLOCK, places, with_skips
from spikeport.models.skips.recipe import SkipsConfig
from spikeport.models.training.config import read_config

SAMPLERS = ("gp", "tpe", "random")
GOALS = ("score", "pareto")
Progress: TypeAlias = Callable[[int, int], None]
FIRST_RANDOM = 6
"""Trials drawn at random before a sampler learns from them."""
DIGITS = "digits"
EPOCHS, VALIDATION = 12, 150
"""Of a trial, where a user does not say: short trainings rank candidates well enough."""
RECORD, STUDY, FIGURES = "search.json", "study.log", "figures"


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        data: as `spikeport.models.skips.recipe` reads it.
        settings: of every training (`SkipsConfig`), without a matrix.
        target: the chip.
        sampler: "gp": Bayesian optimisation with a Gaussian process, as in the paper; "tpe"; "random".
        goal: "score": `Tried.score`; "pareto": all of `OBJECTIVES` at once.
        seed: of the sampler.
    """

    data: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    target: str = "loihi2"
    sampler: str = "gp"
    goal: str = "score"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, kinds in (("sampler", SAMPLERS), ("goal", GOALS)):
            if getattr(self, name) not in kinds:
                raise DataError(f"{name}={getattr(self, name)!r}; there are {', '.join(kinds)}")
        if not self.config.validation or self.config.matrix:
            raise DataError("a search chooses the matrix, and by samples for validation: set validation, not matrix")

    @property
    def config(self) -> SkipsConfig:
        """Settings of a training, matrix left open."""
        return read_config(SkipsConfig, self.settings)


def asked_for(data: str, settings: Mapping[str, Any], target: str, sampler: str, goal: str, seed: int) -> Search:
    """A search as written on the command line: ``data`` is "digits" or where event recordings lie.

    Raises:
        DataError: a setting, sampler or goal that does not exist.
    """
    chosen = {"validation": VALIDATION, "epochs": EPOCHS, "data_set": "digits" if data == DIGITS else "events"}
    if data != DIGITS:
        chosen |= {"steps": 10, "held_out": 250}
    return Search(Path(data), {**chosen, **settings}, target, sampler, goal, seed)


def search(
    asked: Search, folder: Path, trials: int, workers: int = 1, progress: Progress | None = None
) -> tuple[Tried, ...]:
    """All trials of the study in ``folder``, in order; as many new ones are made as ``trials`` in all needs.

    Trials are asked for in rounds of ``workers``; a round that was cut short is asked for again, with the same result,
    and its finished trainings are not repeated.

    Args:
        asked: the search.
        folder: holds the study, and every training.
        trials: in all.
        workers: processes; more than one needs Dask.
        progress: called with (trials done, in all).

    Raises:
        ModelError: the folder holds another search.
        BackendError: Optuna or Dask is not installed.
    """
    optuna = _optuna()
    _claim(folder, asked)
    study = _study(optuna, asked, folder)
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    done = [Tried(**t.user_attrs[FIGURES]) for t in _complete(optuna, study)]
    with team(workers) as attempt_all:
        while len(done) < trials:
            round_size = min(workers, trials - len(done))
            drawn = [_ask(optuna, study, asked, folder, len(done) + k) for k in range(round_size)]
            tried = attempt_all([candidate for _, candidate in drawn])
            for (trial, _), one in zip(drawn, tried, strict=True):
                trial.set_user_attr(FIGURES, asdict(one))
                study.tell(trial, [float(getattr(one, name)) for name in _goals(asked)])
            done += tried
            if progress is not None:
                progress(len(done), trials)
    return tuple(done[:trials])


@contextmanager
def team(workers: int) -> Iterator[Callable[[Sequence[Candidate]], list[Tried]]]:
    """Attempts several candidates, in as many processes; equal candidates are attempted once.

    Raises:
        BackendError: more than one worker, and Dask is not installed.
    """
    if workers == 1:
        yield lambda candidates: _once(candidates, lambda different: [attempt(c) for c in different])
        return
    try:
        dask: Any = import_module("distributed")
    except ImportError as error:
        raise BackendError("trials side by side need Dask: pip install 'spikeport[zoo]'; or use --workers 1") from error
    with (
        dask.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        dask.Client(cluster) as client,
    ):
        yield lambda candidates: _once(candidates, lambda different: client.gather(client.map(attempt, different)))


def _once(candidates: Sequence[Candidate], job: Callable[[list[Candidate]], list[Tried]]) -> list[Tried]:
    """Equal matrices train in one folder, which two processes must not do at once."""
    different = {candidate.matrix: candidate for candidate in candidates}
    tried = dict(zip(different, job(list(different.values())), strict=True))
    return [tried[candidate.matrix] for candidate in candidates]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise BackendError("a search needs the package optuna: pip install 'spikeport[zoo]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _goals(asked: Search) -> tuple[str, ...]:
    return ("score",) if asked.goal == "score" else tuple(OBJECTIVES)


def _study(optuna: Any, asked: Search, folder: Path) -> Any:
    better = {1: "maximize", -1: "minimize"}
    file = optuna.storages.journal.JournalFileBackend(str(folder / STUDY))
    return optuna.create_study(
        study_name=f"{asked.sampler}-{asked.goal}-{asked.seed}",
        storage=optuna.storages.JournalStorage(file),
        directions=[better[OBJECTIVES.get(name, 1)] for name in _goals(asked)],
        load_if_exists=True,
    )


def _complete(optuna: Any, study: Any) -> list[Any]:
    return list(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))


def _ask(optuna: Any, study: Any, asked: Search, folder: Path, number: int) -> tuple[Any, Candidate]:
    """The trial after ``number`` others: its sampler is seeded by that, so that it does not matter who was stopped."""
    config = asked.config
    study.sampler = _sampler(optuna, asked, number)
    trial = study.ask()
    texts = []
    for block in range(config.blocks):
        chosen = {
            (i, j): trial.suggest_categorical(f"{block + 1}: {i + 1} to {j + 1}", (0, 1, 2))
            for i, j in places(config.depth)
        }
        texts.append(str(with_skips(config.depth, chosen)))
    return trial, Candidate(BLOCK.join(texts), asked.settings, asked.data, folder, asked.target)


def _sampler(optuna: Any, asked: Search, number: int) -> Any:
    seed = 1_000_003 * asked.seed + number
    if asked.sampler == "random" or number < FIRST_RANDOM:
        return optuna.samplers.RandomSampler(seed=seed)
    with warnings.catch_warnings():
        # Optuna calls its Gaussian process experimental; it is the method of the paper.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        kind = optuna.samplers.GPSampler if asked.sampler == "gp" else optuna.samplers.TPESampler
        return kind(seed=seed, n_startup_trials=FIRST_RANDOM)


def _claim(folder: Path, asked: Search) -> None:
    """Keep what makes figures of one folder comparable, or refuse another."""
    record = {"data": str(asked.data.resolve()), "config": asked.config.model_dump(), "target": asked.target}
    path = folder / RECORD
    if path.exists():
        if _read(path) != record:
            raise ModelError(f"{folder} holds a search with other settings (see {path.name}); use another folder")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    with atomic_write(path) as file:
        file.write((json.dumps(record, indent=2) + "\n").encode())


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
