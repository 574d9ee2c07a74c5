"""From a plan to Lava Processes, connected; and the configuration they run under."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikeport.deploy.backends.lava.compatibility import loihi_compiler_installed, prepare
from spikeport.deploy.backends.lava.plan import Part, Plan

prepare()

from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402
from lava.proc.dense.process import DelayDense, Dense  # noqa: E402
from lava.proc.io.source import RingBuffer  # noqa: E402
from lava.proc.lif.process import LIF  # noqa: E402
from lava.proc.sparse.process import DelaySparse, Sparse  # noqa: E402
from lava.utils.weightutils import SignMode  # noqa: E402

from spikeport.deploy.backends.lava.processes import (  # noqa: E402
    GeneralLIF,
    Integrator,
    ShiftedConv,
    SpikeDelay,
)

CLASSES: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        RingBuffer,
        LIF,
        GeneralLIF,
        Integrator,
        Dense,
        DelayDense,
        Sparse,
        DelaySparse,
        Conv,
        ShiftedConv,
        SpikeDelay,
    )
}
"""A part's kind to its Process class."""


def build(plan: Plan) -> dict[str, Any]:
    """The Processes of ``plan`` by part name, connected. Input populations hold one step of silence."""
    processes = {part.name: CLASSES[part.kind](**_arguments(part)) for part in plan.parts}
    for wire in plan.wires:
        port = getattr(processes[wire.source], wire.out_port)
        if wire.reshape is not None:
            port = port.reshape(wire.reshape)
        port.connect(getattr(processes[wire.target], wire.in_port))
    return processes


def _arguments(part: Part) -> dict[str, Any]:
    arguments = dict(part.arguments)
    if "sign_mode" in arguments:
        arguments["sign_mode"] = SignMode[arguments["sign_mode"].upper()]
    if part.kind != "RingBuffer":  # the one Process that takes no name
        arguments["name"] = part.name
    return arguments


def run_config() -> Any:
    """`Loihi2HwCfg` where Intel's compiler is installed, else Lava's fixed-point models on the CPU."""
    return Loihi2HwCfg() if loihi_compiler_installed() else Loihi2SimCfg(select_tag="fixed_pt")
