"""read: a model from wherever it is, told apart by what it holds, not by what it is called.

| source | by | reader |
|---|---|---|
| NIR file | HDF5 with ``/node`` | `spikeport.converters.read.nir` |
| lava-dl ``.net`` file | HDF5 with ``/layer`` | `spikeport.converters.read.netx.read` |
| ONNX file | the fields of a protobuf ModelProto | `spikeport.converters.read.onnx.read` |
| live torch module | its class | `spikeport.converters.read.modules.read` |
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import h5py

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.network import Network, Shape
from spikeport.errors import ModelError

if TYPE_CHECKING:
    from torch.nn import Module

    from spikeport.converters.read.modules.read import Sample

Kind: TypeAlias = Literal["nir", "netx", "onnx", "arrays", "archive", "deployment", "unknown"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"\x93NUMPY", "arrays"),
    (b"PK\x03\x04", "archive"),
    (b"\x89SPK\r\n\x1a\n", "deployment"),
)
_BY_NAME: dict[str, Kind] = {".nir": "nir", ".net": "netx", ".onnx": "onnx"}
# ModelProto of onnx.proto3: ir_version and model_version are varints (wire type 0), all others have a length (2).
_IR_VERSION = 0x08
_MODEL_TAGS = frozenset({0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72})
_LATEST_IR = 0x3F


@overload
def read(
    source: Module, sample: Sample, dialect: None = None, dt: float | None = None, axes: str | None = None
) -> Network: ...


@overload
def read(
    source: str | Path,
    sample: None = None,
    dialect: str | None = None,
    dt: float | None = None,
    *,
    input_shape: Shape | None = None,
) -> Network | ChipNetwork: ...


def read(
    source: str | Path | Module,
    sample: Sample | None = None,
    dialect: str | None = None,
    dt: float | None = None,
    axes: str | None = None,
    input_shape: Shape | None = None,
) -> Network | ChipNetwork:
    """Read a model.

    Args:
        source: a file's path, or a live torch module (snnTorch, Norse, Sinabs, SpikingJelly, Rockpool, plain torch).
        sample: of a module: an input with which its wiring is traced (any numbers, the shape matters).
        dialect: of a NIR file: what its framework means by its nodes (`spikeport.converters.read.dialects`).
        dt: seconds per step, of NIR files and modules that do not say it.
        axes: of a module: what the sample's leading axes are, where that is open: "TB", "BT", "B" or "T".
        input_shape: of a ``.net`` file without an input layer: (C, H, W) or (n,).

    Returns:
        A Network; of a lava-dl ``.net`` file, whose numbers are the chip's own integers, a ChipNetwork.

    Raises:
        ModelError: not a model, damaged, or an option that does not belong to it.
        UnsupportedNodeError, DialectError: see the readers.
    """
    if not isinstance(source, str | Path):
        if input_shape is not None:
            raise ModelError("an input shape belongs to a .net file; a module has its sample.")
        return _module(source, sample, dialect, dt, axes)
    path = Path(source)
    if sample is not None or axes is not None:
        raise ModelError(f"{path.name}: a sample (and its axes) traces a live module; a file needs none.")
    kind = kind_of_file(path)
    if kind != "nir" and (dialect, dt) != (None, None):
        raise ModelError(f"{path.name}: a dialect and a dt belong to a NIR file; {_WHAT[kind]} needs neither.")
    if kind != "netx" and input_shape is not None:
        raise ModelError(f"{path.name}: an input shape belongs to a .net file; {_WHAT[kind]} has its own.")
    match kind:
        case "nir":
            from spikeport.converters.read.nir import read_nir

            return read_nir(path, dialect, dt)
        case "netx":
            from spikeport.converters.read.netx.read import read_netx

            return read_netx(path, input_shape)
        case "onnx":
            from spikeport.converters.read.onnx.read import read_onnx

            return read_onnx(path)
    raise ModelError(f"{path.name} is {_WHAT[kind]}, not a model. {_WAY[kind]}")


_WHAT: dict[Kind, str] = {
    "nir": "a NIR file",
    "netx": "a lava-dl .net file",
    "onnx": "an ONNX file",
    "arrays": "an array file (.npy)",
    "archive": "a zip archive (.npz arrays, or a torch checkpoint)",
    "deployment": "a compiled deployment (.spk)",
    "unknown": "neither NIR, nor ONNX, nor a lava-dl .net file",
}
_READABLE = "Models are .nir, .onnx and lava-dl .net files, and live torch modules."
_WAY: dict[Kind, str] = {
    "arrays": "Arrays are data for a run.",
    "archive": "A torch checkpoint is never unpickled: build the module, load its weights, and read the module.",
    "deployment": "Load it with spikeport.Deployment.load.",
    "unknown": _READABLE,
}


def _module(source: Any, sample: Sample | None, dialect: str | None, dt: float | None, axes: str | None) -> Network:
    from torch.nn import Module

    if not isinstance(source, Module):
        raise ModelError(f"a {type(source).__name__} is no model. {_READABLE}")
    if dialect is not None:
        raise ModelError(f"{type(source).__name__}: a live module says itself what it means; leave the dialect out.")
    if sample is None:
        raise ModelError(f"{type(source).__name__}: a live module is read by running it once: give a sample input.")
    from spikeport.converters.read.modules.read import read_module

    return read_module(source, sample, dt=dt, axes=axes)


def kind_of_file(path: Path) -> Kind:
    """What a file is by its content; by its name where the content tells nothing (empty or damaged at the start).

    Raises:
        ModelError: no such file, or one that cannot be opened.
    """
    if not path.is_file():
        raise ModelError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ModelError(f"{path}: cannot be opened ({error.strerror or error}). Check the path.") from error
    if start.startswith(_HDF5):
        return _kind_of_hdf5(path)
    if _is_onnx(start):
        return "onnx"
    named = _BY_NAME.get(path.suffix, "unknown")
    return next((kind for magic, kind in _STARTS if start.startswith(magic)), named)


def _kind_of_hdf5(path: Path) -> Kind:
    """NIR keeps its graph in ``node``, lava-dl its layers in ``layer``; what has neither gets NIR's message."""
    try:
        with h5py.File(path, "r") as file:
            return "netx" if "layer" in file and "node" not in file else "nir"
    except (OSError, KeyError, RuntimeError, ValueError):
        return _BY_NAME.get(path.suffix, "nir")


def _is_onnx(start: bytes) -> bool:
    """The first two fields of a serialised ModelProto: ir_version, a small number, and another that it knows."""
    return len(start) > 2 and start[0] == _IR_VERSION and 0 < start[1] <= _LATEST_IR and start[2] in _MODEL_TAGS
