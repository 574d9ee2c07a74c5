"""Schedule: in which order populations can be computed over many steps at once.

A synapse takes a step or more, so a population needs of its sources only what they sent before. What is not on a loop
can run layer by layer, each over all steps of a chunk; the populations of a loop must go step by step, together.
"""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Synapses


@dataclass(frozen=True)
class Stage:
    """Populations that are computed together: one, or those of a loop.

    Attributes:
        populations: names; inputs are no stage.
        stride: steps they can advance at once: 0 for as many as there are (no loop), else 1 + the shortest delay of
            a synapse within the loop.
    """

    populations: tuple[str, ...]
    stride: int


def schedule(network: ChipNetwork) -> tuple[Stage, ...]:
    """Stages in an order in which each finds its sources computed."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(network.populations)
    graph.add_edges_from((s.source, s.target) for s in network.synapses.values())
    loops = nx.condensation(graph)
    found = []
    for loop in nx.topological_sort(loops):
        members = loops.nodes[loop]["members"]
        names = tuple(n for n, p in network.populations.items() if n in members and p.model != "input")
        inside = [s for s in network.synapses.values() if s.source in names and s.target in names]
        if names:
            found.append(Stage(names, 1 + min(map(_shortest, inside)) if inside else 0))
    return tuple(found)


def reach(network: ChipNetwork, population: str) -> int:
    """Steps for which spikes of ``population`` are still needed: 1 + the longest delay on the way out; 0 for none."""
    return max((1 + s.max_delay for s in network.out_of(population)), default=0)


def _shortest(synapses: Synapses) -> int:
    return int(np.min(synapses.delay))
