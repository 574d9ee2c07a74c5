"""What a training can be told: every setting with its default and its meaning, from where both are written."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from inspect import getdoc
from typing import Literal, TypedDict, get_args, get_origin

from pydantic.fields import FieldInfo

from spikeport.models.training.config import TrainingConfig

_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.MULTILINE)


class Setting(TypedDict):
    """One line of `settings_of`."""

    name: str
    default: str
    meaning: str


def settings_of(kind: type[TrainingConfig]) -> tuple[Setting, ...]:
    """All settings of a method, its own first; meanings are those of the "Attributes" in its classes' docstrings."""
    meanings = defaultdict(str, _meanings(kind))
    fields = kind.model_fields
    return tuple(
        Setting(name=name, default=_shown(fields[name].default), meaning=meanings[name] + _choices(fields[name]))
        for name in sorted(fields, key=lambda name: name in TrainingConfig.model_fields)
    )


def _shown(default: object) -> str:
    return '""' if default == "" else str(default)


def _choices(field: FieldInfo) -> str:
    given = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return f" One of {', '.join(map(str, given))}." if given else ""


def _meanings(kind: type[TrainingConfig]) -> Iterator[tuple[str, str]]:
    for base in reversed(kind.__mro__):
        if issubclass(base, TrainingConfig):
            _, _, attributes = (getdoc(base) or "").partition("Attributes:\n")
            for names, text in _ENTRY.findall(attributes):
                for name in names.split(", "):
                    yield name, re.sub(r"\s+", " ", text).replace("`", "")
