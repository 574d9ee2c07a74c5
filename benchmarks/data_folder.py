"""Where the benchmarks find their recordings, and keep what is made once per machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_file(folder: Path, name: str) -> Path:
    """``folder/name``; ends the benchmark with one clear line where it is absent."""
    path = folder / name
    if not path.is_file():
        print(f"{path} does not exist; say where the recordings are with --data FOLDER", file=sys.stderr)
        sys.exit(2)
    return path


def cache_folder() -> Path:
    """Compiled networks, the peers' environments and their figures: SPIKEPORT_BENCH, else the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("SPIKEPORT_BENCH") or Path(base) / "spikeport" / "benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
