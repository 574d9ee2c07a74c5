"""A path between two populations as it will stand in the folded network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from scipy.sparse import csr_array, eye_array

from spikeport.converters.network import Array, Conv, Linear, Network, Node, Scale, Shape, SparseMap
from spikeport.converters.passes.fold_compose import finished
from spikeport.converters.passes.fold_paths import Path, Walked, walk


@dataclass(frozen=True)
class Section:
    """A composed path as it will stand in the new network.

    ``linear`` is None for an identity; ``shape``: of its output; ``why``: why it is sparse, or "".
    """

    path: Path
    walked: Walked
    linear: Linear | Conv | SparseMap | None
    shape: Shape
    why: str


def section_of(path: Path, network: Network) -> Section:
    """Compose a path and choose its form.

    Raises:
        UnsupportedOnChipError: a per-neuron Delay that no synapse can express.
        DoesNotFitError: an unrolled map larger than any chip.
    """
    walked, target = walk(path, network), network.shapes[path.target]
    if walked.linear is None:
        return Section(path, walked, None, target, "")
    node, why = finished(walked.linear, network.shapes[path.source], _dtype(path, network))
    if isinstance(node, Conv):
        return Section(path, walked, node, _conv_target(walked, network.shapes[path.source]), "")
    node = replace(node, shape=target) if isinstance(node, SparseMap) else node
    return Section(path, walked, node, target, why)


def _conv_target(walked: Walked, source: Shape) -> Shape:
    """The axes a convolution gives; a standing factor keeps its source's."""
    return source if walked.linear is None or isinstance(walked.linear.node, Scale) else walked.linear.target


def _dtype(path: Path, network: Network) -> np.dtype[np.floating]:
    arrays = [a for hop in path.hops for a in _floats(network.nodes[hop.name])]
    double = any(array.dtype == np.float64 for array in arrays)
    return np.dtype(np.float64 if double else np.float32)


def _floats(node: Node) -> Iterator[Array]:
    match node:
        case Linear(weight, bias) | Conv(weight, bias) | Scale(weight, bias):
            yield from (weight,) if bias is None else (weight, bias)
        case SparseMap(matrix):
            yield matrix.data


def with_explicit_doubles(sections: Iterable[Section]) -> list[Section]:
    """Of several identities between the same two nodes all but the first become explicit, so that each has a name."""
    seen, result = set(), []
    for section in sections:
        ends = (section.path.source, section.path.target)
        if section.linear is None and ends in seen:
            ones = csr_array(eye_array(prod(section.shape), dtype=np.float32))
            section = replace(section, linear=SparseMap(ones, None, section.shape))
        seen.add(ends if section.linear is None else None)
        result.append(section)
    return result
