"""Settings of a training, validated where they enter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikeport.errors import DataError

Config = TypeVar("Config", bound="TrainingConfig")


class TrainingConfig(BaseModel):
    """What every training has; a method's own settings are fields of a subclass, all with defaults.

    Attributes:
        seed: of initial weights, sample order and whatever else is drawn.
        epochs: passes over the data.
        batch: samples per optimiser step.
        learning_rate: its largest value.
        optimizer: "adam", "adamw" or "sgd" (with a momentum of 0.9).
        schedule: "one-cycle": a tenth of the training up, then a cosine down to 0; "cosine": down from the start; or
            "constant".
        weight_decay: decoupled (AdamW) or, for "adam" and "sgd", added to the gradient.
        clip: largest norm of the gradient, None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, lt=2**31)
    epochs: int = Field(40, ge=1)
    batch: int = Field(64, ge=1)
    learning_rate: float = Field(1e-2, gt=0)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Literal["constant", "cosine", "one-cycle"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    clip: float | None = Field(None, gt=0)


class EventConfig(TrainingConfig):
    """A training on recordings of an event sensor, in whatever set `spikeport.models.data.recognise` finds.

    Attributes:
        pool: pixels a side that become one; None: as is usual for the set.
        seconds: of every recording that the time steps span; None: as is usual for the set.
    """

    pool: int | None = Field(None, ge=1)
    seconds: float | None = Field(None, gt=0)


class LayeredConfig(EventConfig):
    """A training whose network may be as large as the papers'.

    Attributes:
        layers: convolutions in place of the method's own small body, for example "32,p,64,p,32" or "vgg-snn" for that
            of the papers (`spikeport.models.layers.convolutions`).
    """

    layers: str = ""


def differences(config: TrainingConfig, saved: Mapping[str, Any]) -> str:
    """Settings that are not the ``saved`` ones (plain JSON values), in words; "" where there are none.

    A setting that did not exist when they were saved counts with its default.
    """
    asked, default = config.model_dump(mode="json"), type(config).model_validate({}).model_dump(mode="json")
    before = {**default, **saved}
    other = [name for name in sorted({*before, *asked}) if before.get(name) != asked.get(name)]
    return ", ".join(f"{name}={before.get(name)} (asked for: {asked.get(name)})" for name in other)


def read_config(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Settings from plain values; numbers may come as text.

    Raises:
        DataError: an unknown name (the message lists those there are), or a value out of range.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as problem:
        first = problem.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            raise DataError(f"no setting {name!r}; there are {', '.join(kind.model_fields)}") from None
        raise DataError(f"setting {name}={first['input']!r}: {first['msg']}") from None
