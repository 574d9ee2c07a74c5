"""Rate coding: every activation becomes integrate-and-fire neurons that spike at a rate of activation / level.

A neuron adds up what arrives, in units of its level λ, and takes 1 off for each spike, so that after T steps its rate
is floor(T · a / λ + 1/2) / T for a constant a: quantization by rounding, since the membrane starts at 1/2. Rates end
at 1, a = λ. Sources: Rueckauer et al. 2017 (Front. Neurosci. 11:682: data-based levels, reset by subtraction); Bu et
al. 2022 (arXiv:2303.04347, theorem 2: the initial potential of half a threshold; λ = ceiling where the activation was
trained in steps).

The levels go into the weights on both sides, so that one threshold, 1, serves a whole layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import Activation, Array, MaxPool, Network, Neuron, Scale
from spikeport.converters.passes.convert.constants import biased, constant, without_bias
from spikeport.converters.passes.convert.melt import melted
from spikeport.converters.passes.convert.rewire import free_name, in_units, inserted_before, with_nodes
from spikeport.converters.passes.infer import infer
from spikeport.errors import ModelError

DIALECT = "nir:dt={dt:g},compare=ge,reset=subtract,v_init={start:g}"
START = 0.5


def to_spiking(network: Network, levels: Mapping[str, Array], dt: float, start: float = START) -> Outcome[Network]:
    """Replace every activation by integrate-and-fire neurons.

    Args:
        network: inferred, without MaxPool; its input between 0 and 1, as the encoder sends it.
        levels: per activation, what a spike at every step stands for; broadcasts to its shape.
        dt: seconds per step of the new network.
        start: membrane before the first step, in thresholds.

    Raises:
        ModelError: a MaxPool, which has to be replaced first.
    """
    refuse_pools(network)
    bare, offsets, findings = _without_offsets(network)
    for name, node in network.nodes.items():
        if isinstance(node, Activation):
            bias = offsets[name] / levels[name] if name in offsets else np.zeros(())
            bare = in_units(with_nodes(bare, {name: _neuron(bias, start)}), name, levels[name])
    for name in set(offsets) & set(bare.outputs):
        adding = Scale(np.ones((), np.float32), offsets[name].astype(np.float32))
        bare = inserted_before(bare, name, free_name(bare, f"{name}.bias"), adding)
    dialect = DIALECT.format(dt=dt, start=start)
    converted = infer(replace(bare, dt=dt, dialect=dialect, findings=(*network.findings, *findings)))
    return Outcome(melted(converted.result), (*findings, *converted.findings))


def refuse_pools(network: Network) -> None:
    """Raise ModelError where a maximum pool is left."""
    for name, node in network.nodes.items():
        if isinstance(node, MaxPool):
            raise ModelError(f"{name}: a maximum pool is left; replace it first (without_max_pools).")


def _neuron(bias: Array, start: float) -> Neuron:
    return Neuron(
        membrane_decay=np.ones((), np.float32),
        threshold=np.ones((), np.float32),
        bias=bias.astype(np.float32),
        comparison=">=",
        reset="subtract",
        v_init=np.array(start, np.float32),
    )


def _without_offsets(network: Network) -> tuple[Network, dict[str, Array], tuple[Finding, ...]]:
    """Constants that no weights took up, moved to the neurons they reach.

    A constant (the mean that a normalisation takes off, the low end of the input) that passes a padded convolution
    arrives weaker at the borders. No convolution can hold that as its bias; a neuron can.
    """
    left = [name for name in biased(network) if isinstance(network.nodes[name], Scale)]
    if not left:
        return network, {}, ()
    bare = without_bias(network, left)
    targets = [n for n, node in network.nodes.items() if isinstance(node, Activation) or n in network.outputs]
    offsets = {n: constant(network, n) - constant(bare, n) for n in targets}
    found: dict[str, Array] = {n: offset for n, offset in offsets.items() if offset.any()}
    message = f"a constant ({', '.join(left)}) that no weights before it could take is a bias of its neurons."
    said = tuple(Finding("offset-in-neurons", "info", name, message) for name in found)
    return bare, found, said
