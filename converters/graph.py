"""Order of computation and feedback: which edges of a cyclic graph carry a step of delay.

Node order and edge order in a file mean nothing, so nothing here depends on them. Feed-forward edges act within one
step; a cycle carries s[t-1], as in every framework. The delay sits on the edge that leaves the *neuron*: a bias of a
recurrent linear map then acts from t = 0, as in snnTorch.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Mapping

import networkx as nx

from spikeport.converters.network import Delay, Edge, Network
from spikeport.errors import ModelError

Link = tuple[str, str]


def delay_feedback(
    links: Collection[Link],
    inputs: Iterable[str],
    neurons: Collection[str],
    delays: Collection[str] = (),
    at_neuron: bool = True,
) -> tuple[Edge, ...]:
    """Edges with one step of delay wherever a cycle needs it.

    Inside each strongly connected component the nodes nearest to the inputs are its entrance; edges that lead back
    to the entrance are feedback. From there the delay walks back through linear nodes to the neuron they read.

    Args:
        links: directed edges.
        inputs: names of the Input nodes.
        neurons: names of nodes with a membrane.
        delays: names of Delay nodes of at least one step; a cycle through one needs no further delay.
        at_neuron: False leaves the delay where the cycle closes: a recurrent map then gives nothing at t = 0, its
            bias included (nirtorch's executor, on which Norse runs, and Sinabs' recurrent layers).

    Raises:
        ModelError: a cycle without any neuron and without delay.
    """
    graph = nx.DiGraph(sorted(link for link in links if link[1] not in set(delays)))
    _refuse_linear_cycles(graph, set(neurons))
    near = distances(links, inputs)
    delayed: set[Link] = set()
    while components := _cyclic_components(graph):
        for component in components:
            found = _feedback(graph, component, near, set(neurons) if at_neuron else set(graph))
            delayed |= found
            graph.remove_edges_from(found)
    return tuple(sorted((Edge(a, b, int((a, b) in delayed)) for a, b in links), key=lambda e: (e.source, e.target)))


def distances(links: Iterable[Link], inputs: Iterable[str]) -> dict[str, int]:
    """Number of edges from the nearest input, for every node that an input reaches."""
    follow: dict[str, list[str]] = {}
    for source, target in links:
        follow.setdefault(source, []).append(target)
    near = dict.fromkeys(inputs, 0)
    queue = deque(near)
    while queue:
        name = queue.popleft()
        for target in follow.get(name, ()):
            if target not in near:
                near[target] = near[name] + 1
                queue.append(target)
    return near


def order(
    names: Collection[str], edges: Collection[Edge], inputs: Collection[str], delays: Collection[str] = ()
) -> tuple[str, ...]:
    """All nodes, each after every source whose value it needs in the same step.

    Raises:
        ModelError: a cycle without delay, or a node that no input reaches.
    """
    near = _reached(names, edges, inputs)
    placed = _settle(near, edges, frozenset(delays))
    stuck = sorted(set(names) - set(placed))
    if stuck:
        raise ModelError(
            f"{_listed(stuck)}: a cycle without a step of delay, or fed by one. Put a neuron or a Delay in it."
        )
    return placed


def shape_order(names: Collection[str], edges: Collection[Edge], inputs: Collection[str]) -> tuple[str, ...]:
    """All nodes, each after at least one of its sources: nearest to the inputs first.

    Raises:
        ModelError: a node that no input reaches.
    """
    near = _reached(names, edges, inputs)
    return tuple(sorted(near, key=lambda name: (near[name], name)))


def _reached(names: Collection[str], edges: Collection[Edge], inputs: Collection[str]) -> dict[str, int]:
    near = distances([(e.source, e.target) for e in edges], inputs)
    lost = sorted(set(names) - set(near))
    if lost:
        raise ModelError(f"{_listed(lost)}: not reached from any input. Connect or remove it.")
    return near


def network_order(network: Network) -> tuple[str, ...]:
    """`order` for a Network."""
    return order(tuple(network.nodes), network.edges, network.inputs, waiting_delays(network))


def waiting_delays(network: Network) -> tuple[str, ...]:
    """Delay nodes whose every element waits at least one step: they need nothing of the present step."""
    return tuple(k for k, n in network.nodes.items() if isinstance(n, Delay) and n.steps.min(initial=1) >= 1)


def _settle(near: Mapping[str, int], edges: Collection[Edge], delays: frozenset[str]) -> tuple[str, ...]:
    """Kahn's algorithm, nearest to the inputs first, names deciding between equals."""
    waits = dict.fromkeys(near, 0)
    leaving: dict[str, list[str]] = {name: [] for name in near}
    for edge in edges:
        if edge.delay == 0 and edge.target not in delays:
            waits[edge.target] += 1
            leaving[edge.source].append(edge.target)
    heap = [(near[name], name) for name, count in waits.items() if count == 0]
    heapq.heapify(heap)
    placed: list[str] = []
    while heap:
        _, name = heapq.heappop(heap)
        placed.append(name)
        for target in leaving[name]:
            waits[target] -= 1
            if waits[target] == 0:
                heapq.heappush(heap, (near[target], target))
    return tuple(placed)


def _refuse_linear_cycles(graph: nx.DiGraph[str], neurons: set[str]) -> None:
    linear = graph.subgraph(set(graph) - neurons)
    for component in _cyclic_components(linear):
        raise ModelError(
            f"{_listed(sorted(component))}: a cycle without any neuron and without delay; its value would depend on "
            "itself within one step. Put a neuron or a Delay of at least one step in it."
        )


def _cyclic_components(graph: nx.DiGraph[str]) -> list[set[str]]:
    return [
        component
        for component in nx.strongly_connected_components(graph)
        if len(component) > 1 or any(graph.has_edge(name, name) for name in component)
    ]


def _feedback(graph: nx.DiGraph[str], component: set[str], near: Mapping[str, int], neurons: set[str]) -> set[Link]:
    """Edges of one component that lead back to its entrance, walked back to the neurons they read."""
    far = len(graph) + 1
    nearest = min(near.get(name, far) for name in component)
    entrance = {name for name in component if near.get(name, far) == nearest}
    found: set[Link] = set()
    open_links = {(a, b) for a, b in graph.edges if b in entrance and a in component}
    while open_links:
        source, target = open_links.pop()
        found.add((source, target))
        if source in neurons or any((source, other) not in found for other in graph.successors(source)):
            continue
        # All that this linear node computes is fed back: its own inputs can carry the delay, its bias acts at once.
        found -= {(source, other) for other in graph.successors(source)}
        open_links |= {(before, source) for before in graph.predecessors(source) if before in component}
    return found


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in list(names)[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
