"""A model file's bytes, all of them, and no more memory than the file is long."""

from __future__ import annotations

import os
from pathlib import Path

from spikeport.errors import ModelError

MAX_BYTES = 2 << 30


def file_bytes(path: Path) -> bytes:
    """The whole file, if it is not larger than a model can be.

    Raises:
        ModelError: no such file, or too large.
    """
    try:
        with path.open("rb") as stream:
            # A read of n bytes takes memory for n bytes, whatever the file holds.
            size = min(os.fstat(stream.fileno()).st_size, MAX_BYTES)
            data = stream.read(size + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be opened ({error.strerror or error}). Check the path.") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path.name}: larger than {MAX_BYTES >> 30} GiB, the limit for a model file.")
    return data
