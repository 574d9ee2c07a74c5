"""Deployed methods held against Lava: the last claim of every reproduction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from spikeport.deploy.backends.lava.compare import Comparison, compare
from spikeport.deploy.backends.lava.compatibility import installed
from spikeport.deploy.backends.lava.run import run_on_lava
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.zoo.reproduction import Claim

SAMPLES = 5


def compare_with_lava(deployment: Deployment, frames: NDArray[Any]) -> Comparison:
    """Every spike, u and v of ``frames`` (B, T, *shape) on the simulator and on Lava's own process models.

    Raises:
        BackendError: Lava is not installed, failed or hung.
    """
    source = deployment.network.inputs[0]
    encoded = deployment.codec.encode(frames, deployment.network.populations[source].shape)
    return compare(deployment.network, {source: encoded.spikes}, deployment.placement, run_on_lava)


def lava_claim(deployments: Mapping[str, tuple[Deployment, NDArray[Any]]]) -> Claim:
    """Whether each named deployment equals Lava on the first samples of its frames; unknown where Lava is missing."""
    text = f"the simulator equals Lava in every spike and state on {SAMPLES} samples each"
    if not installed():
        return Claim(text, None, "Lava is not installed; see docs/lava.md")
    runs = {name: compare_with_lava(d, frames[:SAMPLES]) for name, (d, frames) in deployments.items()}
    different = [name for name, run in runs.items() if run.first is not None]
    values = sum(sum(run.compared.values()) for run in runs.values())
    found = f"differs: {', '.join(different)}" if different else f"{len(runs)} networks, {values:,} neuron steps equal"
    return Claim(text, not different, found)
