"""Initialisers as arrays: bounded before anything is allocated, external files only from the model's own folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from spikeport.converters.read.file_bytes import MAX_BYTES
from spikeport.errors import ModelError

Values = NDArray[Any]

# No chip holds more: 2 GiB is also protobuf's own limit for the model file itself.
MAX_ELEMENTS = 1 << 28
MAX_RANK = 8

# Bytes per element of what external files may hold; sub-byte types are packed into them and stay inside the model.
_WIDTH: dict[int, int] = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2,
    TensorProto.INT8: 1, TensorProto.INT16: 2, TensorProto.INT32: 4, TensorProto.INT64: 8,
    TensorProto.UINT8: 1, TensorProto.UINT16: 2, TensorProto.UINT32: 4, TensorProto.UINT64: 8, TensorProto.BOOL: 1,
}  # fmt: skip
_INSIDE_ONLY: set[int] = {TensorProto.INT4, TensorProto.UINT4}


class Tensors(Mapping[str, Values]):
    """The initialisers of a graph by name, read when they are asked for.

    Attributes:
        read: bytes of external data read so far.
    """

    def __init__(self, protos: Iterable[TensorProto], folder: Path) -> None:
        self._protos: dict[str, TensorProto] = {}
        self._arrays: dict[str, Values] = {}
        self._folder = folder
        self.read = 0
        for proto in protos:
            if proto.name in self._protos:
                raise ModelError(f"two initialisers have the name '{proto.name}'. Export the model again.")
            self._protos[proto.name] = proto

    def __getitem__(self, name: str) -> Values:
        if name not in self._arrays:
            self._arrays[name] = self._read(name)
        return self._arrays[name]

    def _read(self, name: str) -> Values:
        proto = self._protos[name]
        if proto.data_location != TensorProto.EXTERNAL:
            return array_of(proto, f"initialiser '{name}'")
        _check_size(proto, f"initialiser '{name}'")
        data = _external(proto, self._folder)
        self.read += len(data)
        if self.read > MAX_BYTES:
            raise ModelError(f"the external data are larger than {MAX_BYTES >> 30} GiB in all, the limit for a model.")
        return _array(TensorProto(dims=proto.dims, data_type=proto.data_type, raw_data=data), f"initialiser '{name}'")

    def __iter__(self) -> Any:
        return iter(self._protos)

    def __len__(self) -> int:
        return len(self._protos)


def array_of(proto: TensorProto, what: str) -> Values:
    """A tensor that stands in the file itself. Half precision becomes float32, which holds it exactly.

    Raises:
        ModelError: data that do not fit the shape, too large, or of a type that no weight has.
    """
    if proto.data_location == TensorProto.EXTERNAL:
        raise ModelError(f"{what} lies in an external file, which only initialisers may. Export the model again.")
    _check_size(proto, what)
    return _array(proto, what)


def _check_size(proto: TensorProto, what: str) -> None:
    dims = tuple(proto.dims)
    if proto.data_type not in _WIDTH and proto.data_type not in _INSIDE_ONLY:
        kinds = {number: name for name, number in TensorProto.DataType.items()}
        raise ModelError(f"{what} has the type {kinds.get(proto.data_type, proto.data_type)}; numbers are needed.")
    if len(dims) > MAX_RANK or any(n < 0 for n in dims) or prod(dims) > MAX_ELEMENTS:
        raise ModelError(f"{what} claims the shape {dims}; at most {MAX_ELEMENTS:,} elements on {MAX_RANK} axes count.")


def _array(proto: TensorProto, what: str) -> Values:
    try:
        values = np.asarray(numpy_helper.to_array(proto))
    except (ValueError, TypeError, KeyError, OverflowError, IndexError) as problem:
        raise ModelError(f"{what} does not hold what its shape {tuple(proto.dims)} asks for: {problem}") from problem
    return values.astype(np.float32) if values.dtype.name in ("bfloat16", "float16") else values


def _external(proto: TensorProto, folder: Path) -> bytes:
    """The bytes of an external tensor.

    Raises:
        ModelError: a place outside the model's folder, no such file, or not as many bytes as the shape needs.
    """
    what = f"initialiser '{proto.name}'"
    entries = {entry.key: entry.value for entry in proto.external_data}
    path = _inside(entries.get("location", ""), folder, what)
    size = prod(proto.dims) * _WIDTH.get(proto.data_type, 0)
    try:
        offset, length = int(entries.get("offset") or 0), int(entries.get("length") or size)
    except ValueError as problem:
        raise ModelError(f"{what}: offset and length of its external data are no numbers.") from problem
    if length != size or offset < 0:
        raise ModelError(f"{what}: its shape {tuple(proto.dims)} needs {size} bytes, its entry says {length}.")
    try:
        with path.open("rb") as stream:
            # A read of n bytes takes memory for n bytes, whatever the file holds.
            missing = offset + size - os.fstat(stream.fileno()).st_size
            if missing > 0:
                raise ModelError(f"{what}: {path.name} ends {missing} bytes too early. Copy both files completely.")
            stream.seek(offset)
            return stream.read(size)
    except OSError as problem:
        raise ModelError(f"{what}: its data in {path.name} cannot be read: {problem}") from problem


def _inside(location: str, folder: Path, what: str) -> Path:
    """The regular file at ``location``, which must not lead out of ``folder``, not even through a link."""
    parts = (PurePosixPath(location), PureWindowsPath(location))
    if not location or "\0" in location or any(p.is_absolute() or p.drive or ".." in p.parts for p in parts):
        raise ModelError(f"{what} asks for data in {location!r:.100}; only files in the model's own folder are read.")
    try:
        home, path = folder.resolve(), (folder / location).resolve()
        usable = path.is_relative_to(home) and path.is_file()
    except (OSError, RuntimeError):
        usable = False
    if not usable:
        raise ModelError(
            f"{what} needs the file {location!r:.100} in the model's own folder, which has none. Put it there."
        )
    return path
