"""Deploying a trained run: export, compile, float and chip side by side, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chain import Chain
from spikeport.converters.circuit import READOUTS, InputCode
from spikeport.converters.findings import Finding
from spikeport.converters.network import Network
from spikeport.converters.read.nir import read_nir
from spikeport.converters.write.nir import write_nir
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.compile import CompileOptions, codec_for, compile_network
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.encode import largest, unit
from spikeport.deploy.estimate.record import Estimate
from spikeport.deploy.run import Run
from spikeport.errors import DoesNotFitError, UnsupportedNodeError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import load_profile
from spikeport.models.data.samples import Samples
from spikeport.models.recipe import Recipe
from spikeport.models.training.run_folder import RunFolder

CALIBRATION = 64
PRICES = ("loihi1", "loihi1-sanafe")
"""Price lists that have numbers for everything: the energy of any target is also given by these."""
SILENT = 0.005
"""Spikes per neuron and step below which a layer hardly takes part (ZOO trials: such networks stay at chance)."""
BATCH = 50


@dataclass(frozen=True)
class Deployed:
    """A trained network on a chip, judged by samples it has not seen.

    Attributes:
        network: the trained network, as it was compiled.
        deployment, run: on the chip simulator.
        classes, float_classes, labels: (B,) of the chip, of the trained network, and the truth.
        rates: spikes per neuron and step of each population, on the chip.
        estimates: energy and latency, by the price lists asked for.
        findings: of compilation and run, and layers that nearly fell silent.
    """

    network: Network
    deployment: Deployment
    run: Run
    classes: NDArray[np.int64]
    float_classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    rates: dict[str, float]
    estimates: tuple[Estimate, ...]
    findings: tuple[Finding, ...]

    @property
    def accuracy(self) -> float:
        """Share of samples the chip gets right."""
        return float(np.mean(self.classes == self.labels))

    @property
    def same(self) -> float:
        """Share of samples on which both give the same answer, right or wrong."""
        return float(np.mean(self.classes == self.float_classes))

    @property
    def float_accuracy(self) -> float:
        """Share of samples the trained network gets right."""
        return float(np.mean(self.float_classes == self.labels))


def deploy_run(
    run: RunFolder[Any],
    recipe: Recipe[Any],
    target: str,
    folder: Path | None = None,
    options: CompileOptions | None = None,
    prices: tuple[str, ...] = PRICES,
) -> Deployed:
    """Deploy a finished training; with ``folder`` model.nir and model.spk are written there.

    Raises:
        SpikeportError: the network does not go onto the chip; the message says why.
    """
    network, parts = recipe.network(run), recipe.samples(run)
    if folder is not None:
        write_nir(network, folder / "model.nir")
        network = read_nir(folder / "model.nir")
    codec = codec_for(network, decode=recipe.decoder)
    deployment = compile_network(network, target, parts.train.frames[:CALIBRATION], codec, options)
    if folder is not None:
        deployment.save(folder / "model.spk")
    return judged(deployment, network, parts.test, prices)


def will_not_deploy(run: RunFolder[Any], recipe: Recipe[Any], target: str) -> tuple[Finding, ...]:
    """A warning before training where the network, its weights aside, does not go onto the chip."""
    profile = load_profile(target)
    if recipe.untrained is None:
        return ()
    network = recipe.untrained(run)
    encoder = codec_for(network, decode=recipe.decoder).encoder
    try:
        Chain(profile).circuit(network, InputCode(unit(encoder), largest(encoder)))
    except (UnsupportedOnChipError, UnsupportedNodeError, DoesNotFitError) as problem:
        text = f"what is trained here will not go onto {target}: {problem}."
        advice = "Change the settings that make the network so large, or train on for its accuracy in floats alone."
        return (Finding("will-not-deploy", "warning", "", text, advice),)
    return ()


def judged(deployment: Deployment, network: Network, test: Samples, prices: tuple[str, ...] = PRICES) -> Deployed:
    """A deployment and the trained network it came from on the same samples."""
    run = deployment.run(test.frames)
    rates = _rates(deployment, run)
    return Deployed(
        network=network,
        deployment=deployment,
        run=run,
        classes=deployment.codec.decode(run.output).classes,
        float_classes=float_classes(network, deployment, test.frames),
        labels=test.labels,
        rates=rates,
        estimates=tuple(deployment.estimate(run, load_profile(name)) for name in prices),
        findings=tuple(dict.fromkeys((*test.findings, *deployment.findings, *run.findings, *_silent(rates)))),
    )


def float_classes(network: Network, deployment: Deployment, frames: NDArray[Any]) -> NDArray[np.int64]:
    """What the trained network answers, decoded as the deployment decodes; (B,)."""
    (output,) = network.outputs
    parts = [
        run_float(network, frames[first : first + BATCH].astype(np.float32)).outputs[output]
        for first in range(0, len(frames), BATCH)
    ]
    return deployment.codec.decode(np.concatenate(parts)).classes


def _rates(deployment: Deployment, run: Run) -> dict[str, float]:
    return {
        name: float(p.spikes.sum()) / (run.activity.batch * run.activity.steps * p.neurons)
        for name, p in run.activity.populations.items()
        if deployment.network.populations[name].model not in READOUTS
    }


def _silent(rates: Mapping[str, float]) -> tuple[Finding, ...]:
    return tuple(
        Finding(
            "nearly-silent",
            "warning",
            name,
            f"fires in {rate:.2%} of its steps, less than {SILENT:.1%}: it hardly takes part in the answer.",
            "Train longer, with larger initial weights or gains, or a lower threshold.",
        )
        for name, rate in rates.items()
        if rate < SILENT
    )
