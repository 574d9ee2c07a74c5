"""Reading what commands are given: models and data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.deploy.codec import Codec
from spikeport.deploy.data import Data, load_data
from spikeport.deploy.encode import Encoder, check_shape
from spikeport.errors import DataError, DeploymentFileError, DialectError, ModelError
from spikeport.models.data.events import Binning
from spikeport.models.data.npz import Archive

if TYPE_CHECKING:
    from spikeport.converters.chip_network import ChipNetwork
    from spikeport.converters.network import Network, Shape
    from spikeport.deploy.deployment import Deployment

SUSPICIOUS = 20
"""Samples that are hardly of one class by chance."""


def read_model(path: Path, dialect: str | None, dt: float | None, shape: str | None = None) -> Network | ChipNetwork:
    """A model from any file that holds one, known by its content; ``shape``: of its input, where it does not say.

    Raises:
        ModelError: the file is missing, a folder, a deployment, data, or cannot be understood.
        DataError: ``shape`` is none.
    """
    from spikeport.converters.read.source import kind_of_file, read

    kind = kind_of_file(path)
    if kind == "deployment":
        raise ModelError(f"{path} is a compiled deployment; this needs the trained network (.nir, .onnx, .net)")
    if kind in ("arrays", "archive"):
        raise ModelError(f"{path} is {_foreign_kind(path)}; this needs the trained network (.nir, .onnx, .net)")
    return read(path, dialect=dialect, dt=dt, input_shape=None if shape is None else _sizes("--input-shape", shape))


def read_network(path: Path, dialect: str | None, dt: float | None) -> Network:
    """A trained network, in floats.

    Raises:
        ModelError: as `read_model`; or the file holds the chip's integers.
    """
    from spikeport.converters.chip_network import ChipNetwork

    model = read_model(path, dialect, dt)
    if isinstance(model, ChipNetwork):
        raise ModelError(
            f"{path} is a lava-dl .net file: its numbers are the chip's own integers, and there is no float network "
            f"behind them. Compile it, and run the deployment: spikeport compile {path} --target loihi2 -o model.spk"
        )
    return model


def read_compilable(
    path: Path, dialect: str | None, dt: float | None, shape: str | None = None
) -> Network | ChipNetwork:
    """What `compile` takes: a trained network that spikes, or an integer program.

    Raises:
        ModelError: as `read_model`.
        UnsupportedOnChipError: it is a conventional network; the message says how to convert it.
    """
    from spikeport.converters.network import Network
    from spikeport.converters.passes.lower import refuse_conventional

    model = read_model(path, dialect, dt, shape)
    if isinstance(model, Network):
        refuse_conventional(model, str(path))
    return model


def shape_of_input(model: Network | ChipNetwork) -> Shape:
    """Shape of one step of one sample."""
    from spikeport.converters.network import Network

    (name, *_) = model.inputs
    return model.shapes[name] if isinstance(model, Network) else model.populations[name].shape


def read_spiking(path: Path, dialect: str | None, dt: float | None) -> Network:
    """A trained network that spikes.

    Raises:
        ModelError: as `read_network`.
        UnsupportedOnChipError: it is a conventional network; the message says how to convert it.
    """
    from spikeport.converters.passes.lower import refuse_conventional

    network = read_network(path, dialect, dt)
    refuse_conventional(network, str(path))
    return network


def read_as_compiled(path: Path, deployment: Deployment, dialect: str | None, dt: float | None) -> Network:
    """The trained network in the dialect that the deployment was compiled under, where none is named.

    Raises:
        ModelError, UnsupportedOnChipError: as `read_spiking`.
        DataError: an ONNX file; deployments come from what `convert` made of it.
    """
    from spikeport.converters.read.source import kind_of_file

    if kind_of_file(path) == "onnx":
        raise DataError(
            f"{path} is a conventional network, the deployment was compiled from a spiking one. Compare the .nir file "
            "that convert wrote; how that fares against the conventional network, convert has said."
        )
    made = deployment.provenance.dialect
    if (dialect, dt) != (None, None) or not made or kind_of_file(path) != "nir":
        return read_spiking(path, dialect, dt)
    try:
        network = read_spiking(path, None, None)
    except DialectError:
        return read_spiking(path, made, None)
    return network if network.dialect == made else read_spiking(path, made, None)


def read_deployment(path: Path) -> Deployment:
    """A deployment.

    Raises:
        DeploymentFileError: missing, damaged, newer, or something else.
    """
    from spikeport.converters.read.source import kind_of_file
    from spikeport.deploy.deployment_file import load

    if path.is_file() and kind_of_file(path) in ("nir", "netx", "onnx"):
        raise DeploymentFileError(
            f"{path} is a trained network; compile it first: spikeport compile {path} --target ..."
        )
    return load(path)


def _foreign_kind(path: Path) -> str:
    """What a file of arrays, which users take for a model, is."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        return "an array file (.npy): data for --data"
    held = _arrays_in(path)
    return f"an archive of arrays (.npz) that holds {held}: data for --data" if held else _ZIP


_ZIP = "a zip archive; a torch checkpoint is never unpickled: spikeport.read(module) takes the live module instead"


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
    chosen = data.first(samples)
    return replace(chosen, findings=(*chosen.findings, *_one_class(chosen.labels)))


def _one_class(labels: NDArray[np.int64] | None) -> Iterator[Finding]:
    """A warning where the labels cannot tell good answers from constant ones: most often a file sorted by class."""
    if labels is not None and len(labels) >= SUSPICIOUS and len(np.unique(labels)) == 1:
        message = f"all {len(labels)} samples have the label {labels[0]}, so no accuracy on them means anything."
        yield Finding("one-class", "warning", "", message, "Shuffle the file, or take samples of every class.")


def make_binning(bin: float, steps: int | None, sensor: str | None, counts: bool, time_unit: float) -> Binning:
    """How events become spikes, from the command line's options.

    Raises:
        DataError: a number out of range, or a sensor not written as 2x34x34.
    """
    if sensor is None:
        return Binning(bin, steps, None, counts, time_unit)
    sizes = _sizes("--sensor", sensor)
    if len(sizes) != 3:
        raise DataError(f"--sensor {sensor} must be polarities x height x width, for example 2x34x34")
    polarities, height, width = sizes
    return Binning(bin, steps, (polarities, height, width), counts, time_unit)


def _sizes(option: str, text: str) -> Shape:
    """2x34x34 as numbers.

    Raises:
        DataError: they are not written so, or out of range.
    """
    sizes = text.lower().split("x")
    if not all(size.isdecimal() and 0 < int(size) < 2**20 for size in sizes):
        raise DataError(f"{option} {text} must be sizes with an x between, for example 2x34x34")
    return tuple(map(int, sizes))


def make_codec(encode: str | None, decode: str | None, network: Network | ChipNetwork) -> Codec | None:
    """The codec asked for, or that the network was made for, its other half the default; None where there is neither.

    Raises:
        DataError: no such code.
    """
    if not (encode or decode or network.encode or network.decode):
        return None
    from spikeport.deploy.compile import codec_for

    return codec_for(network, encode, decode)
