"""Where between two integers a trained weight was: what rounding to the chip's grid left over."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Synapses
from spikeport.converters.circuit import Circuit
from spikeport.converters.passes.quantize.weights import WeightFormat, values
from spikeport.models.finetuning.parameters import array_of

Fractions = Mapping[str, NDArray[np.float64]]
SAME = 0.5
"""A least-squares scale that explains the integers to this many steps for most weights is the scale they had."""


def fractions_of(circuit: Circuit, network: ChipNetwork) -> Fractions:
    """Per unsplit synapse group the rest of each weight, in steps of its grid, within [-1/2, 1/2].

    The scale between trained weights and integers follows from the two by least squares; a group that no scale
    explains, and split weights, whose fine group has the rest already, are left out.
    """
    found = {}
    for name, connection in circuit.connections.items():
        group = network.synapses.get(name)
        if group is not None and array_of(group.connectivity).shape == values(connection.weights).shape:
            found[name] = _rest(values(connection.weights), group)
    return {name: rest for name, rest in found.items() if rest is not None}


def _rest(trained: NDArray[np.float64], group: Synapses) -> NDArray[np.float64] | None:
    form = WeightFormat(group.num_weight_bits, group.weight_exp, group.weight_exp)
    ints = array_of(group.connectivity) / form.step(group.sign_mode)
    energy = float((trained * trained).sum())
    if energy == 0:
        return None
    rest = trained * (float((trained * ints).sum()) / energy) - ints
    if np.mean(np.abs(rest) <= SAME) < 0.9:
        return None
    return np.clip(rest, -0.499, 0.499)
