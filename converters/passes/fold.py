"""fold: at most one linear node between any two populations. Network in, equivalent Network out.

Populations are what is not linear: Input, Output, Neuron, SigmaDelta, and Activation and MaxPool of an ANN.

What comes out, on every path::

    source -> [Delay] -> Linear | Conv | SparseMap -> target          or          source -> [Delay] -> target

* A folded linear node has one source and one target. Edges carry C-order flattened values, so Flatten and Reshape
  are gone: a Linear acts on its whole flattened source, a Conv on its source in the source's own axes, giving
  ``shapes[name]``, and the target reads that in its own axes.
* Steps of delay that all source neurons share stand on the edge out of the source; a Delay node is left only where
  neurons differ.
* Pools, channel-wise factors, padding and parts of concatenations (Embed) are convolutions, and convolutions in a row
  are one wherever that is exact (`spikeport.converters.passes.fold_conv`); a factor of a whole map melts into it; what
  is left becomes a Linear, or a SparseMap where that is smaller or nothing else is exact.

Exact in real arithmetic. Products are computed in float64 and stored in float64 where a part of the path was float64,
else rounded once to float32: a relative error of at most 2^-24 per weight, none at all for pools that do not overlap
(averages: over a power of two) and for reordering. A membrane that close to its threshold may decide otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import Conv, Delay, Edge, Linear, Network, Node, Pool, Scale, Shape, SparseMap
from spikeport.converters.passes.fold_names import named
from spikeport.converters.passes.fold_paths import Path, is_population, paths_into, refuse_linear_loops
from spikeport.converters.passes.fold_sections import Section, section_of, with_explicit_doubles
from spikeport.errors import ModelError


def fold(network: Network) -> Outcome[Network]:
    """Fold chains of linear nodes (module docstring).

    Args:
        network: inferred: ``shapes`` holds every node.

    Returns:
        The folded network, and the findings ``fold-sparse`` (info: a map had to be unrolled), ``bias-delay``
        (warning: a bias behind a delay now starts at step 0) and ``fold-unused`` (warning: a linear
        node that leads nowhere).

    Raises:
        ModelError: a node without a shape.
        UnsupportedOnChipError: a loop without a neuron; a per-neuron Delay that no synapse can express; too many paths.
        DoesNotFitError: an unrolled map larger than any chip.
    """
    _check_shapes(network)
    refuse_linear_loops(network)
    paths = [path for name in network.nodes if is_population(network, name) for path in paths_into(name, network)]
    sections = with_explicit_doubles(section_of(path, network) for path in paths)
    names = named(sections, network)
    said = (f for section, (_, name) in zip(sections, names, strict=True) for f in _said(section, name, network))
    findings = (*_unused(network, paths), *said)
    folded = _rebuilt(network, sections, names)
    return Outcome(replace(folded, findings=(*network.findings, *findings)), findings)


def _check_shapes(network: Network) -> None:
    for name in network.nodes:
        if name not in network.shapes:
            raise ModelError(f"{name}: its shape is not known yet; run the pass infer before fold.")


# ---- the new network ----------------------------------------------------------------------------------------------


def _rebuilt(network: Network, sections: Sequence[Section], names: Sequence[tuple[str, str]]) -> Network:
    """Populations in their old order, each after the linear nodes that lead to it: same-step sources come first."""
    nodes: dict[str, Node] = {}
    shapes: dict[str, Shape] = {}
    edges: list[Edge] = []
    for name in filter(partial(is_population, network), network.nodes):
        for section, (delay, linear) in zip(sections, names, strict=True):
            if section.path.target == name:
                edges += _placed(section, delay, linear, network, nodes, shapes)
        nodes[name], shapes[name] = network.nodes[name], network.shapes[name]
    ordered = sorted(edges, key=lambda e: (e.source, e.target, e.delay))
    return replace(network, nodes=nodes, edges=tuple(ordered), shapes=shapes)


def _placed(
    section: Section, delay: str, linear: str, network: Network, nodes: dict[str, Node], shapes: dict[str, Shape]
) -> list[Edge]:
    """Enter a section's nodes; the edges that join them. The common lag stands on the first edge."""
    source = section.path.source
    if section.walked.waits is not None:
        nodes[delay] = Delay(section.walked.waits.reshape(network.shapes[source]))
        shapes[delay] = network.shapes[source]
    if section.linear is not None:
        nodes[linear], shapes[linear] = section.linear, section.shape
    stops = [source, *filter(None, (delay, linear)), section.path.target]
    lags = [section.walked.lag, *[0] * (len(stops) - 2)]
    return [Edge(a, b, lag) for a, b, lag in zip(stops[:-1], stops[1:], lags, strict=True)]


# ---- what to say --------------------------------------------------------------------------------------------------


def _unused(network: Network, paths: Iterable[Path]) -> list[Finding]:
    used = {hop.name for path in paths for hop in path.hops}
    idle = [name for name in network.nodes if not is_population(network, name) and name not in used]
    message = "no way through this node leads from an input or neuron to a neuron or output; it was left out."
    return [Finding("fold-unused", "warning", name, message, "Check the edges of the graph.") for name in idle]


def _said(section: Section, name: str, network: Network) -> Iterator[Finding]:
    way = " -> ".join(hop.name for hop in section.path.hops)
    if section.why and isinstance(section.linear, SparseMap):
        before = sum(_stored_weights(network.nodes[hop.name]) for hop in section.path.hops)
        yield Finding(
            "fold-sparse", "info", name,
            f"{way} became a sparse map, because {section.why}: {section.linear.matrix.nnz:,} synapses "
            f"with a weight each, where the nodes hold {before:,} shared weights.",
        )  # fmt: skip
    if section.walked.late:
        steps = sum(late.steps for late in section.walked.late)
        size = max(late.size for late in section.walked.late)
        yield Finding(
            "bias-delay", "warning", name,
            f"a bias of up to {size:.4g} on the way {way} passes a delay of {steps} steps: the trained network "
            f"feels it from step {steps} on, the folded one from step 0.",
            "Put the Delay in front of the map with the bias if these first steps matter.",
        )  # fmt: skip


def _stored_weights(node: Node) -> int:
    match node:
        case Linear(weight) | Conv(weight) | Scale(weight):
            return weight.size
        case SparseMap(matrix):
            return int(matrix.nnz)
        case Pool():
            return 1
    return 0
