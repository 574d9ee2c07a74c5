"""How kernels are compiled: without Python's lock, and kept on disk in the user's cache folder.

numba looks at the date of a kernel's own file only, not at those of the kernels it calls and of its constants; so the
folder's name holds a hash of all of them, and no old machine code can outlive a change.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import numba
from numpy.typing import NDArray

from spikeport.converters import arithmetic

Array: TypeAlias = NDArray[Any]
"""An array in a kernel; numba compiles the kernel for each element type that it meets."""
Whole: TypeAlias = Any
"""An integer in a kernel, of whatever width: NumPy's integers and Python's are one to numba, and two to mypy."""

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])
_LOG = logging.getLogger("spikeport")


def kernel(function: _Kernel) -> _Kernel:
    """Compile ``function`` for each combination of argument types when it is first called with it."""
    outside = numba.config.CACHE_DIR  # type: ignore[attr-defined]  # numba sets its names when it is imported
    try:
        numba.config.CACHE_DIR = str(cache_folder())  # type: ignore[attr-defined]
        return cast("_Kernel", numba.njit(nogil=True, cache=True)(function))
    finally:
        numba.config.CACHE_DIR = outside  # type: ignore[attr-defined]


@cache
def cache_folder() -> Path:
    """Where machine code is kept: SPIKEPORT_CACHE or NUMBA_CACHE_DIR, else the system's place for caches.

    Where that cannot be written, a folder that ends with the process. Says so where nothing has been compiled yet.
    """
    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(arithmetic.__file__)]
    name = f"kernels-{version('spikeport')}-{hashlib.sha256(b''.join(f.read_bytes() for f in files)).hexdigest()[:12]}"
    try:
        folder = _user_cache() / name
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        writable = False
    if not writable:
        folder = Path(tempfile.mkdtemp(prefix="spikeport-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if not any(folder.rglob("*.nbi")):
        _LOG.warning("compiling the simulator's kernels for this machine, once: about half a minute (%s)", folder)
    return folder


def _user_cache() -> Path:
    if chosen := os.environ.get("SPIKEPORT_CACHE") or numba.config.CACHE_DIR:  # type: ignore[attr-defined]
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "spikeport" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "spikeport"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spikeport"
