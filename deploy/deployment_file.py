"""The ``.spk`` file: one deployment, versioned and checksummed, arrays and JSON, no pickle.

======  =====  =============================================================================================
offset  bytes  content
======  =====  =============================================================================================
0       8      magic ``\\x89SPK\\r\\n\\x1a\\n`` (breaks visibly where a transfer rewrites line ends or drops bit 7)
8       32     SHA-256 of everything that follows
40      4      format version, little-endian
44      ...    safetensors: all arrays, and under ``__metadata__`` the JSON ``manifest`` with everything else
======  =====  =============================================================================================

The first 44 bytes keep this form in every later version. The same deployment always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as tensors

from spikeport.converters.write.atomic import atomic_write
from spikeport.deploy.consistency import check
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.records import Arrays, NonsenseError, from_plain, to_plain
from spikeport.errors import DataError, DeploymentFileError, ProfileError

MAGIC = b"\x89SPK\r\n\x1a\n"
VERSION = 2
"""2: sigma-delta units. A file of version 1 has none, and fields it lacks have their defaults."""
HEADER = 44
MAX_BYTES = 8 << 30


def save(deployment: Deployment, path: Path) -> None:
    """Write ``deployment`` to ``path``, whole or not at all.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    content = to_bytes(deployment)
    with atomic_write(path) as file:
        file.write(content)


def load(path: Path) -> Deployment:
    """Read a deployment.

    Raises:
        DeploymentFileError: missing, damaged, of a newer version, no deployment, or one that makes no sense.
    """
    try:
        if not path.is_file():
            raise DeploymentFileError(f"{path} {'is not a file' if path.exists() else 'does not exist'}")
        if path.stat().st_size > MAX_BYTES:
            raise DeploymentFileError(f"{path} has {path.stat().st_size} bytes, more than the limit of {MAX_BYTES}")
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise DeploymentFileError(f"{path} cannot be read: {error}") from error
    return from_bytes(content, str(path))


def is_deployment(path: Path) -> bool:
    """Whether the file claims to be a deployment; False where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def to_bytes(deployment: Deployment) -> bytes:
    """The file's content."""
    arrays: Arrays = {}
    plain = to_plain(deployment, "deployment", arrays)
    manifest = json.dumps(plain, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    body = VERSION.to_bytes(4, "little") + tensors.save(arrays, metadata={"manifest": manifest})
    return MAGIC + hashlib.sha256(body).digest() + body


def from_bytes(content: bytes, name: str = "the deployment") -> Deployment:
    """The deployment in ``content``; ``name`` is how errors call it.

    Raises:
        DeploymentFileError: as `load`.
    """
    _check_header(content, name)
    body = content[HEADER:]
    try:
        plain = json.loads(_manifest(body))
        arrays: dict[str, np.ndarray[Any, Any]] = tensors.load(body)
        deployment: Deployment = from_plain(Deployment, plain, "deployment", arrays)
        check(deployment)
    except (NonsenseError, DataError, ProfileError) as error:
        raise DeploymentFileError(f"{name} is not a usable deployment: {error}") from error
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise DeploymentFileError(f"{name} is not a usable deployment: {type(error).__name__} ({error})") from error
    return deployment


def _check_header(content: bytes, name: str) -> None:
    if not content.startswith(MAGIC):
        raise DeploymentFileError(
            f"{name} is not a spikeport deployment; `spikeport compile` makes one from a .nir file"
        )
    if hashlib.sha256(content[40:]).digest() != content[8:40] or len(content) < HEADER:
        raise DeploymentFileError(f"{name} is damaged (checksum); copy it again or compile it anew")
    version = int.from_bytes(content[40:HEADER], "little")
    if version > VERSION or version < 1:
        raise DeploymentFileError(
            f"{name} has format version {version}, this spikeport reads up to version {VERSION}; "
            "update spikeport or compile the model anew"
        )


def _manifest(body: bytes) -> str:
    """The JSON text in the safetensors header: 8 bytes of length, little-endian, then JSON."""
    length = int.from_bytes(body[:8], "little")
    if length > len(body) - 8:
        raise ValueError(f"a header of {length} bytes in a file of {len(body)}")
    manifest = json.loads(body[8 : 8 + length])["__metadata__"]["manifest"]
    if not isinstance(manifest, str):
        raise ValueError("the manifest is no text")
    return manifest
