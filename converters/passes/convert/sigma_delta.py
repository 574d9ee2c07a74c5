"""Sigma-delta: every activation becomes units that send how much it changed, as graded spikes.

Maps pass changes on, so biases, which are no changes, leave them and go where the sums are: into the units. One step
gives the whole network's answer; a next frame costs only what is different in it. Source: O'Connor and Welling 2016
(arXiv:1611.02024); Shrestha et al. 2024 (arXiv:2310.03251: sigma-delta networks on Loihi 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikeport.converters.findings import Outcome
from spikeport.converters.network import Activation, Array, Network, SigmaDelta
from spikeport.converters.passes.convert.constants import biased, constant, without_bias
from spikeport.converters.passes.convert.levels import Levels
from spikeport.converters.passes.convert.melt import melted
from spikeport.converters.passes.convert.rewire import free_name, in_units, inserted_before, with_nodes
from spikeport.converters.passes.convert.spiking import refuse_pools
from spikeport.converters.passes.infer import infer

DIALECT = "nir:dt={dt:g}"


def to_sigma_delta(
    network: Network, levels: Mapping[str, Array], thresholds: Mapping[str, float], dt: float
) -> Outcome[Network]:
    """Replace every activation by sigma-delta units, and put one at each output. Inputs take changes from then on.

    Args:
        network: inferred, without MaxPool and ceilings.
        levels: per activation, the unit of its values; broadcasts to its shape. One threshold then serves a layer.
        thresholds: per activation, the smallest change that is sent, in these units.
        dt: seconds per step (one step: one frame).
    """
    refuse_pools(network)
    targets = [n for n, node in network.nodes.items() if isinstance(node, Activation) or n in network.outputs]
    constants = {name: constant(network, name) for name in targets}
    changed = without_bias(network, biased(network))
    for name, node in network.nodes.items():
        if isinstance(node, Activation):
            unit = SigmaDelta(_f32(thresholds[name]), _f32(constants[name] / levels[name]))
            changed = in_units(with_nodes(changed, {name: unit}), name, levels[name])
    for name in network.outputs:
        reading = SigmaDelta(_f32(0.0), _f32(constants[name]), rectified=False, sends_changes=False)
        changed = inserted_before(changed, name, free_name(changed, f"{name}.sigma"), reading)
    converted = infer(replace(changed, dt=dt, dialect=DIALECT.format(dt=dt)))
    return Outcome(melted(converted.result), converted.findings)


def threshold_for(levels: Levels, unit: Array, error: float) -> float:
    """The largest threshold, in units, at which values too small to be sent lose ``error`` of the activation's RMS.

    Of one frame after rest: a value a below the threshold is not sent at all. Later ones are added to what was held
    back, so that no activation is ever off by the threshold or more.
    """
    values = levels.centres / np.broadcast_to(unit, levels.shape).reshape(len(levels.top), -1)[:, :1]
    energy = (levels.centres**2 * levels.counts).reshape(-1)
    rising = np.argsort(values, axis=None)
    lost = np.cumsum(energy[rising])
    if lost[-1] == 0.0:
        return 0.0
    allowed = int(np.searchsorted(lost, error**2 * lost[-1], side="right"))
    return float(values.reshape(-1)[rising][allowed - 1]) if allowed else 0.0


def _f32(values: Array | float) -> Array:
    array = np.asarray(values, np.float32)
    return array.reshape(-1)[:1].reshape(()) if array.size and np.ptp(array) == 0 else array
