"""The trainings that the claim on skips needs, each deployed and held against its integer twin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.deploy.compile import CompileOptions
from spikeport.deploy.zoo.deployed import Deployed, deploy_run
from spikeport.deploy.zoo.integer_twin import twin_output, without_delays
from spikeport.deploy.zoo.reproduction import trained
from spikeport.models.recipe import Recipe
from spikeport.models.skips.recipe import SkipsConfig
from spikeport.models.training.fit import Figures
from spikeport.models.training.run_folder import RunFolder

PLAIN = "plain"
COUNTS = (1, 2, 4)
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    PLAIN: {},
    **{f"{kind.upper()} n={n}": {"kind": kind, "n_skip": n} for kind in ("dsc", "asc") for n in COUNTS},
}
DIGITS, EVENTS = "digits, T=4", "events, T=10"
TASKS: Mapping[str, Mapping[str, Any]] = {
    DIGITS: {},
    EVENTS: {"data_set": "events", "steps": 10, "epochs": 30, "held_out": 250},
}
SWEPT: Mapping[str, tuple[str, ...]] = {DIGITS: tuple(VARIANTS), EVENTS: (PLAIN, "DSC n=1", "DSC n=4", "ASC n=4")}
BLOCKS = "digits, T=4, convolutions"
"""Two blocks of three layers; one seed, since these cost more time."""
_BLOCKS = {"blocks": 2, "depth": 3, "width": 8, "epochs": 15}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "3 × 3, plain": {"layer": "conv"},
    "3 × 3, DSC (as DenseNet)": {"layer": "conv", "kind": "dsc", "n_skip": 1},
    "residual, ASC (as ResNet)": {"layer": "residual", "kind": "asc", "n_skip": 1},
    "separable, plain": {"layer": "separable"},
    "separable, ASC (as MobileNet)": {"layer": "separable", "kind": "asc", "n_skip": 1},
}
TARGET = "loihi2"
OPTIONS = CompileOptions(samples=64)
"""T = 4 steps per sample are few to choose scales from, so calibration looks at all the samples it is given."""


@dataclass(frozen=True)
class Timing:
    """Read-outs after every step on the chip, against the same integers run layer by layer within one step.

    Attributes:
        equal: whether all are the same, bit for bit.
        changed: how many of ``logits`` last-step values differ once the delays that match branches are left out.
        undelayed: accuracy without them.
    """

    equal: bool
    changed: int
    logits: int
    undelayed: float


@dataclass(frozen=True)
class Result:
    """One training, deployed: ``figures`` of the training; ``energy_j`` per sample by price list."""

    figures: Figures
    float_accuracy: float
    accuracy: float
    same: float
    cores: int
    energy_j: Mapping[str, float | None]
    step_s: float | None
    timing: Timing


def settings_of(task: str, variant: str) -> Mapping[str, Any]:
    """What differs from a plain chain on digits."""
    return {**_BLOCKS, **FAMILIES[variant]} if task == BLOCKS else {**TASKS[task], **VARIANTS[variant]}


def run_of(
    task: str, variant: str, seed: int, data: Path, folder: Path
) -> tuple[RunFolder[SkipsConfig], Recipe[SkipsConfig], Figures]:
    """The finished training of one variant on one task; its folder lies under ``folder``."""
    letters = "".join(c if c.isalnum() else "-" for c in f"{task}-{variant}-{seed}")
    return trained("skips", {**settings_of(task, variant), "seed": seed}, data, folder / letters)


def plan(seeds: tuple[int, ...]) -> Iterator[tuple[str, str, int]]:
    """Every (task, variant, seed) of the sweep."""
    for task, variants in SWEPT.items():
        yield from ((task, variant, seed) for variant in variants for seed in seeds)
    yield from ((BLOCKS, family, seeds[0]) for family in FAMILIES)


def result_of(run: RunFolder[SkipsConfig], recipe: Recipe[SkipsConfig], figures: Figures) -> Result:
    """A finished training on the chip."""
    deployed = deploy_run(run, recipe, TARGET, options=OPTIONS)
    frames = recipe.samples(run).test.frames
    return Result(
        figures=figures,
        float_accuracy=deployed.float_accuracy,
        accuracy=deployed.accuracy,
        same=deployed.same,
        cores=len(deployed.deployment.placement.cores),
        energy_j={e.profile: e.energy_j for e in deployed.estimates},
        step_s=deployed.estimates[0].step_s,
        timing=timing_of(deployed, frames),
    )


def timing_of(deployed: Deployed, frames: Any) -> Timing:
    """See `Timing`; ``frames`` (B, T, *shape) are those of ``deployed.run``."""
    deployment, output = deployed.deployment, deployed.run.output
    wrong = without_delays(deployment).run(frames).output
    undelayed = deployment.codec.decode(wrong).classes
    return Timing(
        equal=bool((twin_output(deployment, frames) == output).all()),
        changed=int((wrong[:, -1] != output[:, -1]).sum()),
        logits=int(output[:, -1].size),
        undelayed=float((undelayed == deployed.labels).mean()),
    )
