"""Folders below a folder, linked ones too: data are often put together by links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spikeport.errors import DataError

DEPTH = 6
"""Levels below the folder given that are looked into."""


def folders(path: Path) -> Iterator[Path]:
    """``path`` and every folder below it down to `DEPTH`, sorted at each level, without hidden ones and macOS's own.

    Links are followed, but not to where ``path`` lies itself; a folder that is reached twice comes once.

    Raises:
        DataError: a folder cannot be read.
    """
    top = os.path.realpath(path)
    seen: set[str] = set()
    for home, inside, _ in os.walk(path, onerror=_refuse, followlinks=True):
        real = os.path.realpath(home)
        above = home != str(path) and (top + os.sep).startswith(real.rstrip(os.sep) + os.sep)
        if real in seen or above:
            inside.clear()
            continue
        seen.add(real)
        deep = len(Path(home).relative_to(path).parts) >= DEPTH
        inside[:] = [] if deep else sorted(name for name in inside if not name.startswith(".") and name != "__MACOSX")
        yield Path(home)


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror or error}") from error


def entries(folder: Path) -> list[Path]:
    """What lies in ``folder``, sorted, but what is hidden; nothing where it is no folder.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except (NotADirectoryError, FileNotFoundError):
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
