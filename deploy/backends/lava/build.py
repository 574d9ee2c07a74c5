"""From a plan to Lava Processes, connected; and the configuration they run under."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from spikeport.deploy.backends.lava.compatibility import loihi_compiler_installed, prepare
from spikeport.deploy.backends.lava.plan import ENUMS, HOMES, NAMELESS, Kind, Part, Plan

prepare()

from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg  # noqa: E402


def build(plan: Plan) -> dict[str, Any]:
    """The Processes of ``plan`` by part name, connected. Input populations hold one step of silence."""
    processes = {part.name: process_class(part.kind)(**_arguments(part)) for part in plan.parts}
    for wire in plan.wires:
        port = getattr(processes[wire.source], wire.out_port)
        if wire.reshape is not None:
            port = port.reshape(wire.reshape)
        port.connect(getattr(processes[wire.target], wire.in_port))
    return processes


def process_class(kind: Kind) -> Any:
    """The Process class of a part's kind."""
    prepare(convolution=kind in ("Conv", "ShiftedConv"))
    return getattr(import_module(HOMES[kind]), kind)


def _arguments(part: Part) -> dict[str, Any]:
    arguments = dict(part.arguments)
    for key in ENUMS.keys() & arguments.keys():
        module, enumeration = ENUMS[key]
        arguments[key] = getattr(import_module(module), enumeration)[arguments[key].upper()]
    if part.kind not in NAMELESS:
        arguments["name"] = part.name
    return arguments


def run_config() -> Any:
    """`Loihi2HwCfg` where Intel's compiler is installed, else Lava's fixed-point models on the CPU."""
    return Loihi2HwCfg() if loihi_compiler_installed() else Loihi2SimCfg(select_tag="fixed_pt")
