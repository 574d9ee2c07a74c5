"""Delays of the last layer's own spikes, which no synapse carries: taken before the layer, where that is the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array

from spikeport.converters.chip_network import Dense, Ints, Sparse, Synapses
from spikeport.converters.findings import Finding
from spikeport.converters.read.netx.program import Program


def delay_outputs(program: Program) -> None:
    """Delay what each output neuron receives by what its spikes should wait.

    A neuron that hears nothing but delayed input does everything later; with a bias, or with a loop to neurons of
    another delay, it does not: then the delay is left out and a finding says so.
    """
    delays, last = program.delays, program.populations[program.last]
    if not delays.any():
        return
    into = [s for s in program.synapses.values() if s.target == last.name]
    plain = all(isinstance(s.connectivity, Dense) and s.source != last.name for s in into)
    if last.bias_mant.any() or not (plain or delays.size == 1):
        message = f"its spikes leave {int(delays.min())} to {int(delays.max())} steps earlier than in SLAYER."
        advice = "Shift its outputs by the layer's delay where their timing matters."
        program.findings.append(Finding("output-delay-dropped", "warning", last.name, message, advice))
        return
    for synapses in into:
        del program.synapses[synapses.name]
        program.synapses |= {part.name: part for part in _parts(synapses, delays)}


def _parts(synapses: Synapses, delays: Ints) -> Iterator[Synapses]:
    """One group per distinct delay, with the rows of its targets."""
    if delays.size == 1:
        yield replace(synapses, delay=synapses.delay + int(delays.flat[0]))
        return
    if not isinstance(synapses.connectivity, Dense):
        raise TypeError(f"{synapses.name}: only dense groups are split")
    for steps in np.unique(delays).tolist():
        rows = synapses.connectivity.weight * (delays == steps)[:, None]
        name = f"{synapses.name}/{steps}"
        yield replace(synapses, name=name, connectivity=Sparse(csr_array(rows)), delay=synapses.delay + steps)
