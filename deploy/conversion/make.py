"""The two conversions: levels from data, activations into neurons or units, and what either would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import Activation, Array, Network
from spikeport.converters.passes.convert.ceilings import without_ceilings
from spikeport.converters.passes.convert.levels import Levels, percentile, spread
from spikeport.converters.passes.convert.operations import Operations, operations
from spikeport.converters.passes.convert.sigma_delta import threshold_for, to_sigma_delta
from spikeport.converters.passes.convert.spiking import to_spiking
from spikeport.deploy.conversion.curve import Exam
from spikeport.deploy.conversion.observe import answers, observed
from spikeport.deploy.conversion.options import ConvertOptions, Target
from spikeport.deploy.conversion.prepare import Prepared
from spikeport.deploy.encode import Current
from spikeport.deploy.encode_values import Changes


@dataclass(frozen=True)
class LayerConversion:
    """One activation: its size, the levels of its channels, and the share of its values above zero.

    ``threshold``: of a sigma-delta unit, in levels.
    """

    neurons: int
    lowest_level: float
    highest_level: float
    active: float
    threshold: float | None = None


@dataclass(frozen=True)
class Made:
    """A converted network, the encoder for it, its layers, estimates, and findings."""

    network: Network
    to: Target
    encoder: Current | Changes
    layers: Mapping[str, LayerConversion]
    operations: Operations
    findings: tuple[Finding, ...]


def spiking(prepared: Prepared, options: ConvertOptions) -> Made:
    """Activations as integrate-and-fire neurons."""
    network = prepared.network
    levels = observed(network, prepared.frames)
    units = {n: _level(network.nodes[n], levels[n], options) for n in levels if n not in network.inputs}
    made = to_spiking(network, units, options.dt, options.start)
    encoder = Current(options.steps, prepared.ends.low, prepared.ends.high, start=0.5, clamp=True)
    estimate = operations(network, levels, units, _thresholds(levels, units, options))
    layers = {n: _layer(network, n, units[n], levels[n]) for n in units}
    return Made(made.result, "spiking", encoder, layers, estimate, made.findings)


def sigma_delta(prepared: Prepared, options: ConvertOptions) -> Made:
    """Activations as sigma-delta units."""
    plain = _without_ceilings(prepared, options)
    network = plain.result
    levels = observed(network, prepared.frames)
    units = {n: _unit(levels[n], options) for n in levels if n not in network.inputs}
    thresholds = _thresholds(levels, units, options)
    made = to_sigma_delta(network, units, thresholds, options.dt)
    (source,) = network.inputs
    gain = options.levels / (prepared.ends.high - prepared.ends.low)
    # Half a unit makes rounding of what lava-dl truncates; changes do not feel it.
    encoder = Changes(1, gain, 0.5 - prepared.ends.low * gain, threshold=int(thresholds[source] * gain))
    estimate = operations(network, levels, units, thresholds)
    layers = {n: replace(_layer(network, n, units[n], levels[n]), threshold=thresholds[n]) for n in units}
    return Made(made.result, "sigma-delta", encoder, layers, estimate, (*plain.findings, *made.findings))


def _without_ceilings(prepared: Prepared, options: ConvertOptions) -> Outcome[Network]:
    """No ceiling where the answers move by less than the allowed error without them; else those that are reached."""
    network, frames = prepared.network, prepared.frames
    none = without_ceilings(network, ())
    if not none.findings:
        return none
    exam = Exam(frames, answers(network, frames).reshape(len(frames), -1), None)
    if exam.error(answers(none.result, frames).reshape(len(frames), -1)) <= options.error:
        return none
    levels = observed(network, frames)
    capped = ((n, node.ceiling) for n, node in network.nodes.items() if isinstance(node, Activation))
    reached = [n for n, c in capped if c is not None and levels[n].top.max() >= float(np.min(c)) * (1 - 1e-6)]
    return without_ceilings(network, reached)


def _level(node: object, levels: Levels, options: ConvertOptions) -> Array:
    """What one spike per step stands for: the ceiling, where it was trained in steps that there is time for."""
    ceiling = node.ceiling if isinstance(node, Activation) else None
    if isinstance(node, Activation) and ceiling is not None and node.levels and node.levels <= options.steps:
        return np.asarray(ceiling, np.float32)
    per_channel = options.per == "channel" and len(levels.shape) > 1
    found = spread(percentile(levels, options.percentile / 100, per_channel), levels.shape)
    return found if ceiling is None else np.minimum(found, ceiling).astype(np.float32)


def _unit(levels: Levels, options: ConvertOptions) -> Array:
    """The unit of a sigma-delta layer: the largest value seen."""
    return spread(percentile(levels, 1.0, options.per == "channel" and len(levels.shape) > 1), levels.shape)


def _thresholds(levels: Mapping[str, Levels], units: Mapping[str, Array], options: ConvertOptions) -> dict[str, float]:
    return {n: threshold_for(levels[n], units.get(n, np.ones(())), options.error) for n in levels}


def _layer(network: Network, name: str, unit: Array, levels: Levels) -> LayerConversion:
    size = int(np.prod(network.shapes[name]))
    active = float(levels.active.sum() / max(levels.samples * size, 1))
    return LayerConversion(size, float(unit.min()), float(unit.max()), active)
