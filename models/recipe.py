"""Recipe: what a method of the zoo gives to everything that handles methods alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from spikeport.converters.network import Network
from spikeport.models.data.samples import Parts
from spikeport.models.training.config import Config
from spikeport.models.training.fit import Figures, Watch
from spikeport.models.training.run_folder import RunFolder


@dataclass(frozen=True)
class Recipe(Generic[Config]):
    """How a method is trained, and what is deployed of it.

    Attributes:
        config: its settings, all with defaults.
        train: trains into the run's folder, goes on where it was stopped, and returns figures of the result.
        network: the network to deploy, from a finished run.
        samples: the data as the deployed network takes them; calibration uses ``train``, accuracy ``test``.
        untrained: the network to deploy as it is before anything was learnt, to see whether it goes onto a chip.
        decoder: how the output becomes a class, as `spikeport.deploy.decode` calls it.
    """

    config: type[Config]
    train: Callable[[RunFolder[Config], Watch], Figures]
    network: Callable[[RunFolder[Config]], Network]
    samples: Callable[[RunFolder[Config]], Parts]
    untrained: Callable[[RunFolder[Config]], Network] | None = None
    decoder: str = "count"
