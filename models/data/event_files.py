"""Files of event cameras: one function per format, from a path to events (n,) with the fields x, y, p, t (µs).

Every size a file declares is checked against what follows before anything is read by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Shape
from spikeport.errors import BackendError, DataError

Events: TypeAlias = NDArray[Any]
EVENT = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "u1"), ("t", "<u4")])
_OVERFLOW_ROW, _OVERFLOW_US = 240, 1 << 13
_PACKET, _POLARITY = 28, 1
_SPECIAL = 1 << 15


def read_atis(path: Path) -> Events:
    """``.bin`` of N-MNIST and N-Caltech101: 5 bytes an event: x, y, then polarity (1 bit) and time (23 bits).

    Rows of 240 are no events; each moves the clock on by 2^13 µs. Source: Orchard's reader,
    github.com/gorchard/event-Python, ``eventvision.read_dataset``.
    """
    raw = np.frombuffer(_bytes(path), np.uint8)
    if len(raw) % 5:
        raise DataError(f"{path} has {len(raw)} bytes, which are no whole events of 5; the file may be damaged")
    x, y, high, middle, low = raw.reshape(-1, 5).T.astype(np.int64)
    time = ((high & 0x7F) << 16 | middle << 8 | low) + _OVERFLOW_US * np.cumsum(y == _OVERFLOW_ROW)
    kept = y != _OVERFLOW_ROW
    return _events(path, x[kept], y[kept], high[kept] >> 7, time[kept])


def read_aedat2(path: Path) -> Events:
    """``.aedat`` version 2 of a DVS128 (CIFAR10-DVS): big-endian pairs of address and time in µs.

    Times count from the first event, since the camera's clock runs on between recordings. Address: bit 0 is 1 where it
    got darker, bits 1..7 the column from the right, bits 8..14 the row; what has higher bits is no event of a pixel.
    Source: jAER's ``DVS128`` extractor; ``dat2mat.m``, which the authors of CIFAR10-DVS refer to.
    """
    data = _body(path, b"#!AER-DAT2")
    if len(data) % 8:
        raise DataError(f"{path} has {len(data)} bytes of events, which are no whole events of 8")
    address, time = np.frombuffer(data, ">u4").reshape(-1, 2).T.astype(np.int64)
    address, time = (column[address < _SPECIAL] for column in (address, time))
    return _events(path, 127 - (address >> 1 & 0x7F), address >> 8 & 0x7F, 1 - (address & 1), _from_zero(time))


def read_aedat3(path: Path) -> Events:
    """``.aedat`` version 3.1 (DVS128 Gesture): packets with a head of 28 bytes; those of type 1 hold polarity events.

    Source: iniVation's AEDAT 3.1 format description: data word with bit 0 valid, bit 1 polarity, bits 2..16 y,
    bits 17..31 x; then the time in µs.
    """
    data = _body(path, b"#!AER-DAT3.1")
    words: list[NDArray[np.int64]] = []
    at = 0
    while at < len(data):
        head = data[at : at + _PACKET]
        if len(head) < _PACKET:
            raise DataError(f"{path} ends within the head of a packet; the file may be damaged")
        kind = int.from_bytes(head[:2], "little")
        size, capacity, number = (int.from_bytes(head[i : i + 4], "little") for i in (4, 16, 20))
        at += _PACKET
        if size < 8 or size % 4 or number > capacity or capacity > (len(data) - at) // size:
            raise DataError(f"{path}: a packet declares {capacity} events of {size} bytes, more than follow")
        if kind == _POLARITY and number:
            packet = np.frombuffer(data, "<u4", number * size // 4, at)
            words.append(packet.reshape(number, -1)[:, :2].astype(np.int64))
        at += capacity * size
    word, time = np.concatenate(words or [np.zeros((0, 2), np.int64)]).T
    word, time = (column[word & 1 == 1] for column in (word, time))
    return _events(path, word >> 17, word >> 2 & 0x7FFF, word >> 1 & 1, time)


def read_aedat4(path: Path) -> Events:
    """``.aedat4`` of iniVation's cameras, its first stream of events; times count from the first event.

    Raises:
        BackendError: the package aedat is not installed.
    """
    with _aedat4(path) as (decoder, stream):
        packets = [p["events"] for p in decoder if p["stream_id"] == stream and "events" in p]
    if not packets:
        raise DataError(f"{path} holds no events")
    events = np.concatenate(packets)
    return _events(path, events["x"], events["y"], events["on"], _from_zero(events["t"].astype(np.int64)))


def aedat4_sensor(path: Path) -> Shape:
    """(polarities, height, width) of the camera, as the file says; raises as `read_aedat4`."""
    with _aedat4(path) as (decoder, stream):
        camera = decoder.id_to_stream()[stream]
        return 2, int(camera["height"]), int(camera["width"])


@contextmanager
def _aedat4(path: Path) -> Iterator[tuple[Any, int]]:
    """The decoder of a file, and its first stream of events."""
    try:
        import aedat
    except ImportError as error:
        raise BackendError(f"{path}: reading .aedat4 needs the package aedat: pip install 'spikeport[zoo]'") from error
    if not path.is_file():
        raise DataError(f"{path} cannot be read: no such file")
    try:
        decoder = aedat.Decoder(path)
        streams = sorted(key for key, stream in decoder.id_to_stream().items() if stream["type"] == "events")
        if not streams:
            raise DataError(f"{path} holds no stream of events")
        yield decoder, streams[0]
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} cannot be read as .aedat4: {error}") from error
    except BaseException as error:
        # What the decoder's Rust code raises where it gives up on a damaged file, and cannot be imported by name.
        if type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{path} cannot be read as .aedat4, the file may be damaged: {error}") from error


def _from_zero(time: NDArray[np.int64]) -> NDArray[np.int64]:
    return time - time.min() if len(time) else time


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _body(path: Path, magic: bytes) -> bytes:
    """What follows the comment lines at the start."""
    data = _bytes(path)
    if not data.startswith(magic):
        raise DataError(f"{path} does not start with {magic.decode()}, but with {data[: len(magic)]!r}")
    at = 0
    while data[at : at + 1] == b"#":
        end = data.find(b"\n", at)
        if end < 0:
            raise DataError(f"{path} ends within its comment lines")
        at = end + 1
    return data[at:]


def _events(path: Path, x: Any, y: Any, p: Any, t: NDArray[np.int64]) -> Events:
    if len(t) and not 0 <= t.min() <= t.max() < 1 << 32:
        raise DataError(f"{path}: times from {t.min()} to {t.max()} µs do not fit 32 bits")
    events = np.empty(len(t), EVENT)
    for name, values in zip("xypt", (x, y, p, t), strict=True):
        events[name] = values
    return events
