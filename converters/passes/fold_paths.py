"""The ways from one population to the next through linear nodes, each composed into one map and one delay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import (
    Activation,
    Delay,
    Edge,
    Input,
    MaxPool,
    Network,
    Neuron,
    Output,
    Scale,
    SigmaDelta,
)
from spikeport.converters.passes.fold_compose import Map, as_map, compose, matrix_of
from spikeport.errors import UnsupportedOnChipError

# Every path becomes its own group of synapses; branching linear nodes multiply them, and nobody means thousands.
MOST_PATHS = 1000

Steps = NDArray[np.int64]
Population: TypeAlias = Input | Neuron | Activation | MaxPool | SigmaDelta | Output


@dataclass(frozen=True)
class Hop:
    """One linear node on a path.

    Attributes:
        name: the user's.
        delay: steps of the edge into the node.
        owns_bias: whether this path carries the node's bias; of several paths through a node exactly one does.
    """

    name: str
    delay: int
    owns_bias: bool


@dataclass(frozen=True)
class Path:
    """From the population ``source`` over ``hops`` to ``target``; ``delay`` of the last edge."""

    source: str
    hops: tuple[Hop, ...]
    target: str
    delay: int


@dataclass(frozen=True)
class LateBias:
    """A bias that the network lets arrive ``steps`` steps late, at most ``size`` large behind that delay."""

    steps: int
    size: float


@dataclass(frozen=True)
class Walked:
    """A path, composed.

    Attributes:
        linear: the map, or None where the path changes nothing (only Delay, Flatten, factors of 1).
        lag: steps that every source neuron's values wait.
        waits: flat (n_source,), what single neurons wait on top of ``lag`` (somewhere 0); None where all are equal.
        late: biases behind a delay.
    """

    linear: Map | None
    lag: int
    waits: Steps | None
    late: tuple[LateBias, ...]


def is_population(network: Network, name: str) -> bool:
    """Whether a path may start or end at this node."""
    return isinstance(network.nodes[name], Population)


def refuse_linear_loops(network: Network) -> None:
    """Refuse cycles without a neuron.

    Raises:
        UnsupportedOnChipError: names the nodes of such a cycle.
    """
    graph = nx.DiGraph((e.source, e.target) for e in network.edges)
    graph.remove_nodes_from([n for n in graph if is_population(network, n)])
    if nx.is_directed_acyclic_graph(graph):
        return
    names = [source for source, *_ in nx.find_cycle(graph)]
    raise UnsupportedOnChipError(
        f"{' -> '.join([*names, names[0]])}: a loop of linear nodes remembers its past, and the chip keeps memory "
        "only in neurons and in delays of synapses. Put a leaky integrator (LI, CubaLI) into the loop, or take it out."
    )


def paths_into(target: str, network: Network) -> Iterator[Path]:
    """Every path that ends at ``target``, in the order of the edges.

    Raises:
        UnsupportedOnChipError: more than `MOST_PATHS`.
    """
    into: dict[str, list[Edge]] = {}
    for edge in network.edges:
        into.setdefault(edge.target, []).append(edge)
    found = 0
    open_paths = [Path(e.source, (), target, e.delay) for e in reversed(into.get(target, []))]
    while open_paths:
        path = open_paths.pop()
        if is_population(network, path.source):
            found += 1
            _check_count(found, target)
            yield _with_owners(path)
            continue
        edges = list(enumerate(into.get(path.source, [])))
        open_paths += [
            replace(path, source=e.source, hops=(Hop(path.source, e.delay, k == 0), *path.hops))
            for k, e in reversed(edges)
        ]


def walk(path: Path, network: Network) -> Walked:
    """Compose a path from its source to its target.

    Raises:
        UnsupportedOnChipError: a per-neuron Delay that cannot be moved to the path's source.
    """
    start, lag = network.shapes[path.source], 0
    waits = np.zeros(int(np.prod(start)), dtype=np.int64)
    linear: Map | None = None
    late: list[LateBias] = []
    shape = start
    for hop in path.hops:
        lag += hop.delay
        late += _late(linear, hop.delay)
        node = network.nodes[hop.name]
        if isinstance(node, Delay):
            steps = np.broadcast_to(node.steps, shape).reshape(-1).astype(np.int64)
            waits = waits + _at_source(hop.name, steps, linear, len(waits))
            late += _late(linear, int(steps.max()))
        elif not isinstance(node, Population):
            here = as_map(node, shape, network.shapes[hop.name])
            here = here if hop.owns_bias else replace(here, bias=None)
            linear = here if linear is None else compose(linear, here)
        shape = network.shapes[hop.name]
    late += _late(linear, path.delay)
    common = int(waits.min())
    waits = waits - common
    return Walked(_unless_identity(linear), lag + path.delay + common, waits if waits.any() else None, tuple(late))


def _check_count(found: int, target: str) -> None:
    if found > MOST_PATHS:
        raise UnsupportedOnChipError(
            f"{target}: more than {MOST_PATHS} ways lead here through linear nodes that branch and meet; each would be "
            "a group of synapses of its own. Put neurons between the branches, or merge them before exporting."
        )


def _with_owners(path: Path) -> Path:
    """A node's bias goes along the path that is the first at this node and at every node before it."""
    owns, hops = True, []
    for hop in path.hops:
        owns = owns and hop.owns_bias
        hops.append(replace(hop, owns_bias=owns))
    return replace(path, hops=tuple(hops))


def _late(linear: Map | None, steps: int) -> list[LateBias]:
    if linear is None or linear.bias is None or steps == 0 or not linear.bias.any():
        return []
    return [LateBias(steps, float(np.abs(linear.bias).max()))]


def _at_source(name: str, steps: Steps, linear: Map | None, n_source: int) -> Steps:
    """What each source neuron must wait so that the values behind ``linear`` wait ``steps``; flat (n_source,).

    Exact where all that one source neuron reaches waits equally long: y_i[t] = Σ_j M_ij x_j[t - d_i].
    """
    if linear is None:
        return steps
    if np.ptp(steps) == 0:
        return np.full(n_source, steps[0])
    matrix = matrix_of(linear).tocoo()
    earliest = np.full(n_source, np.iinfo(np.int64).max)
    latest = np.full(n_source, -1)
    np.minimum.at(earliest, matrix.col, steps[matrix.row])
    np.maximum.at(latest, matrix.col, steps[matrix.row])
    if np.any(earliest < latest):
        _refuse_delay(name, earliest, latest)
    # A neuron that reaches nobody may wait as long as any other.
    return np.where(latest < 0, steps.min(), latest)


def _refuse_delay(name: str, earliest: Steps, latest: Steps) -> None:
    neuron = int(np.flatnonzero(earliest < latest)[0])
    raise UnsupportedOnChipError(
        f"{name}: this Delay makes what one neuron sends arrive after different times (source neuron {neuron}: "
        f"{earliest[neuron]} to {latest[neuron]} steps); the chip delays per source neuron and group of synapses. "
        "Put the Delay in front of the linear map, make it one number, or split the map into one for each delay."
    )


def _unless_identity(linear: Map | None) -> Map | None:
    if linear is None or not isinstance(linear.node, Scale) or linear.bias is not None:
        return linear
    return None if np.all(linear.node.factor == 1.0) else linear
