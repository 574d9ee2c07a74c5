"""Making lava-nc 0.10.0 importable and usable beside a current Python and numpy, without touching its files.

lava-nc was archived in 2026 and will not be mended upstream. Four things stand in the way; each is met in memory,
before or right after lava's first import:

1. Python >= 3.11 refuses `ByteEncoder()` as a dataclass default (`lava/magma/compiler/var_model.py`), so nothing of
   lava can be imported. The class is made hashable while that one module loads.
2. `lava/magma/runtime/message_infrastructure/multiprocessing.py` calls ``multiprocessing.set_start_method("fork")``,
   which raises if anybody has chosen a method before.
3. `ReshapePort` passes ``newshape=`` to `numpy.reshape`: deprecated since numpy 2.1, gone in 2.4.
4. `PyConvModelFixed` keeps padding, stride, dilation, kernel size and groups as int8; under numpy >= 2 an image of 128
   pixels or more overflows.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.machinery
import importlib.util
import multiprocessing
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.errors import BackendError

INSTALL = (
    f"{sys.executable} -m pip install asteval && "
    f"{sys.executable} -m pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
)
"""Two steps, because no single pip command can install a package whose metadata forbids this Python and this numpy."""

_ENCODERS = "lava.magma.compiler.var_model"
_MESSAGES = "lava.magma.runtime.message_infrastructure.multiprocessing"


def installed() -> bool:
    """Whether lava-nc is there; nothing is imported."""
    spec = importlib.util.find_spec("lava")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return bool(importlib.machinery.PathFinder.find_spec("magma", places)) if places else False


def loihi_compiler_installed() -> bool:
    """Whether Intel's compiler for Loihi hardware can be imported; lava-nc itself does not contain it."""
    if not installed():
        return False
    prepare()
    try:
        importlib.import_module("lava.magma.compiler.subcompilers.nc.ncproc_compiler")
    except ImportError:
        return False
    return True


@functools.cache
def prepare(convolution: bool = False) -> None:
    """Make ``import lava`` work in this program; call it before the first one.

    Args:
        convolution: also load and mend Lava's Conv, which takes a second.

    Raises:
        BackendError: lava-nc is not installed, or this program has chosen a start method that Lava cannot use.
    """
    if not installed():
        raise BackendError(f"Lava is not installed. Install it with: {INSTALL}")
    _import_with_hashable_encoders()
    _import_after_start_method()
    _reshape_without_newshape()
    if convolution:
        _widen_convolution_parameters()


def _import_with_hashable_encoders() -> None:
    if sys.version_info < (3, 11) or _ENCODERS in sys.modules:
        return
    genuine = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        if cls is None:
            return functools.partial(dataclass, **options)
        if (cls.__module__, cls.__name__) == (_ENCODERS, "ByteEncoder"):
            options["unsafe_hash"] = True
        return genuine(cls, **options)

    dataclasses.dataclass = dataclass
    try:
        importlib.import_module(_ENCODERS)
    finally:
        dataclasses.dataclass = genuine


def _import_after_start_method() -> None:
    if _MESSAGES in sys.modules:
        return
    chosen = multiprocessing.get_start_method(allow_none=True)
    if chosen not in (None, "fork"):
        raise BackendError(
            f"Lava needs the start method 'fork' for the whole program, and this program has chosen {chosen!r}. "
            "Leave the choice to Lava, or run it in a program of its own, as `spikeport run --backend lava` does."
        )
    # "No method yet" is what lava expects to find; it sets "fork" itself.
    multiprocessing.set_start_method(None, force=True)
    importlib.import_module(_MESSAGES)


def _reshape(data: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    return data.reshape(shape)


def _reshape_without_newshape() -> None:
    from lava.magma.core.process.ports.ports import ReshapePort

    def forward(port: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
        return functools.partial(_reshape, shape=port.shape)

    def backward(port: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
        return functools.partial(_reshape, shape=port.old_shape)

    ReshapePort.get_transform_func_fwd = forward
    ReshapePort.get_transform_func_bwd = backward


def _widen_convolution_parameters() -> None:
    from lava.magma.core.model.py.type import LavaPyType
    from lava.proc.conv.models import AbstractPyConvModel

    for name in ("kernel_size", "stride", "padding", "dilation", "groups"):
        setattr(AbstractPyConvModel, name, LavaPyType(np.ndarray, np.int32, precision=8))
