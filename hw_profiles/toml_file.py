"""Reading a TOML file that a user may have written, or may have pointed at by mistake."""

from __future__ import annotations

import sys
from pathlib import Path

from spikeport.errors import ProfileError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST_BYTES = 1 << 20


def read_toml(path: Path) -> dict[str, object]:
    """The file's tables.

    Raises:
        ProfileError: the file is missing, unreadable, larger than 1 MiB, not UTF-8, or not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ProfileError(f"profile {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ProfileError(f"profile {str(path)!r} is no file name: {error}") from None
    if len(content) > _LARGEST_BYTES:
        raise ProfileError(f"profile {path} is larger than 1 MiB; a profile is a few kilobytes of TOML")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProfileError(f"profile {path} is not TOML: {error}") from None
