"""Damaged and hostile HDF5 files (NIR, lava-dl ``.net``), the same ones every time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import h5py
import numpy as np

Random = np.random.Generator

_NUMBERS = (0, -1, 1, 2, 255, 2**31, -(2**63), 0.5, 1e38, 1e-38, float("nan"), float("inf"))
_TEXTS = ("", "x", "LIF", "CubaLIF", "Conv2d", "Linear", "dense", "conv", "CUBA", "SDNN", "Ж" * 300, "../..", "\0")
_TYPES = ("i1", "u8", "f2", "f8", "?", "c8", "S3")
_NAMES = ("weight", "bias", "type", "tau", "x", "Ж", "a b", "n" * 600)


def mutants(data: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` damaged versions of a file, each with one to three changes and a name."""
    rng = np.random.default_rng(seed)
    kinds = list(_KINDS)
    for k in range(count):
        chosen = [kinds[rng.integers(len(kinds))] for _ in range(rng.integers(1, 4))]
        buffer = io.BytesIO(data)
        with h5py.File(buffer, "r+") as file:
            for kind in chosen:
                _KINDS[kind](file, rng)
        damaged = buffer.getvalue()
        if k % 4 == 3:
            damaged = _bytes(damaged, rng)
            chosen.append("bytes")
        yield f"{k} {', '.join(chosen)}", damaged


def _bytes(data: bytes, rng: Random) -> bytes:
    """Some bytes changed, most of them where the structure is, or the end cut off."""
    changed = bytearray(data)
    reach = len(changed) if rng.random() < 0.5 else min(4096, len(changed))
    for place in rng.integers(0, reach, rng.integers(1, 9)):
        changed[place] = int(rng.integers(256))
    return bytes(changed[: rng.integers(1, len(changed))]) if rng.random() < 0.3 else bytes(changed)


def _items(file: h5py.File, kind: type) -> list[str]:
    found: list[str] = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return sorted(found)


def _pick(rng: Random, options: Any) -> Any:
    return options[int(rng.integers(len(options)))] if len(options) else None


def _replace(file: h5py.File, name: str, value: Any, **how: Any) -> None:
    parent, _, key = name.rpartition("/")
    group = file[parent] if parent else file
    del group[key]
    group.create_dataset(key, data=value, **how)


def _dataset(file: h5py.File, rng: Random, kinds: str) -> str | None:
    names = [n for n in _items(file, h5py.Dataset) if file[n].dtype.kind in kinds and file[n].size]
    return _pick(rng, names)


def _value(file: h5py.File, rng: Random) -> None:
    """One number, or all of them, at an extreme."""
    if name := _dataset(file, rng, "fiu"):
        values = np.array(file[name][()], np.float64)
        values[() if rng.random() < 0.3 or not values.ndim else (0,) * values.ndim] = _pick(rng, _NUMBERS)
        _replace(file, name, values)


def _shape(file: h5py.File, rng: Random) -> None:
    if name := _dataset(file, rng, "fiu"):
        values = np.asarray(file[name][()])
        shapes = [values.reshape(-1), values[None], values.T, values.reshape(-1)[:-1], values.reshape(-1)[:0]]
        _replace(file, name, _pick(rng, [*shapes, np.repeat(values.reshape(-1), 3), np.resize(values, (2, 3, 5))]))


def _type(file: h5py.File, rng: Random) -> None:
    if name := _dataset(file, rng, "fiu"):
        with np.errstate(all="ignore"):
            _replace(file, name, np.asarray(file[name][()]).astype(_pick(rng, _TYPES)))


def _text(file: h5py.File, rng: Random) -> None:
    if name := _dataset(file, rng, "OS"):
        texts = np.array(file[name][()], dtype=object)
        texts[(0,) * texts.ndim] = _pick(rng, [t for t in _TEXTS if "\0" not in t])
        with suppress(ValueError, TypeError):
            _replace(file, name, texts, dtype=h5py.string_dtype())


def _claim(file: h5py.File, rng: Random) -> None:
    """A dataset that declares terabytes and stores nothing."""
    if name := _dataset(file, rng, "fiu"):
        parent, _, key = name.rpartition("/")
        group = file[parent] if parent else file
        del group[key]
        group.create_dataset(key, shape=(1 << 20, 1 << 20), dtype="f4", chunks=(256, 256))


def _drop(file: h5py.File, rng: Random) -> None:
    if name := _pick(rng, [*_items(file, h5py.Dataset), *_items(file, h5py.Group)]):
        del file[name]


def _rename(file: h5py.File, rng: Random) -> None:
    if name := _pick(rng, [*_items(file, h5py.Dataset), *_items(file, h5py.Group)]):
        with suppress(ValueError):
            file.move(name, "/".join([*name.split("/")[:-1], _pick(rng, _NAMES)]))


def _copy(file: h5py.File, rng: Random) -> None:
    """A part once more, somewhere else."""
    groups = _items(file, h5py.Group)
    if (name := _pick(rng, [*_items(file, h5py.Dataset), *groups])) and (target := _pick(rng, groups)):
        with suppress(ValueError, RuntimeError):
            file.copy(name, file[target], _pick(rng, _NAMES))


def _link(file: h5py.File, rng: Random) -> None:
    if name := _pick(rng, [*_items(file, h5py.Dataset), *_items(file, h5py.Group)]):
        del file[name]
        file[name] = _pick(rng, [h5py.SoftLink("/"), h5py.SoftLink("/nowhere"), h5py.ExternalLink("/etc/passwd", "/")])


_KINDS: dict[str, Callable[[h5py.File, Random], None]] = {
    "value": _value,
    "shape": _shape,
    "type": _type,
    "text": _text,
    "claim": _claim,
    "drop": _drop,
    "rename": _rename,
    "copy": _copy,
    "link": _link,
}
