"""Frozen records to plain JSON and named arrays, and back, led by their annotations.

Reading trusts nothing: whatever does not have the annotated type is refused with the path at which it stands. Kinds of
records that explain themselves (profile, codec) have their own entry in a table.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.chip_network import Conv2d, Dense, Sparse
from spikeport.deploy.codec import Codec
from spikeport.hw_profiles.profile import Profile

Json: TypeAlias = Any
Arrays: TypeAlias = dict[str, NDArray[Any]]

_CHOICES: dict[type, str] = {Dense: "dense", Sparse: "sparse", Conv2d: "conv2d"}
"""Records that share a field: written with their kind, so that the reader can tell them apart."""

_INTEGERS = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


class NonsenseError(Exception):
    """Something that is not what its annotation says; the message starts with the path."""


def to_plain(value: object, path: str, arrays: Arrays) -> Json:
    """``value`` as JSON; its arrays go into ``arrays`` under their path (integers in the smallest type that fits).

    A NumPy scalar becomes a plain number; where an array is annotated, it comes back as one of no dimensions.
    """
    if isinstance(value, np.ndarray):
        arrays[path] = compact(value)
        return {"array": path}
    if isinstance(value, csr_array):
        for part in ("data", "indices", "indptr"):
            arrays[f"{path}/{part}"] = compact(getattr(value, part))
        return {"csr": path, "shape": [int(length) for length in value.shape]}
    if isinstance(value, Profile):
        return value.to_json()
    if isinstance(value, Codec):
        return value.as_dict()
    if is_dataclass(value):
        kind = {"kind": _CHOICES[type(value)]} if type(value) in _CHOICES else {}
        return kind | {f.name: to_plain(getattr(value, f.name), f"{path}/{f.name}", arrays) for f in fields(value)}
    if isinstance(value, Mapping):
        return [[key, to_plain(entry, f"{path}/{key}", arrays)] for key, entry in value.items()]
    if isinstance(value, tuple | list):
        return [to_plain(entry, f"{path}/{i}", arrays) for i, entry in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def compact(array: NDArray[Any]) -> NDArray[Any]:
    """C order; integers in the smallest integer type that holds them all."""
    ordered = np.array(array, order="C")
    if ordered.dtype.kind not in "iu" or ordered.size == 0:
        return ordered
    low, high = int(ordered.min()), int(ordered.max())
    return ordered.astype(next(kind for kind in _INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max))


def from_plain(hint: Any, plain: Json, path: str, arrays: Arrays) -> Any:
    """The value of type ``hint`` that `to_plain` wrote as ``plain``.

    Raises:
        NonsenseError: ``plain`` is not of that type.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint), plain, path, arrays)
    if origin in _GENERIC:
        return _GENERIC[origin](hint, plain, path, arrays)
    if hint in _SPECIAL:
        return _SPECIAL[hint](plain, path, arrays)
    if is_dataclass(hint) and isinstance(hint, type):
        return _record(hint, plain, path, arrays)
    if hint is float and type(plain) in (int, float):
        return float(plain)
    _require(type(plain) is hint, path, f"{_short(plain)} is no {getattr(hint, '__name__', hint)}")
    return plain


def _record(hint: type, plain: Json, path: str, arrays: Arrays) -> Any:
    _require(isinstance(plain, dict), path, f"{_short(plain)} is no {hint.__name__}")
    hints = _hints(hint)
    given = {key: entry for key, entry in plain.items() if not (key == "kind" and hint in _CHOICES)}
    fits = _needed(hint) <= set(given) <= set(hints)
    _require(fits, path, f"a {hint.__name__} has {', '.join(hints)}, not {', '.join(given)}")
    return hint(**{key: from_plain(hints[key], entry, f"{path}/{key}", arrays) for key, entry in given.items()})


def _union(hints: tuple[Any, ...], plain: Json, path: str, arrays: Arrays) -> Any:
    for hint in hints:
        if _could_be(hint, plain):
            return from_plain(hint, plain, path, arrays)
    raise NonsenseError(
        f"{path}: {_short(plain)} is none of {', '.join(getattr(h, '__name__', str(h)) for h in hints)}"
    )


def _could_be(hint: Any, plain: Json) -> bool:
    if hint in _CHOICES:
        return isinstance(plain, dict) and plain.get("kind") == _CHOICES[hint]
    if get_origin(hint) is np.ndarray:
        return isinstance(plain, dict | int | float) and not isinstance(plain, bool)
    return type(plain) is hint


