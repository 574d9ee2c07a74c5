"""Which class of which framework a module is, by name alone: no framework is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import nn

from spikeport.converters.read.modules import norse, own, rockpool, sinabs, snntorch, spikingjelly
from spikeport.converters.read.modules.cells import Entry
from spikeport.converters.read.modules.values import refuse

FRAMEWORKS: Mapping[str, Mapping[str, Entry]] = MappingProxyType(
    {
        "snntorch": snntorch.ENTRIES,
        "norse": norse.ENTRIES,
        "sinabs": sinabs.ENTRIES,
        "spikingjelly": spikingjelly.ENTRIES,
        "rockpool": rockpool.ENTRIES,
    }
)
# Where each framework keeps its neurons: classes of the same name elsewhere in it are others.
_HOMES = (*snntorch.HOME, *norse.HOME, *sinabs.HOME, *spikingjelly.HOME, *rockpool.HOME)
# What a subclass may define without being another neuron: nothing of this enters a step.
_HARMLESS = frozenset(
    {
        "__init__",
        "__repr__",
        "__str__",
        "__call__",
        "extra_repr",
        "parameters",
        "modules",
        "class_name",
        "__annotations__",
        "__doc__",
        "__module__",
        "__qualname__",
        "__dict__",
        "__weakref__",
        "__firstlineno__",
        "__static_attributes__",
        "__parameters__",
        "__orig_bases__",
        "__abstractmethods__",
        "_abc_impl",
    }
)


@dataclass(frozen=True)
class Found:
    """An entry and where it was found."""

    framework: str
    name: str
    entry: Entry


def find_entry(where: str, module: nn.Module) -> Found | None:
    """The table's entry for a module; None where it is nobody's neuron.

    Raises:
        UnsupportedNodeError: a subclass that changes what its framework's neuron does.
    """
    if callable(getattr(type(module), own.OFFERS, None)):
        return Found("spikeport", type(module).__name__, own.ENTRY)
    changed: set[str] = set()
    for base in type(module).__mro__:
        package, name = base.__module__.split(".")[0], base.__qualname__
        if base.__module__.startswith(_HOMES) and name in FRAMEWORKS[package]:
            _refuse_changed(where, type(module), base, changed)
            return Found(package, name, FRAMEWORKS[package][name])
        changed |= set(vars(base)) - _HARMLESS
    return None


def _refuse_changed(where: str, kind: type[Any], base: type[Any], changed: set[str]) -> None:
    redefined = sorted(name for name in changed if callable(getattr(base, name, None)) or _is_property(base, name))
    if redefined:
        refuse(
            where,
            f"{kind.__qualname__} derives from {base.__qualname__} and redefines {', '.join(redefined)}, so what it "
            "computes is not known.",
            "Use the framework's own class, or give yours to_neuron(name, shape) -> spikeport's Neuron.",
        )


def _is_property(base: type[Any], name: str) -> bool:
    return isinstance(getattr(base, name, None), property)
