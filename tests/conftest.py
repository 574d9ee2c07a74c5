"""What all tests may lean on: the real recordings beside the repository, where this machine has them."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import settings
from zoo_data import write_tiny_nmnist

# Test processes run side by side, one per core: more threads in each only get in each other's way. Before torch loads.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine is slow, not wrong: no test may fail by the clock.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real material (frameworks' recordings, published networks); skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real recordings in {SHARED}, which this machine does not have")
    return SHARED


@pytest.fixture(scope="session")
def tiny_nmnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ``nmnist.npz`` of 120 made-up recordings, for the zoo's own machinery."""
    path = tmp_path_factory.mktemp("nmnist") / "nmnist.npz"
    write_tiny_nmnist(path)
    return path


NirWriter = Callable[[Mapping[str, Mapping[str, Any]], Sequence[tuple[str, str]]], Path]


def fill_graph(group: h5py.Group, nodes: Mapping[str, Mapping[str, Any]], edges: Sequence[tuple[str, str]]) -> None:
    """Put a graph into an HDF5 group as NIR does; a node with ``nodes`` and ``edges`` is a subgraph."""
    text = h5py.string_dtype()
    group.create_dataset("type", data="NIRGraph", dtype=text)
    group.create_dataset("edges", data=np.array(edges, object).reshape(-1, 2), dtype=text)
    inner = group.create_group("nodes")
    for name, fields in nodes.items():
        node = inner.create_group(name)
        if "nodes" in fields:
            fill_graph(node, fields["nodes"], fields["edges"])
            continue
        for field, value in fields.items():
            node.create_dataset(field, data=value, dtype=text if isinstance(value, str) else None)


@pytest.fixture
def nir_file(tmp_path: Path) -> NirWriter:
    """Writes a ``.nir`` file from plain nodes and edges, without any check."""

    def write(nodes: Mapping[str, Mapping[str, Any]], edges: Sequence[tuple[str, str]]) -> Path:
        path = tmp_path / "model.nir"
        with h5py.File(path, "w") as file:
            file.create_dataset("version", data="1.0.8", dtype=h5py.string_dtype())
            fill_graph(file.create_group("node"), nodes, edges)
        return path

    return write
