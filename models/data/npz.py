"""Reading ``.npz`` and ``.npy`` files without trusting them.

Every size that a header declares is checked against the file and against a bound before memory is asked for; object
arrays (pickle) are never read.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from spikeport.errors import DataError

MAX_BYTES = 8 << 30
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    RuntimeError,
)
Header: TypeAlias = tuple[tuple[int, ...], np.dtype[Any]]


class Archive:
    """The arrays of one file, by name, each read when it is asked for.

    A ``.npy`` file counts as an archive with the one array ``input``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _readable(path):
            with path.open("rb") as file:
                magic = file.read(8)
            self._zip = magic.startswith(b"PK")
            if not self._zip and not magic.startswith(npy.MAGIC_PREFIX):
                raise DataError(f"{path} is neither .npz nor .npy: it starts with {magic!r}")
            self.names = self._members() if self._zip else ("input",)

    def array(self, name: str) -> NDArray[Any]:
        """Read one array.

        Raises:
            DataError: damaged, larger than `MAX_BYTES`, its size not the declared one, or with Python objects in it.
        """
        with _readable(self.path, name), self._open(name) as (file, size):
            shape, dtype = _read_header(file)
            if dtype.hasobject:
                raise DataError(
                    f"{self.path}: array {name!r} holds Python objects (type {dtype}); save it as plain numbers"
                )
            payload, header = prod(shape) * dtype.itemsize, file.tell()
            if payload + header != size:
                raise DataError(
                    f"{self.path}: array {name!r} declares shape {shape} of {dtype}, {payload} bytes, "
                    f"but {max(size - header, 0)} bytes follow; the file is damaged"
                )
            if payload > MAX_BYTES:
                raise DataError(f"{self.path}: array {name!r} has {payload} bytes, more than the limit of {MAX_BYTES}")
            file.seek(0)
            return np.asarray(npy.read_array(file, allow_pickle=False))  # type: ignore[no-untyped-call]

    def _members(self) -> tuple[str, ...]:
        with zipfile.ZipFile(self.path) as archive:
            names = [info.filename for info in archive.infolist()]
        return tuple(dict.fromkeys(name.removesuffix(".npy") for name in names if name.endswith(".npy")))

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        if not self._zip:
            with self.path.open("rb") as file:
                yield file, self.path.stat().st_size
            return
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{name}.npy") as member:
            yield member, archive.getinfo(f"{name}.npy").file_size


def _read_header(file: IO[bytes]) -> Header:
    version = npy.read_magic(file)  # type: ignore[no-untyped-call]
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy format {version[0]}.{version[1]} is not supported")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)  # type: ignore[no-untyped-call]
    if any(length < 0 for length in shape) or dtype.itemsize == 0:
        raise ValueError(f"it declares shape {shape} of {dtype}, which no array has")
    return shape, dtype


@contextmanager
def _readable(path: Path, name: str = "") -> Iterator[None]:
    """Whatever goes wrong while reading becomes one DataError that names the file."""
    what = f"{path}: array {name!r}" if name else str(path)
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{what} cannot be read, the file may be damaged: {error}") from error
    except OSError as error:
        raise DataError(f"{what} cannot be read: {error.strerror or error}") from error
