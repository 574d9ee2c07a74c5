"""Codec: how data become chip input and chip output becomes an answer; a named part of every deployment.

On the command line and in Python an encoder is written ``kind`` or ``kind:key=value,...``, for example
``current:steps=16,low=0,high=16``; a decoder is its kind, with ``:start=8`` where steps before that are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeAlias, get_type_hints

from numpy.typing import NDArray

from spikeport.converters.network import Shape
from spikeport.deploy.decode import Decoded, Decoder, decode
from spikeport.deploy.encode import Current, Encoded, Encoder, Graded, Latency, Rate, Spikes, encode
from spikeport.deploy.encode_values import Changes, Values
from spikeport.errors import DataError

Value: TypeAlias = str | int | float | bool
ENCODERS: dict[str, type[Encoder]] = {
    "spikes": Spikes,
    "current": Current,
    "rate": Rate,
    "latency": Latency,
    "graded": Graded,
    "values": Values,
    "changes": Changes,
}


@dataclass(frozen=True)
class Codec:
    """One encoder and one decoder."""

    encoder: Encoder = field(default_factory=Spikes)
    decoder: Decoder = field(default_factory=Decoder)

    def encode(self, data: NDArray[Any], shape: Shape, first: int = 0, narrow: bool = False) -> Encoded:
        """Chip input for ``data``; see `spikeport.deploy.encode.encode`."""
        return encode(self.encoder, data, shape, first, narrow)

    def decode(self, output: NDArray[Any]) -> Decoded:
        """Classes for an output (B, T, n); see `spikeport.deploy.decode.decode`."""
        return decode(self.decoder, output)

    def as_dict(self) -> dict[str, dict[str, Value]]:
        """The codec as plain JSON."""
        return {
            "encoder": {"kind": kind_of(self.encoder), **asdict(self.encoder)},
            "decoder": {"kind": self.decoder.kind, **({"start": self.decoder.start} if self.decoder.start else {})},
        }

    @staticmethod
    def from_dict(record: Mapping[str, Mapping[str, Value]]) -> Codec:
        """The inverse of `as_dict`.

        Raises:
            DataError: an unknown kind or key, or a value out of range.
        """
        if set(record) != {"encoder", "decoder"}:
            raise DataError(f"a codec has an encoder and a decoder, this one has {', '.join(record) or 'nothing'}")
        options = dict(record["encoder"])
        kind, decoder = str(options.pop("kind", "")), dict(record["decoder"])
        name, start = str(decoder.pop("kind", "")), decoder.pop("start", 0)
        if decoder:
            raise DataError(f"decoder {name}: no option {', '.join(decoder)}; there is start")
        if type(start) is not int:
            raise DataError(f"decoder {name}: start={start!r} must be a whole number")
        return Codec(_build(kind, options), Decoder(name, start))  # type: ignore[arg-type]  # checked by Decoder itself


def kind_of(encoder: Encoder) -> str:
    """The name under which an encoder is written."""
    return next(kind for kind, cls in ENCODERS.items() if isinstance(encoder, cls))


def encoder_text(encoder: Encoder) -> str:
    """The encoder as it is written on the command line, every option spelt out."""
    return f"{kind_of(encoder)}:" + ",".join(f"{k}={_text(v)}" for k, v in asdict(encoder).items())


def parse_encoder(text: str) -> Encoder:
    """Read ``kind`` or ``kind:key=value,...``.

    Raises:
        DataError: unknown kind or key (the message lists what exists), or a value that does not fit.
    """
    kind, _, rest = text.strip().partition(":")
    pairs = [pair.partition("=") for pair in rest.split(",") if pair.strip()]
    hints = _hints(kind)
    options: dict[str, Value] = {}
    for key, equals, value in ((k.strip(), e, v.strip()) for k, e, v in pairs):
        if not equals or key in options:
            raise DataError(f"encoder {kind}: {key!r} must be written once, as {key}=value")
        options[key] = _read(kind, key, value, hints)
    return _build(kind, options)


def parse_decoder(text: str) -> Decoder:
    """Read ``kind`` or ``kind:start=8``.

    Raises:
        DataError: unknown kind or option; the message lists what exists.
    """
    kind, colon, rest = text.strip().partition(":")
    key, _, value = (part.strip() for part in rest.partition("="))
    if colon and (key != "start" or not value.isdecimal()):
        raise DataError(f"decoder {text.strip()!r}: after the colon comes start=8, the first step that is read")
    return Decoder(kind.strip(), int(value) if colon else 0)  # type: ignore[arg-type]  # checked by Decoder itself


def _hints(kind: str) -> dict[str, type]:
    if kind not in ENCODERS:
        raise DataError(f"encoder {kind!r} does not exist; there are {', '.join(ENCODERS)}")
    return get_type_hints(ENCODERS[kind])


def _build(kind: str, options: Mapping[str, Value]) -> Encoder:
    hints = _hints(kind)
    for key, value in options.items():
        _known(kind, key, hints)
        if type(value) is not hints[key] and not (hints[key] is float and type(value) is int):
            raise DataError(f"encoder {kind}: {key}={value!r} must be of type {hints[key].__name__}")
    given = {key: hints[key](value) for key, value in options.items()}
    needed = [f.name for f in fields(ENCODERS[kind]) if f.default is MISSING]
    if missing := [name for name in needed if name not in given]:
        raise DataError(f"encoder {kind}: say {', '.join(missing)}, for example {kind}:{missing[0]}=16")
    return ENCODERS[kind](**given)


def _known(kind: str, key: str, hints: Mapping[str, type]) -> None:
    if key not in hints:
        raise DataError(f"encoder {kind}: no option {key!r}; there are {', '.join(hints)}")


def _read(kind: str, key: str, value: str, hints: Mapping[str, type]) -> Value:
    _known(kind, key, hints)
    if hints[key] is bool:
        if value.lower() not in ("true", "false"):
            raise DataError(f"encoder {kind}: {key}={value} must be true or false")
        return value.lower() == "true"
    try:
        return int(value) if hints[key] is int else float(value)
    except ValueError:
        what = "a whole number" if hints[key] is int else "a number"
        raise DataError(f"encoder {kind}: {key}={value} must be {what}") from None


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).removesuffix(".0")
