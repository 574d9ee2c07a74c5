"""Sigma-delta units as the chip's populations: part of `lower`.

A bias in a unit acts from chip step 1 on: the unit announces it at once, its targets announce what that makes of their
sums, and so on, a wave of changes through all layers before the first frame is there, and taken back in part by it.
So biases come from one further unit that announces a 1, once: `align` lets it arrive with the first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import networkx as nx
import numpy as np
from scipy.sparse import csr_array

from spikeport.converters.circuit import Connection, FloatPopulation, Model, SparseWeights, memoryless
from spikeport.converters.network import Input, Network, Output, SigmaDelta
from spikeport.converters.passes.fold_paths import is_population
from spikeport.converters.passes.lower_connections import as_double
from spikeport.errors import UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile

BIAS_SOURCE = "bias~"
LARGEST_MESSAGE = (1 << 16) - 1
"""Payloads have a sign and 16 bits of size at most: lava-nc's sigma-delta models send so many."""


def unit_population(name: str, unit: SigmaDelta, network: Network, profile: Profile) -> FloatPopulation:
    """The population that a unit becomes.

    Raises:
        UnsupportedOnChipError: no such unit on this chip, a mixture of flags that no chip unit has, or a unit that
            hears spikes or is heard by neurons.
    """
    model = _model(name, unit)
    if model not in profile.neuron_models:
        raise UnsupportedOnChipError(
            f"{name}: a sigma-delta unit sends graded changes, and {profile.name} has no {model!r} unit; it offers "
            f"{', '.join(profile.neuron_models)}. Use --target loihi2, or convert with --to spiking."
        )
    _refuse_mixtures(name, model, network)
    return replace(
        memoryless(model, network.shapes[name]),
        threshold=as_double(unit.threshold),
        comparison=">=",
        bias=as_double(unit.bias) if model == "sigma_delta" else np.zeros(()),
        offset=as_double(unit.bias) if model == "sigma" else np.zeros(()),
        max_spikes=1 if model == "sigma" else LARGEST_MESSAGE,
        rectified=unit.rectified,
    )


def with_bias_source(
    populations: Mapping[str, FloatPopulation], connections: Mapping[str, Connection]
) -> tuple[dict[str, FloatPopulation], dict[str, Connection]]:
    """Biases of sigma-delta units as weights of a unit that announces a 1 at the start (module docstring)."""
    held = {n: p for n, p in populations.items() if p.model == "sigma_delta" and p.bias.any()}
    if not held:
        return dict(populations), dict(connections)
    bare = {n: replace(p, bias=np.zeros(())) if n in held else p for n, p in populations.items()}
    one, half = np.ones(()), np.full((), 0.5)
    source = replace(memoryless("sigma_delta", (1,)), bias=one, threshold=half, max_spikes=LARGEST_MESSAGE)
    weights = {n: np.broadcast_to(p.bias, p.shape).reshape(-1, 1) for n, p in held.items()}
    added = {f"{BIAS_SOURCE}->{n}": Connection(BIAS_SOURCE, n, SparseWeights(csr_array(w))) for n, w in weights.items()}
    return {**bare, BIAS_SOURCE: source}, {**connections, **added}


def refuse_loops_of_units(network: Network) -> None:
    """Refuse sigma-delta units that hear themselves.

    Raises:
        UnsupportedOnChipError: naming one of them.
    """
    if not network.units:
        return
    graph = nx.DiGraph((e.source, e.target) for e in network.edges)
    for loop in nx.strongly_connected_components(graph):
        for name in sorted(loop & set(network.units)):
            if len(loop) > 1 or graph.has_edge(name, name):
                raise UnsupportedOnChipError(
                    f"{name}: a sigma-delta unit in a loop adds its own rounding up without end. Take it out of the "
                    "loop, or use spiking neurons."
                )


def _model(name: str, unit: SigmaDelta) -> Model:
    """By what the unit adds up and sends; the chip's input and output units neither rectify nor hold a bias."""
    if unit.sums and unit.sends_changes:
        return "sigma_delta"
    what = "receives values" if not unit.sums else "is read out"
    if unit.rectified or (not unit.sums and (unit.bias.any() or not unit.sends_changes)):
        raise UnsupportedOnChipError(
            f"{name}: a sigma-delta unit that {what} can neither rectify nor be both input and output, nor, as an "
            "input, have a bias. Put a unit that sums and sends changes in between."
        )
    return "sigma" if unit.sums else "delta"


def _refuse_mixtures(name: str, model: Model, network: Network) -> None:
    """Changes mean nothing to neurons, nor spikes to units; an input unit hears the network's input alone."""
    for source in _beyond(name, network, lambda n: [e.source for e in network.into(n)]):
        if source in network.neurons or (model == "delta" and not isinstance(network.nodes[source], Input)):
            raise UnsupportedOnChipError(
                f"{name}: a sigma-delta unit hears {source}, which sends no changes. Convert the whole network."
            )
    if model == "sigma" and not all(isinstance(network.nodes[e.target], Output) for e in network.out_of(name)):
        raise UnsupportedOnChipError(f"{name}: a unit that sends no changes is read out alone; end the network there.")
    for target in _beyond(name, network, lambda n: [e.target for e in network.out_of(n)]):
        if target in network.neurons or (model != "sigma" and isinstance(network.nodes[target], Output)):
            raise UnsupportedOnChipError(
                f"{name}: its changes go to {target}, which does not add them up. End the network in a unit that does "
                "not send changes (sends_changes=False)."
            )


def _beyond(name: str, network: Network, follow: Callable[[str], list[str]]) -> list[str]:
    """The populations at the other end of a folded network's connections: a map has one end on each side."""
    return [end for n in follow(name) for end in ([n] if is_population(network, n) else follow(n))]
