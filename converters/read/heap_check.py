"""A look at HDF5's global heaps before the HDF5 library reads them.

Variable-length texts (every name in a NIR file) live in global heaps. The library walks a heap by the sizes that its
objects declare; a damaged size makes it walk in circles for ever, inside C code that nothing can interrupt. The format:
HDF5 File Format Specification 3.0, III.E "Global Heap", with 8-byte lengths as every NIR writer uses.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
# signature, version and padding (8 bytes), then the size of the whole collection (8 bytes)
_HEADER = 16
# index, reference count, padding, size
_OBJECT = struct.Struct("<HHIQ")
# length, address of the heap, index in it
_REFERENCE = struct.Struct("<IQI")


def heaps_are_sound(data: bytes) -> bool:
    """Whether every global heap in a file's bytes can be walked from its first object to its end."""
    return all(_walks_to_the_end(data, start) for start in _starts(data))


def texts_fit(data: bytes, offset: int | None, count: int) -> bool:
    """Whether the declared lengths of ``count`` texts are possible; the library allocates them unseen.

    Args:
        data: the file.
        offset: where the references (length, heap address, index) lie; None where they are not in one piece.
        count: how many.
    """
    if offset is None:
        return True
    if offset + count * _REFERENCE.size > len(data):
        return False
    references = _REFERENCE.iter_unpack(data[offset : offset + count * _REFERENCE.size])
    return all(length <= len(data) for length, _, _ in references)


def _starts(data: bytes) -> Iterator[int]:
    start = data.find(_SIGNATURE)
    while start >= 0:
        yield start
        start = data.find(_SIGNATURE, start + 1)


def _walks_to_the_end(data: bytes, start: int) -> bool:
    if start + _HEADER > len(data):
        return False
    (size,) = struct.unpack_from("<Q", data, start + 8)
    end = start + size
    if size < _HEADER or end > len(data):
        return False
    here = start + _HEADER
    while here + _OBJECT.size <= end:
        index, _, _, length = _OBJECT.unpack_from(data, here)
        # Object 0 is the free space that fills the rest; its length includes its own header.
        step = length if index == 0 else _OBJECT.size + (length + 7) // 8 * 8
        if step < _OBJECT.size or here + step > end:
            return False
        here += step
    return True
