"""The plastic layer: the last dense connection of a deployment, its weights, and its answers under other weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.arithmetic import bias, clip24, shift, wrap24
from spikeport.converters.chip_network import ChipNetwork, Dense, Ints, Population, Synapses
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.deploy.deployment import Deployment
from spikeport.errors import UnsupportedOnChipError

UNIT_SHIFT = 6
"""A weight enters v times 2^6: `spikeport.converters.chip_network`."""
WEIGHT_LIMIT = 2**8
STATE_LIMIT = 2**23


@dataclass(frozen=True)
class PlasticLayer:
    """The last connection.

    Attributes:
        synapses: dense, one group.
        output: the population it ends at.
        linear: whether the output is the plain running sum of what arrives, so that answers need no simulation.
    """

    synapses: Synapses
    output: Population
    linear: bool

    @property
    def weights(self) -> Ints:
        """(n_output, n_hidden) as they are on the chip."""
        return _dense(self.synapses).weight

    @property
    def hidden(self) -> str:
        """The population it starts from."""
        return self.synapses.source

    @property
    def unit(self) -> float:
        """Weight units per unit of a trained weight."""
        return float(self.output.scale / 2.0 ** (UNIT_SHIFT + self.synapses.weight_exp))

    @property
    def bias(self) -> tuple[Ints, Ints]:
        """(n_output,) v of a ``linear`` layer before its own step 0, and what its bias adds in each step."""
        p = self.output
        added = np.broadcast_to(bias(p.bias_mant, p.bias_exp), (p.size,))
        # Steps before its own first: the bias flows already, unless v is held at 0.
        start = np.broadcast_to(p.v_init, (p.size,)) if not p.hold_init else np.zeros(p.size, np.int64)
        return start + (p.shift - p.hold_init) * added, added

    def sums(self, weights: Ints, spikes: Ints) -> NDArray[np.float64]:
        """Readings (T, n_output) of a ``linear`` layer, in trained units, for hidden spikes (T, n_hidden)."""
        arrived = wrap24(shift(spikes @ weights.T, self.synapses.weight_exp) << UNIT_SHIFT)
        (v, added), steps = self.bias, []
        for each in arrived:
            v = clip24(v + each + added)
            steps.append(v)
        readings: NDArray[np.float64] = np.stack(steps) / self.output.scale + self.output.offset
        return readings


def with_room(deployment: Deployment, most: int) -> Deployment:
    """The same answers from a ``linear`` layer whose sums stay within 24 bits whatever its weights become.

    Quantisation lets the sums it has seen fill the register; learnt weights are others. Halving what a weight adds and
    the read-out's scale together changes no answer but for what a right shift drops.

    Args:
        deployment: any; where the layer is not ``linear`` it stays as it is.
        most: hidden spikes of one sample, in all.

    Raises:
        UnsupportedOnChipError: as `plastic_layer`.
    """
    layer = plastic_layer(deployment)
    group, output = layer.synapses, layer.output
    largest = (WEIGHT_LIMIT * most) << UNIT_SHIFT
    exponent = group.weight_exp
    lowest = deployment.profile.limits.weight_exp_min.value
    while layer.linear and largest * 2.0**exponent >= STATE_LIMIT and (lowest is None or exponent > lowest):
        exponent -= 1
    if exponent == group.weight_exp:
        return deployment
    factor = 2.0 ** (exponent - group.weight_exp)
    smaller = replace(
        output,
        scale=output.scale * factor,
        bias_mant=np.rint(output.bias_mant * factor).astype(np.int64),
        v_init=np.rint(output.v_init * factor).astype(np.int64),
    )
    network = replace(
        deployment.network,
        populations={**deployment.network.populations, output.name: smaller},
        synapses={**deployment.network.synapses, group.name: replace(group, weight_exp=exponent)},
    )
    return replace(deployment, network=network)


def plastic_layer(deployment: Deployment) -> PlasticLayer:
    """The last connection, if the learning engine can write it.

    Raises:
        UnsupportedOnChipError: it is no single dense group of spikes; the message says what it is, and what to do.
    """
    network = deployment.network
    output = network.populations[network.outputs[0]]
    groups = network.into(output.name)
    if len(groups) != 1:
        names = ", ".join(s.name for s in groups)
        raise UnsupportedOnChipError(
            f"{output.name}: learning writes one synapse group, but {len(groups)} end there ({names}). Where weights "
            "were split into coarse and fine, compile with --split-weights never"
        )
    (group,) = groups
    if not isinstance(group.connectivity, Dense):
        raise UnsupportedOnChipError(
            f"{group.name}: learning needs a dense last layer, this one is {type(group.connectivity).__name__.lower()}"
        )
    if group.graded or output.model in SIGMA_DELTA:
        raise UnsupportedOnChipError(f"{group.name}: learning counts spikes, but this layer sends numbers")
    return PlasticLayer(group, output, _is_linear(output, group))


def _is_linear(output: Population, group: Synapses) -> bool:
    """Whether v is the sum of all that has arrived, and of a bias: no decay, no lower limit, no current of its own."""
    plain = output.model == "integrator" and output.v_min is None and not output.refractory
    plain = plain and output.hold_init <= output.shift
    still = [output.dv, output.u_init, output.du - 4095]
    return plain and group.max_delay == 0 and not any(np.any(register) for register in still)


def with_weights(deployment: Deployment, layer: PlasticLayer, weights: Ints) -> Deployment:
    """The same deployment with other weights in that layer; its format stays."""
    group = replace(layer.synapses, connectivity=Dense(weights))
    network: ChipNetwork = deployment.network
    return replace(deployment, network=replace(network, synapses={**network.synapses, group.name: group}))


def answers(
    deployment: Deployment, layer: PlasticLayer, weights: Ints, sample: NDArray[Any], spikes: Ints
) -> NDArray[np.float64]:
    """Scores (n_output,) of one ``sample`` (1, ...), whose hidden spikes (T, n_hidden) are known, under ``weights``."""
    if layer.linear:
        output = layer.sums(weights, spikes)[None]
    else:
        output = with_weights(deployment, layer, weights).run(sample).output
    scores: NDArray[np.float64] = deployment.codec.decode(output).scores[0]
    return scores


def _dense(group: Synapses) -> Dense:
    if not isinstance(group.connectivity, Dense):
        raise UnsupportedOnChipError(f"{group.name} is not dense")
    return group.connectivity
