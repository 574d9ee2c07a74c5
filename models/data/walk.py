"""Folders below a folder, linked ones too: data are often put together by links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spikeport.errors import DataError


def folders(path: Path) -> Iterator[Path]:
    """``path`` and every folder below it that is not hidden, sorted at each level.

    One that is reached twice, by a link, comes once.
    """
    seen: set[str] = set()
    for home, inside, _ in os.walk(path, followlinks=True):
        real = os.path.realpath(home)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        yield Path(home)


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
