"""Maximum pools in terms a chip has: exactly, by more neurons, or as the average.

Exact: max(a, b) = b + relu(a - b), and so on in pairs over the window: k values take k - 1 rectifiers and ceil(log2 k)
levels of depth. What a window holds beyond the border is minus infinity to a maximum; where everything that arrives is
at or above zero (it comes from rectifiers) that is the same as the zeros a convolution sees there.
Average: what the network was not trained for, but free, since averages fold into the next layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import (
    Activation,
    Conv,
    Edge,
    Embed,
    Flatten,
    MaxPool,
    Network,
    Node,
    Permute,
    Pool,
    Reshape,
    Scale,
)
from spikeport.converters.passes.convert.rewire import free_name
from spikeport.converters.passes.infer import infer
from spikeport.errors import UnsupportedOnChipError

Treatment: TypeAlias = Literal["exact", "average"]
MOST_WINDOW = 64


@dataclass(frozen=True)
class _Value:
    """One of the values of which the largest is wanted: a position in the window, plus the rectifiers ``parts``."""

    position: int
    parts: tuple[str, ...] = ()


def max_pools(network: Network) -> tuple[str, ...]:
    """Names of the maximum pools."""
    return tuple(name for name, node in network.nodes.items() if isinstance(node, MaxPool))


def without_max_pools(network: Network, treatment: Treatment) -> Outcome[Network]:
    """Replace every maximum pool; the node that gives the result keeps the pool's name.

    Args:
        network: inferred.
        treatment: "exact" or "average" (module docstring).

    Raises:
        UnsupportedOnChipError: exact, but values below zero may arrive at a padded pool, or the window is huge.
    """
    findings = []
    for name in max_pools(network):
        pool = network.nodes[name]
        if not isinstance(pool, MaxPool):
            continue
        if treatment == "average":
            nodes = {**network.nodes, name: Pool("average", pool.kernel, pool.stride, pool.padding)}
            network = replace(network, nodes=nodes)
            message = f"a maximum over {pool.kernel} became the average, which the network was not trained for."
            findings.append(
                Finding("max-pool-average", "warning", name, message, "--max-pool exact keeps the maximum.")
            )
        else:
            _check(name, pool, network)
            network, added = _exact(name, pool, network)
            message = f"a maximum over {pool.kernel} became {added} populations: max(a, b) = b + relu(a - b)."
            findings.append(Finding("max-pool-exact", "info", name, message))
    inferred = infer(replace(network, shapes={}))
    return Outcome(inferred.result, tuple(findings))


def _check(name: str, pool: MaxPool, network: Network) -> None:
    window = int(np.prod(pool.kernel))
    if window > MOST_WINDOW:
        raise UnsupportedOnChipError(
            f"{name}: a maximum over {window} values would take {window - 1} populations; the limit is {MOST_WINDOW}. "
            "Use --max-pool average, or train with smaller windows."
        )
    if any(pool.padding) and not _never_negative(name, network):
        raise UnsupportedOnChipError(
            f"{name}: a padded maximum over values below zero has no exact form in rectifiers and zeros. "
            "Put the activation before the pool, drop the padding, or use --max-pool average."
        )


def _never_negative(name: str, network: Network) -> bool:
    """Whether all that arrives is at or above zero: from rectifiers through maps that only move or average."""
    for edge in network.into(name):
        node = network.nodes[edge.source]
        passes = isinstance(node, MaxPool | Pool | Flatten | Reshape | Permute | Embed)
        if not isinstance(node, Activation) and not (passes and _never_negative(edge.source, network)):
            return False
    return True


def _exact(name: str, pool: MaxPool, network: Network) -> tuple[Network, int]:
    """The tree of pairs; ``name`` becomes the sum that gives the maximum."""
    shape = network.shapes[name]
    if len(shape) != 3 and (len(shape) != 2 or pool.kernel[0] > 1 or pool.stride[0] > 1 or pool.padding[0] > 0):
        raise UnsupportedOnChipError(f"{name}: a maximum pool on {shape}; give it channels first.")
    pixels = len(shape) - 1
    arriving = network.into(name)
    nodes: dict[str, Node] = dict(network.nodes)
    edges = [e for e in network.edges if e.target != name]
    values, added = [_Value(k) for k in range(int(np.prod(pool.kernel)))], 0
    while len(values) > 1:
        pairs = list(zip(values[::2], values[1::2], strict=False))
        left = values[len(pairs) * 2 :]
        values = []
        for a, b in pairs:
            added += 1
            rectifier = free_name(network, f"{name}.max{added}")
            nodes[rectifier] = Activation()
            nodes[f"{rectifier}.difference"] = _chosen(pool, shape[0], {a.position: 1.0, b.position: -1.0}, pixels)
            edges += [replace(e, target=f"{rectifier}.difference") for e in arriving]
            edges.append(Edge(f"{rectifier}.difference", rectifier))
            edges += [Edge(part, rectifier) for part in a.parts]
            edges += _negative(b.parts, rectifier, nodes)
            values.append(_Value(b.position, (*b.parts, rectifier)))
        values += left
    (result,) = values
    base = f"{name}.base"
    nodes[base] = _chosen(pool, shape[0], {result.position: 1.0}, pixels)
    nodes[name] = Scale(np.ones((), np.float32))
    edges += [replace(e, target=base) for e in arriving]
    edges += [Edge(source, name) for source in (base, *result.parts)]
    return replace(network, nodes=nodes, edges=tuple(edges), shapes=network.shapes), added


def _negative(parts: tuple[str, ...], target: str, nodes: dict[str, Node]) -> list[Edge]:
    """Edges that take ``parts`` off ``target``."""
    if not parts:
        return []
    minus = f"{target}.minus"
    nodes[minus] = Scale(np.array(-1.0, np.float32))
    return [*(Edge(part, minus) for part in parts), Edge(minus, target)]


def _chosen(pool: MaxPool, channels: int, weights: Mapping[int, float], axes: int) -> Conv:
    """The depthwise convolution along the last ``axes`` that picks positions of the window, each times its weight."""
    kernel = np.zeros((channels, 1, *pool.kernel[-axes:]), np.float32)
    for k, position in enumerate(np.ndindex(kernel.shape[2:])):
        kernel[(slice(None), 0, *position)] = weights.get(k, 0.0)
    return Conv(kernel, None, pool.stride[-axes:], pool.padding[-axes:], (1,) * axes, channels)
