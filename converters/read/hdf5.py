"""Safe reading of HDF5 model files: everything is bounded before it is allocated, and no link leaves the file.

Nothing here knows a format. Whatever the HDF5 library says about a damaged file ends in one ModelError.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import NDArray

from spikeport.converters.read.file_bytes import MAX_BYTES, file_bytes
from spikeport.converters.read.heap_check import heaps_are_sound, texts_fit
from spikeport.errors import ModelError

Field: TypeAlias = "NDArray[Any] | str"

MAX_NODES = 20_000
MAX_NAME = 512
MAX_RANK = 8
# Deflate, the densest filter HDF5 ships with, cannot expand by more than 1032.
MAX_EXPANSION = 1100
_WHAT_TO_DO = "Export the model again, or check that the file was copied completely."


def read_bytes(path: Path) -> bytes:
    """The whole file, if it is not larger than a model can be and its table of texts can be walked.

    Raises:
        ModelError: no such file, too large, or damaged.
    """
    data = file_bytes(path)
    if not heaps_are_sound(data):
        raise ModelError(f"{path.name}: not a readable HDF5 file, or damaged (its table of texts). {_WHAT_TO_DO}")
    return data


@contextmanager
def opened(path: Path, data: bytes) -> Iterator[h5py.File]:
    """The file in ``data``; whatever h5py raises on damaged files becomes one ModelError."""
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            yield file
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


class Hdf5:
    """One pass over a file; counts declared bytes so that their sum stays bounded.

    Attributes:
        name: the file's, for messages.
        kind: what a file of this format is called, "NIR file".
        data: its bytes.
        size: their number, at least 1.
        bytes: declared so far.
    """

    def __init__(self, name: str, kind: str, data: bytes) -> None:
        """Start with nothing declared."""
        self.name = name
        self.kind = kind
        self.data = data
        self.size = max(len(data), 1)
        self.bytes = 0

    def refuse(self, what: str) -> ModelError:
        """The error for ``what``, naming the file and what to do."""
        return ModelError(f"{self.name}: {what}. {_WHAT_TO_DO}")

    def item(self, parent: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """A member of ``parent`` that lies in this very file."""
        link = parent.get(name, getlink=True)
        if link is None:
            raise self.refuse(f"'{name}' is missing in '{parent.name}': not a {self.kind}, or one whose writing failed")
        if not isinstance(link, h5py.HardLink):
            raise self.refuse(f"'{name}' is a link to somewhere else, which is never followed")
        return parent[name]

    def group(self, parent: h5py.Group, name: str) -> h5py.Group:
        """A member that is a group."""
        item = self.item(parent, name)
        if not isinstance(item, h5py.Group):
            raise self.refuse(f"'{name}' is not a group")
        return item

    def names(self, group: h5py.Group) -> list[str]:
        """Names of all members, each a readable text."""
        if len(group) > MAX_NODES:
            raise self.refuse(f"'{group.name}' has {len(group)} members, more than {MAX_NODES}")
        names = list(group)
        for name in names:
            if len(name) > MAX_NAME or not name.isprintable():
                raise self.refuse(f"'{group.name}' has a member whose name is no readable text: {name[:40]!r}")
        return names

    def dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """A dataset whose declared size is within the limits and is really stored in this file."""
        item = self.item(group, name)
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
        """Numbers, or one text."""
        item = self.dataset(group, name)
        if item.dtype.kind in "fiub":
            return np.asarray(item[()])
        if item.size == 1 and (item.dtype.kind == "S" or h5py.check_string_dtype(item.dtype) is not None):
            return decode(np.asarray(item[()], dtype=object).item())
        raise self.refuse(f"'{group.name}/{name}' is of type {item.dtype}, neither numbers nor text")

    def text(self, group: h5py.Group, name: str) -> str:
        """A short text."""
        value = self.value(group, name)
        if not isinstance(value, str) or len(value) > MAX_NAME:
            raise self.refuse(f"'{group.name}/{name}' should be a short text")
        return value


def decode(value: object) -> str:
    """Text from what h5py gives, bytes or str."""
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
