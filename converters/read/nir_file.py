"""Safe reading of a ``.nir`` file (HDF5) into plain frozen data, for every version of the format met so far.

Nothing here knows what a node means. Everything is bounded before it is allocated, and whatever the HDF5 library
says about a damaged file ends in one ModelError.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from spikeport.converters.read.heap_check import heaps_are_sound, texts_fit
from spikeport.errors import ModelError

Field: TypeAlias = "NDArray[Any] | str"

MAX_BYTES = 2 << 30
MAX_NODES = 20_000
MAX_EDGES = 200_000
MAX_DEPTH = 8
MAX_NAME = 512
MAX_RANK = 8
# Deflate, the densest filter HDF5 ships with, cannot expand by more than 1032.
MAX_EXPANSION = 1100
_STRING_SLICE_BYTES = 1 << 28
_WHAT_TO_DO = "Export the model again, or check that the file was copied completely."


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
    data = _bytes(path)
    if not heaps_are_sound(data):
        raise ModelError(f"{path.name}: not a readable HDF5 file, or damaged (its table of texts). {_WHAT_TO_DO}")
    with _one_door(path), h5py.File(io.BytesIO(data), "r") as file:
        walk = _Walk(path.name, data)
        root = walk.group(file, "node")
        version = walk.text(file, "version") if "version" in file else ""
        node = walk.node(root, "the graph", depth=0)
    if node.graph is None:
        raise ModelError(f"{path.name}: the top node is a {node.type}, not a NIRGraph. {_WHAT_TO_DO}")
    return RawFile(node.graph, node.metadata, version, hashlib.sha256(data).hexdigest())


def _bytes(path: Path) -> bytes:
    """The whole file, if it is not larger than a model can be."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be opened ({error.strerror or error}). Check the path.") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path.name}: larger than {MAX_BYTES >> 30} GiB, the limit for a model file.")
    return data


@contextmanager
def _one_door(path: Path) -> Iterator[None]:
    """Turn whatever h5py raises on damaged files into one ModelError."""
    try:
        yield
    except ModelError:
        raise
    except (
        OSError,
        KeyError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        message = f"{path.name}: not a readable HDF5 file, or damaged ({reason}). {_WHAT_TO_DO}"
        raise ModelError(message) from error


class _Walk:
    """One pass over a file; counts nodes and declared bytes so that their sums stay bounded."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.size = max(len(data), 1)
        self.bytes = 0
        self.nodes = 0

    def refuse(self, what: str) -> ModelError:
        return ModelError(f"{self.name}: {what}. {_WHAT_TO_DO}")

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        item = self._item(parent, name)
        if not isinstance(item, h5py.Group):
            raise self.refuse(f"'{name}' is not a group")
        return item

    def _item(self, parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        link = parent.get(name, getlink=True)
        if link is None:
            raise self.refuse(f"'{name}' is missing in '{parent.name}': not a NIR file, or one whose writing failed")
        if not isinstance(link, h5py.HardLink):
            raise self.refuse(f"'{name}' is a link to somewhere else, which is never followed")
        return parent[name]

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

    def names(self, group: h5py.Group) -> list[str]:
        if len(group) > MAX_NODES:
            raise self.refuse(f"'{group.name}' has {len(group)} members, more than {MAX_NODES}")
        names = list(group)
        for name in names:
            if len(name) > MAX_NAME or not name.isprintable():
                raise self.refuse(f"'{group.name}' has a member whose name is no readable text: {name[:40]!r}")
        return names

    def fields(self, group: h5py.Group) -> Mapping[str, Field]:
        found: dict[str, Field] = {}
        for name in self.names(group):
            if name in ("type", "metadata"):
                continue
            item = self._item(group, name)
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
            item = self._item(inner, name)
            if isinstance(item, h5py.Dataset) and (item.dtype.kind in "fiub" or item.shape == ()):
                plain[name] = self.value(inner, name)
        return MappingProxyType(plain)

    def dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """A dataset whose declared size is within the limits and is really stored in this file."""
        item = self._item(group, name)
        if not isinstance(item, h5py.Dataset) or item.shape is None:
            raise self.refuse(f"'{group.name}/{name}' holds no data")
        if item.is_virtual or item.external:
            raise self.refuse(f"'{group.name}/{name}' keeps its data in another file, which is never opened")
        # The file's own element size: numpy's says nothing about texts.
        declared = item.size * item.id.get_type().get_size()
        self.bytes += declared
        if self.bytes > MAX_BYTES or item.ndim > MAX_RANK:
            raise self.refuse(f"'{group.name}/{name}' declares {item.shape}: more than {MAX_BYTES >> 30} GiB in all")
        if declared > item.id.get_storage_size() * MAX_EXPANSION:
            stored = item.id.get_storage_size()
            raise self.refuse(f"'{group.name}/{name}' declares {declared} bytes, the file holds {stored}")
        text = h5py.check_string_dtype(item.dtype)
        variable = text is not None and text.length is None
        if variable and not texts_fit(self.data, item.id.get_offset(), item.size):
            raise self.refuse(f"'{group.name}/{name}' declares texts longer than the whole file: it is damaged")
        return item

    def value(self, group: h5py.Group, name: str) -> Field:
        item = self.dataset(group, name)
        if item.dtype.kind in "fiub":
            return np.asarray(item[()])
        if item.shape == () and (item.dtype.kind == "S" or h5py.check_string_dtype(item.dtype) is not None):
            return _decode(item[()])
        raise self.refuse(f"'{group.name}/{name}' is of type {item.dtype}, neither numbers nor text")

    def text(self, group: h5py.Group, name: str) -> str:
        value = self.value(group, name)
        if not isinstance(value, str) or len(value) > MAX_NAME:
            raise self.refuse(f"'{group.name}/{name}' should be a short text")
        return value

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
        text = _decode(value)
        if len(text) > MAX_NAME:
            raise self.refuse(f"an edge names a node by {len(text)} characters, more than {MAX_NAME}")
        return text


def _decode(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