def _literal(hint: Any, plain: Json, path: str, arrays: Arrays) -> Any:
    del arrays
    known = any(plain == choice and type(plain) is type(choice) for choice in get_args(hint))
    _require(known, path, f"{_short(plain)} is none of {get_args(hint)}")
    return plain


def _tuple(hint: Any, plain: Json, path: str, arrays: Arrays) -> tuple[Any, ...]:
    entries, hints = _list(plain, path), get_args(hint)
    if hints[-1] is Ellipsis:
        hints = (hints[0],) * len(entries)
    _require(len(hints) == len(entries), path, f"{len(entries)} entries instead of {len(hints)}")
    return tuple(from_plain(h, e, f"{path}/{i}", arrays) for i, (h, e) in enumerate(zip(hints, entries, strict=True)))


def _mapping(hint: Any, plain: Json, path: str, arrays: Arrays) -> dict[Any, Any]:
    pairs, of = _list(plain, path), get_args(hint)[1]
    _require(all(isinstance(p, list) and len(p) == 2 and isinstance(p[0], str) for p in pairs), path, "is no mapping")
    result = {key: from_plain(of, entry, f"{path}/{key}", arrays) for key, entry in pairs}
    _require(len(result) == len(pairs), path, "a name occurs twice")
    return result


def _array(hint: Any, plain: Json, path: str, arrays: Arrays) -> NDArray[Any]:
    (wanted,) = get_args(get_args(hint)[1])
    whole = np.dtype(wanted).kind == "i"
    if type(plain) is (int if whole else float):
        return np.asarray(plain, dtype=wanted)
    _require(isinstance(plain, dict) and plain.get("array") in arrays, path, "its array is missing")
    stored = arrays[plain["array"]]
    fits = stored.dtype in _INTEGERS if whole else stored.dtype == np.dtype(wanted)
    _require(fits, path, f"an array of {stored.dtype} instead of {np.dtype(wanted)}")
    return stored.astype(wanted)


def _csr(plain: Json, path: str, arrays: Arrays) -> csr_array:
    _require(isinstance(plain, dict) and {"csr", "shape"} <= set(plain), path, "is no sparse matrix")
    shape = from_plain(tuple[int, int], plain["shape"], f"{path}/shape", arrays)
    keys = [f"{plain['csr']}/{part}" for part in ("data", "indices", "indptr")]
    _require(
        all(k in arrays and arrays[k].dtype in _INTEGERS for k in keys), path, "its arrays are missing or no integers"
    )
    data, indices, indptr = (arrays[key].astype(np.int64) for key in keys)
    try:
        matrix = csr_array((data, indices, indptr), shape=shape)
        matrix.check_format(full_check=True)
    except (ValueError, IndexError, OverflowError) as error:
        raise NonsenseError(f"{path}: {error}") from error
    return matrix


def _profile(plain: Json, path: str, arrays: Arrays) -> Profile:
    del arrays
    _require(isinstance(plain, str), path, "is no profile")
    return Profile.from_json(plain)


def _codec(plain: Json, path: str, arrays: Arrays) -> Codec:
    del arrays
    _require(isinstance(plain, dict) and all(isinstance(part, dict) for part in plain.values()), path, "is no codec")
    return Codec.from_dict(plain)


def _list(plain: Json, path: str) -> list[Any]:
    _require(isinstance(plain, list), path, f"{_short(plain)} is no list")
    return list(plain)


@lru_cache
def _hints(record: type) -> Mapping[str, Any]:
    return get_type_hints(record)


@lru_cache
def _needed(record: Any) -> frozenset[str]:
    """Fields without a default: one with a default may be younger than the file."""
    return frozenset(f.name for f in fields(record) if f.default is MISSING and f.default_factory is MISSING)


def _require(holds: bool, path: str, message: str) -> None:
    if not holds:
        raise NonsenseError(f"{path}: {message}")


def _short(plain: Json) -> str:
    return f"{type(plain).__name__} {str(plain)[:40]!r}"


_GENERIC: dict[Any, Callable[[Any, Json, str, Arrays], Any]] = {
    Literal: _literal,
    tuple: _tuple,
    Mapping: _mapping,
    np.ndarray: _array,
}
_SPECIAL: dict[Any, Callable[[Json, str, Arrays], Any]] = {csr_array: _csr, Profile: _profile, Codec: _codec}
