"""lava-dl's ``.net`` files as integer programs: SLAYER's export is in the chip's own registers already.

What is decided here, and why, is in docs/netx.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.circuit import READOUTS
from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.converters.read.netx.layers import add_layer
from spikeport.converters.read.netx.net_file import RawNet, read_net_file
from spikeport.converters.read.netx.numbers import MAX_NEURONS
from spikeport.converters.read.netx.outputs import delay_outputs
from spikeport.converters.read.netx.program import Program
from spikeport.errors import ModelError

SAMPLING_MS = 1.0
"""SLAYER's own sampling time."""


def read_netx(path: Path, input_shape: Shape | None = None) -> ChipNetwork:
    """Read a network that lava-dl's SLAYER exported.

    Args:
        path: the ``.net`` file.
        input_shape: (C, H, W) or (n,) of the input, for a file without an input layer whose first layer does not tell.

    Layers become populations in the file's order, called "<index> <type>"; each begins its own step 0 from zero. The
    network says how its data are encoded (`ChipNetwork.encode`) and what had to be decided (`ChipNetwork.findings`).

    Raises:
        ModelError: no such file, damaged, no ``.net`` file, or numbers that do not fit each other.
        UnsupportedNodeError: a layer or neuron without a form on the chip; the message names it and the reason.
    """
    raw, program = read_net_file(path), Program(named=_named(path, input_shape))
    try:
        for layer in raw.layers:
            add_layer(program, layer)
        if len(program.populations) < 2:
            raise ModelError("it has no layer but its input")
    except ModelError as error:
        raise type(error)(f"{raw.file}: {error}") from None
    delay_outputs(program)
    return _network(program, raw)


def _named(path: Path, shape: Shape | None) -> Shape:
    if shape is None:
        return ()
    if len(shape) not in (1, 3) or min(shape) < 1 or prod(shape) > MAX_NEURONS:
        raise ModelError(f"{path.name}: an input of shape {shape}; (C, H, W) or (n,) up to {MAX_NEURONS} are read.")
    return tuple(shape)


def _network(program: Program, raw: RawNet) -> ChipNetwork:
    reads_out = program.populations[program.last].model in READOUTS
    return ChipNetwork(
        populations=program.populations,
        synapses=program.synapses,
        inputs=(next(iter(program.populations)),),
        outputs=(program.last,),
        dt=1e-3 * (raw.sampling_ms or SAMPLING_MS),
        encode=program.encode,
        decode=program.decode or ("membrane-last" if reads_out else ""),
        source_hash=raw.sha256,
        findings=(*program.findings, *_findings(program, raw)),
    )


def _findings(program: Program, raw: RawNet) -> Iterator[Finding]:
    if raw.sampling_ms is None:
        yield Finding("dt-assumed", "info", "", f"the file does not say its time step; SLAYER's is {SAMPLING_MS:g} ms.")
    if any(p.model == "sigma_delta" for p in program.populations.values()):
        depth = max(p.shift for p in program.populations.values())
        message = (
            "SLAYER passes changes through all sigma-delta layers within one step, the chip one layer per step: the "
            f"output settles {depth} steps after a change of the input."
        )
        yield Finding("sigma-delta-pipeline", "info", "", message)
    for synapses in program.synapses.values():
        if np.max(synapses.delay) > 0 and program.populations[synapses.target].bias_mant.any():
            message = "it has a bias and hears delayed spikes; lava-dl's netx would delay the layer that sends them."
            yield Finding("axon-delay", "info", synapses.target, message)
