"""The network and its input as plain arrays, for simulators that know nothing of spikeport; NumPy only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

NETWORK, ARRAYS = "network.json", "arrays.npz"


def save(folder: Path, description: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Write ``description`` (plain JSON that names arrays) and ``arrays`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / ARRAYS, **arrays)
    (folder / NETWORK).write_text(json.dumps(description))


def load(folder: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What `save` wrote."""
    folder = Path(folder)
    with np.load(folder / ARRAYS) as archive:
        return json.loads((folder / NETWORK).read_text()), dict(archive)
