"""The program under construction: a chain of populations, each fed by the one before."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Connectivity, Ints, Population, Synapses
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.converters.read.netx.neurons import BIAS_EXP, UNIT_EXP, NeuronKind
from spikeport.converters.read.netx.numbers import MAX_NEURONS, refuse, spread
from spikeport.converters.read.netx.weights import Format

MAX_PROGRAM_NEURONS = 2 * MAX_NEURONS
"""A Loihi 2 board of eight chips has as many."""
_MANTISSA = (-(1 << 12), (1 << 12) - 1)
_BIAS_EXP_TOP = 7
_BIAS_UNIT = 64
"""An integer bias of 64 is 1 in SLAYER's units (w_scale)."""
ZERO: Ints = np.zeros((), np.int64)


@dataclass
class Program:
    """What the layers read so far have become.

    Attributes:
        populations, synapses: by name, in the order of the file.
        findings: what a user should know.
        last: the population whose spikes the next layer gets; "" before the first.
        shape: how that layer sees them; flattening changes it.
        payloads: populations whose spikes carry payloads.
        delays: steps by which each of the last population's spikes is delayed on its way, 0-d or (n,).
        encode, decode: see `spikeport.converters.chip_network.ChipNetwork`.
        named: the input's shape as the user says; () where they do not.
    """

    populations: dict[str, Population] = field(default_factory=dict)
    synapses: dict[str, Synapses] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    last: str = ""
    shape: Shape = ()
    payloads: set[str] = field(default_factory=set)
    delays: Ints = field(default_factory=lambda: ZERO)
    encode: str = ""
    decode: str = ""
    named: Shape = ()

    def begin(self, name: str, shape: Shape, payloads: bool) -> None:
        """Start with an input population."""
        self._add(Population(name, shape, "input", ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO, ZERO), payloads)

    def grow(self, layer: RawLayer, kind: NeuronKind, shape: Shape, bias: Ints) -> str:
        """Add the population of ``layer``, one step after the last, and make it the last; its name.

        Args:
            layer: what it is made of.
            kind: its neurons.
            shape: of the population.
            bias: as the file has it, one for all, per channel or per neuron.
        """
        source = self.populations[self.last]
        if source.model == "sigma":
            raise refuse(layer, f"follows '{source.name}', a sigma output, which is only read out")
        self._add(_population(layer, kind, shape, bias, source.shift + 1), kind.model in SIGMA_DELTA)
        if sum(p.size for p in self.populations.values()) > MAX_PROGRAM_NEURONS:
            raise refuse(layer, f"the network has more than {MAX_PROGRAM_NEURONS} neurons, all that spikeport reads")
        return self.last

    def join(self, source: str, target: str, connectivity: Connectivity, form: Format, delay: Ints = ZERO) -> None:
        """Add a group of synapses, delayed as a whole or per source neuron."""
        name = f"{source}->{target}"
        steps = int(delay.flat[0]) if delay.size == 1 else delay
        stored = (form.weight_exp, form.num_weight_bits, form.sign_mode)
        self.synapses[name] = Synapses(name, source, target, connectivity, *stored, steps, source in self.payloads)

    def _add(self, population: Population, payloads: bool) -> None:
        self.populations[population.name] = population
        self.last, self.shape, self.delays = population.name, population.shape, ZERO
        if payloads:
            self.payloads.add(population.name)


def _population(layer: RawLayer, kind: NeuronKind, shape: Shape, bias: Ints, shift: int) -> Population:
    offset: NDArray[np.float64] = np.zeros(())
    if kind.model == "sigma":  # its bias is added to what is read out
        offset, bias = spread(layer, "bias", bias, shape) / _BIAS_UNIT, ZERO
    unit = UNIT_EXP if kind.model in SIGMA_DELTA else 0
    usual = 0 if unit else BIAS_EXP
    mantissa, exponent = _bias_registers(layer, spread(layer, "bias", bias, shape) << (kind.bias_shift + usual), usual)
    return Population(
        name=layer.name,
        shape=shape,
        model=kind.model,
        du=kind.du,
        dv=kind.dv,
        vth=kind.vth,
        reset=ZERO,
        bias_mant=mantissa,
        bias_exp=exponent,
        u_init=ZERO,
        v_init=ZERO,
        hold_init=shift if mantissa.any() and not unit else 0,
        shift=shift,
        scale=kind.scale,
        offset=offset,
        spike_exp=unit,
        state_exp=unit,
    )


def _bias_registers(layer: RawLayer, bias: Ints, usual: int) -> tuple[Ints, Ints]:
    """(mantissa, exponent) with mantissa · 2^exponent = ``bias`` exactly; the file's own exponent where that does."""
    low, high = _MANTISSA
    for exponent in (usual, *range(_BIAS_EXP_TOP + 1)):
        mantissa = bias >> exponent
        if not (bias % (1 << exponent)).any() and low <= mantissa.min() and mantissa.max() <= high:
            return mantissa, np.asarray(exponent)
    raise refuse(layer, f"bias {int(bias.min())} .. {int(bias.max())} fits no mantissa of 13 bits times a power of two")


def flat(shape: Shape) -> Shape:
    """(n,)."""
    return (prod(shape),)
