"""Where the benchmarks find their recordings."""

from __future__ import annotations

import sys
from pathlib import Path


def data_file(folder: Path, name: str) -> Path:
    """``folder/name``; ends the benchmark with one clear line where it is absent."""
    path = folder / name
    if not path.is_file():
        print(f"{path} does not exist; say where the recordings are with --data FOLDER", file=sys.stderr)
        sys.exit(2)
    return path
