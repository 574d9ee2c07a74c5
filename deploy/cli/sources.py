"""Reading what commands are given: models and data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikeport.deploy.codec import Codec
from spikeport.deploy.data import Data, load_data
from spikeport.deploy.encode import Encoder, check_shape
from spikeport.errors import DataError, DeploymentFileError, ModelError
from spikeport.models.data.events import Binning
from spikeport.models.data.npz import Archive

if TYPE_CHECKING:
    from spikeport.converters.network import Network, Shape
    from spikeport.deploy.deployment import Deployment


def read_network(path: Path, dialect: str | None, dt: float | None) -> Network:
    """A trained network.

    Raises:
        ModelError: the file is missing, a folder, a deployment, or cannot be understood.
    """
    from spikeport.converters.read.nir import read_nir
    from spikeport.deploy.deployment_file import is_deployment

    if not path.is_file():
        raise ModelError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
    if is_deployment(path):
        raise ModelError(f"{path} is a compiled deployment; this needs the trained network (.nir)")
    if kind := foreign_kind(path):
        raise ModelError(f"{path} is {kind}; this needs the trained network (.nir)")
    return read_nir(path, dialect, dt)


def read_deployment(path: Path) -> Deployment:
    """A deployment.

    Raises:
        DeploymentFileError: missing, damaged, newer, or something else.
    """
    from spikeport.deploy.deployment_file import load

    if path.suffix == ".nir" and path.is_file():
        raise DeploymentFileError(
            f"{path} is a trained network; compile it first: spikeport compile {path} --target ..."
        )
    return load(path)


def foreign_kind(path: Path) -> str:
    """What a file is that users take for a model; empty for anything else."""
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"\x93NUMPY"):
        return "an array file (.npy): data for --data"
    if start.startswith(b"PK"):
        held = _arrays_in(path)
        return f"an archive of arrays (.npz) that holds {held}: data for --data" if held else "a zip archive"
    return "a Lava .net file, which spikeport does not read; export the model to NIR" if path.suffix == ".net" else ""


def _arrays_in(path: Path) -> str:
    try:
        names = Archive(path).names
    except DataError:
        return ""
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def is_compiled(path: Path) -> bool:
    """Whether ``path`` is, or by its name should be, a deployment."""
    from spikeport.deploy.deployment_file import is_deployment

    return path.suffix == ".spk" or is_deployment(path)


def read_data(
    path: Path, split: str | None, binning: Binning, samples: int | None, shape: Shape, encoder: Encoder | None = None
) -> Data:
    """Data for an input of ``shape``, which also is the sensor's size where none is given.

    Raises:
        DataError: see `spikeport.deploy.data.load_data`; or, with an ``encoder``, shapes that do not fit, said with
            the shape the file has rather than that of a batch.
    """
    if binning.sensor is None and len(shape) == 3:
        binning = Binning(binning.bin, binning.steps, shape, binning.counts, binning.time_unit)
    data = load_data(path, split, binning)
    if encoder is not None:
        check_shape(encoder, data.input.shape, shape, data.shape)
    return data.first(samples)


def make_binning(bin: float, steps: int | None, sensor: str | None, counts: bool, time_unit: float) -> Binning:
    """How events become spikes, from the command line's options.

    Raises:
        DataError: a number out of range, or a sensor not written as 2x34x34.
    """
    if sensor is None:
        return Binning(bin, steps, None, counts, time_unit)
    sizes = sensor.lower().split("x")
    if len(sizes) != 3 or not all(size.isdecimal() and 0 < int(size) < 2**20 for size in sizes):
        raise DataError(f"--sensor {sensor} must be polarities x height x width, for example 2x34x34")
    polarities, height, width = map(int, sizes)
    return Binning(bin, steps, (polarities, height, width), counts, time_unit)


def make_codec(encode: str | None, decode: str | None, network: Network) -> Codec | None:
    """The codec asked for, its other half the network's default; None where nothing was asked for.

    Raises:
        DataError: no such code.
    """
    if encode is None and decode is None:
        return None
    from spikeport.deploy.compile import codec_for

    return codec_for(network, encode, decode)
