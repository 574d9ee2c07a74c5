"""Safe reading of a ``.nir`` file (HDF5) into plain frozen data, for every version of the format met so far.

Nothing here knows what a node means; `spikeport.converters.read.hdf5` bounds everything before it is allocated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import h5py

from spikeport.converters.read.hdf5 import MAX_NAME, MAX_NODES, Field, Hdf5, decode, opened, read_bytes

MAX_EDGES = 200_000
MAX_DEPTH = 8
_STRING_SLICE_BYTES = 1 << 28


@dataclass(frozen=True)
class RawNode:
    """One node as the file has it.

    Attributes:
        type: the NIR type, for example ``LIF``.
        fields: numeric arrays (0-d for scalars) and strings by name.
        metadata: likewise, from the node's ``metadata`` group.
        graph: the inner graph when ``type`` is ``NIRGraph``.
    """

    type: str
    fields: Mapping[str, Field]
    metadata: Mapping[str, Field] = field(default_factory=lambda: MappingProxyType({}))
    graph: RawGraph | None = None


@dataclass(frozen=True)
class RawGraph:
    """Nodes by name and directed edges, in the file's order (which means nothing)."""

    nodes: Mapping[str, RawNode]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RawFile:
    """A whole file: ``graph``, the graph's ``metadata``, the writer's NIR ``version``, SHA-256 of the bytes."""

    graph: RawGraph
    metadata: Mapping[str, Field]
    version: str
    sha256: str


def read_file(path: Path) -> RawFile:
    """Read a ``.nir`` file without believing anything it says about itself.

    Raises:
        ModelError: no such file, not HDF5, damaged, or larger than the limits of this module.
    """
    data = read_bytes(path)
    with opened(path, data) as file:
        walk = _Walk(path.name, "NIR file", data)
        root = walk.group(file, "node")
        version = walk.text(file, "version") if "version" in file else ""
        node = walk.node(root, "the graph", depth=0)
    if node.graph is None:
        raise walk.refuse(f"the top node is a {node.type}, not a NIRGraph")
    return RawFile(node.graph, node.metadata, version, hashlib.sha256(data).hexdigest())


class _Walk(Hdf5):
    """One pass over a NIR file; counts nodes so that their sum stays bounded."""

    nodes = 0

    def node(self, group: h5py.Group, name: str, depth: int) -> RawNode:
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise self.refuse(f"more than {MAX_NODES} nodes, or subgraphs deeper than {MAX_DEPTH}")
        if "type" not in group:
            raise self.refuse(f"node '{name}' has no type: its writing was interrupted")
        kind = self.text(group, "type")
        metadata = self.metadata(group)
        if kind == "NIRGraph":
            return RawNode(kind, MappingProxyType({}), metadata, self.graph(group, name, depth))
        return RawNode(kind, self.fields(group), metadata)

    def graph(self, group: h5py.Group, name: str, depth: int) -> RawGraph:
        if "nodes" not in group or "edges" not in group:
            raise self.refuse(f"graph '{name}' has no nodes or no edges: its writing was interrupted")
        nodes = self.group(group, "nodes")
        names = self.names(nodes)
        found = {key: self.node(self.group(nodes, key), key, depth + 1) for key in names}
        return RawGraph(MappingProxyType(found), self.edges(group))

    def fields(self, group: h5py.Group) -> Mapping[str, Field]:
        found: dict[str, Field] = {}
        for name in self.names(group):
            if name in ("type", "metadata"):
                continue
            item = self.item(group, name)
            if isinstance(item, h5py.Group):
                found |= {f"{name}.{key}": self.value(item, key) for key in self.names(item)}
            else:
                found[name] = self.value(group, name)
        return MappingProxyType(found)

    def metadata(self, group: h5py.Group) -> Mapping[str, Field]:
        """Metadata are free-form: what is neither number nor text is passed over."""
        if "metadata" not in group:
            return MappingProxyType({})
        inner = self.group(group, "metadata")
        plain = {}
        for name in self.names(inner):
            item = self.item(inner, name)
            if isinstance(item, h5py.Dataset) and (item.dtype.kind in "fiub" or item.shape == ()):
                plain[name] = self.value(inner, name)
        return MappingProxyType(plain)

    def edges(self, group: h5py.Group) -> tuple[tuple[str, str], ...]:
        item = self.dataset(group, "edges")
        if item.size == 0:
            return ()
        if item.ndim != 2 or item.shape[1] != 2 or item.shape[0] > MAX_EDGES:
            raise self.refuse(f"edges of shape {item.shape}; expected (number of edges, 2), at most {MAX_EDGES}")
        if item.dtype.kind != "S" and h5py.check_string_dtype(item.dtype) is None:
            raise self.refuse(f"edges are of type {item.dtype}, not pairs of node names")
        # Many entries may share one long string on disk: read few at a time.
        rows = max(1, min(4096, _STRING_SLICE_BYTES // (2 * self.size)))
        found: list[tuple[str, str]] = []
        for start in range(0, item.shape[0], rows):
            found += [(self.short(a), self.short(b)) for a, b in item[start : start + rows]]
        return tuple(found)

    def short(self, value: object) -> str:
        text = decode(value)
        if len(text) > MAX_NAME:
            raise self.refuse(f"an edge names a node by {len(text)} characters, more than {MAX_NAME}")
        return text
