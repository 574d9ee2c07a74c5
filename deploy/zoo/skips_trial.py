"""One candidate of a search for skips: trained, deployed, judged on samples kept for that; and who is on the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spikeport.deploy.codec import Codec
from spikeport.deploy.compile import CompileOptions, codec_for, compile_network
from spikeport.deploy.zoo.deployed import CALIBRATION, judged
from spikeport.deploy.zoo.reproduction import trained
from spikeport.errors import ModelError
from spikeport.models.skips.recipe import split

PRICES = "loihi1"
"""Energy and step time are counted at this profile's prices, the only published ones that cover both."""
RATE_WEIGHT = 30.0
"""Points of accuracy that a firing rate of 1 costs: of the trials this follows; the paper's weight is not known."""
OBJECTIVES: Mapping[str, int] = {"accuracy": 1, "rate": -1, "energy_j": -1, "cores": -1, "step_s": -1}
"""What a trial is judged by; 1: more is better."""


@dataclass(frozen=True)
class Candidate:
    """What is to be tried. ``folder``: where its training is kept, and found again by any other search there."""

    matrix: str
    settings: Mapping[str, Any]
    data: Path
    folder: Path
    target: str


@dataclass(frozen=True)
class Tried:
    """A candidate's figures.

    Attributes:
        matrix: its skips.
        accuracy: of the trained network on the samples for validation; ``chip``: of the deployed one.
        rate: mean spikes per neuron and step, on the same.
        energy_j, step_s: of the deployed network, at ``PRICES``; ``cores``: of the target.
        parameters: weights and biases.
        test: accuracy of the trained network on samples that no search sees.
    """

    matrix: str
    accuracy: float
    chip: float
    rate: float
    energy_j: float
    cores: int
    step_s: float
    parameters: int
    test: float

    @property
    def score(self) -> float:
        """Accuracy in per cent minus ``RATE_WEIGHT`` · firing rate: the paper's two objectives in one."""
        return 100.0 * self.accuracy - RATE_WEIGHT * self.rate

    @property
    def goals(self) -> tuple[float, ...]:
        """The objectives, each so that more is better."""
        return tuple(sign * float(getattr(self, name)) for name, sign in OBJECTIVES.items())


def attempt(candidate: Candidate) -> Tried:
    """Train, deploy and judge; a training that was finished before is not repeated.

    Raises:
        SpikeportError: it does not go onto the target.
    """
    settings = {**candidate.settings, "matrix": candidate.matrix}
    name = "".join(c if c.isdigit() else "-" for c in candidate.matrix)
    run, recipe, figures = trained("skips", settings, candidate.data, candidate.folder / f"net-{name}")
    parts, validation = split(run)
    network = recipe.network(run)
    codec: Codec = codec_for(network, decode=recipe.decoder)
    calibration, options = parts.train.frames[:CALIBRATION], CompileOptions(samples=CALIBRATION)
    deployment = compile_network(network, candidate.target, calibration, codec, options)
    deployed = judged(deployment, network, validation, (PRICES,))
    (estimate,) = deployed.estimates
    if estimate.energy_j is None or estimate.step_s is None:
        raise ModelError(
            f"{PRICES} has no price for {', '.join(estimate.missing)}, so {candidate.matrix} has no energy"
        )
    return Tried(
        matrix=candidate.matrix,
        accuracy=figures["validation"],
        chip=deployed.accuracy,
        rate=figures["rate"],
        energy_j=estimate.energy_j,
        cores=len(deployment.placement.cores),
        step_s=estimate.step_s,
        parameters=int(figures["parameters"]),
        test=figures["accuracy"],
    )


def front(tried: Sequence[Tried]) -> tuple[Tried, ...]:
    """Those that nobody beats: no other is at least as good in every objective and better in one. Most accurate first.

    Of equals in everything the first stays.
    """
    kept: dict[tuple[float, ...], Tried] = {}
    for one in tried:
        if not any(_beats(other.goals, one.goals) for other in tried):
            kept.setdefault(one.goals, one)
    return tuple(sorted(kept.values(), key=lambda t: t.goals, reverse=True))


def _beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a != b and all(x >= y for x, y in zip(a, b, strict=True))
