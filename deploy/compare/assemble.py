"""assemble: the Program that a pair of networks gives with any set of the chip's effects switched on.

With none it is the trained network, in float64; with all of them it is the integer program, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_LIMIT, bias
from spikeport.converters.chip_network import Ints, Population, Synapses
from spikeport.converters.circuit import Connection, FloatMap, FloatPopulation
from spikeport.converters.network import Array
from spikeport.converters.passes.quantize.registers import STATE_UNIT, bias_registers, flat
from spikeport.deploy.compare.effects import Effects
from spikeport.deploy.compare.pair import IdealNeuron, Pair
from spikeport.deploy.compare.program import Cell, Floats, Program, Registers, Term, Wire

DECIDE_START: Effects = frozenset({"weights", "decays", "thresholds", "biases", "rounding"})
"""What the chip's initial states were computed from."""


def assemble(pair: Pair, effects: Effects) -> Program:
    """The program with ``effects`` switched on and the rest of the trained network left as it is."""
    late = "pipeline" in effects
    circuit = pair.aligned if late else pair.lowered
    order = sorted(circuit.populations, key=lambda name: pair.aligned.populations[name].shift)
    cells = {n: _cell(n, circuit.populations[n], pair, effects) for n in order if n not in circuit.inputs}
    wires = tuple(_wire(name, c, cells[c.target], pair, effects) for name, c in circuit.connections.items())
    inputs = {name: circuit.populations[name].size for name in circuit.inputs}
    return Program(inputs, cells, wires, pair.chip.depth if late else 0)


def _cell(name: str, p: FloatPopulation, pair: Pair, effects: Effects) -> Cell:
    chip = pair.chip.populations[name]
    registers = Registers("rounding" in effects, "overflow" in effects)
    unit = chip.scale if registers.rounds or registers.overflows else 1.0
    trained = pair.ideal.get(name, IdealNeuron(p, float(p.max_spikes), False, ()))
    cell = _as_trained(trained, unit, registers)
    if "neuron" in effects:
        cell = _with_chip_model(cell, p, unit)
    if "decays" in effects:
        cell = replace(cell, keep_u=_kept(chip.du + DS_OFFSET), keep_v=_kept(chip.dv))
    if "thresholds" in effects:
        cell = _with_chip_levels(cell, chip, unit)
    cell = replace(cell, bias=_bias(cell, p, chip, effects))
    return _started(cell, chip, effects) if "pipeline" in effects else cell


def _bias(cell: Cell, p: FloatPopulation, chip: Population, effects: Effects) -> Floats:
    """The bias with its rounding; what quantization added to cancel the weights' mean error goes with the weights."""
    whole = bias(chip.bias_mant, chip.bias_exp).astype(np.float64)
    rounded = bias(*bias_registers(flat(p.bias, p) * chip.scale)).astype(np.float64)
    step = cell.unit / chip.scale
    if "weights" in effects:
        return whole * step if "biases" in effects else cell.bias + (whole - rounded) * step
    return rounded * step if "biases" in effects else cell.bias


def _started(cell: Cell, chip: Population, effects: Effects) -> Cell:
    """The state before chip step 1: the chip's own where all that it was computed from is on, else worked out anew."""
    if effects >= DECIDE_START:
        step = cell.unit / chip.scale
        u, v = (np.asarray(x * step, np.float64) for x in (chip.u_init, chip.v_init))
    else:
        u, v = before_waiting(cell, chip.shift, STATE_LIMIT * cell.unit / chip.scale)
    return replace(cell, u_init=u, v_init=v, start=chip.shift)


def before_waiting(cell: Cell, steps: int, limit: float) -> tuple[Floats, Floats]:
    """u and v, (n,) each, ``steps`` steps before the cell's own start, as far as registers of ±``limit`` go.

    The same in floats as `spikeport.converters.passes.quantize.initial.undo_waiting`.
    """
    u, v, added = (np.broadcast_to(x, (cell.size,)) for x in (cell.u_init, cell.v_init, cell.bias))
    if not (u.any() or v.any() or added.any()):
        return u, v
    for i in range(steps):
        compared = i < steps - 1
        low = -limit if cell.v_min is None or not compared else cell.v_min
        high = cell.threshold if compared and cell.model in ("lif", "lif_subtract") else limit
        v = np.clip(_before_decay(v - u - added, cell.keep_v), low, high)
        u = np.clip(_before_decay(u, cell.keep_u), -limit, limit)
    return u, v


def _before_decay(after: Floats, keep: Floats) -> Floats:
    """What decays to ``after``; 0 where nothing is kept."""
    kept = np.broadcast_to(keep, after.shape)
    return np.divide(after, kept, out=np.zeros(after.shape), where=kept > 0)


def _as_trained(trained: IdealNeuron, unit: float, registers: Registers) -> Cell:
    p = trained.population
    return Cell(
        size=p.size,
        model=p.model,
        keep_u=_flat(p.current_decay, p),
        keep_v=_flat(p.membrane_decay, p),
        threshold=_flat(p.threshold, p) * unit,
        comparison=p.comparison,
        amount=_flat(p.reset_amount, p) * unit,
        bias=_flat(p.bias, p) * unit,
        v_min=None if p.v_min is None else _flat(p.v_min, p) * unit,
        max_spikes=trained.most,
        refractory=p.refractory,
        u_init=_flat(p.u_init, p) * unit,
        v_init=_flat(p.v_init, p) * unit,
        carries=trained.carries,
        counts_thresholds=True,
        unit=unit,
        offset=_flat(p.offset, p),
        start=0,
        registers=registers,
    )


def _with_chip_model(cell: Cell, p: FloatPopulation, unit: float) -> Cell:
    """What `lower` made of the neuron for this chip."""
    return replace(
        cell,
        v_min=None if p.v_min is None else _flat(p.v_min, p) * unit,
        max_spikes=float(p.max_spikes),
        refractory=p.refractory,
        carries=False,
        counts_thresholds=False,
    )


def _with_chip_levels(cell: Cell, chip: Population, unit: float) -> Cell:
    step = unit / chip.scale
    return replace(
        cell,
        threshold=np.asarray(chip.vth * (STATE_UNIT * step), np.float64),
        comparison=">",
        amount=np.asarray(chip.reset * (STATE_UNIT * step), np.float64),
        v_min=cell.v_min if chip.v_min is None else np.asarray(chip.v_min * step, np.float64),
    )


def _kept(loss: Ints) -> Floats:
    return np.asarray((DECAY_UNITY - loss) / DECAY_UNITY)


def _flat(x: Array, p: FloatPopulation) -> Floats:
    values = np.asarray(x, np.float64)
    return values if values.ndim == 0 else np.broadcast_to(values, p.shape).reshape(-1)


def _wire(name: str, connection: Connection, target: Cell, pair: Pair, effects: Effects) -> Wire:
    late = "pipeline" in effects
    lag = connection.delay + 1 if late else connection.lag
    if "weights" in effects:
        gain = STATE_UNIT * (target.unit / pair.chip.populations[connection.target].scale)
        terms = tuple(_integer_term(group, pair.maps[group.name], gain, effects) for group in pair.groups[name])
    else:
        terms = (Term(connection.weights, gain=target.unit),)
    return Wire(connection.source, connection.target, lag, terms)


def _integer_term(group: Synapses, weights: FloatMap, gain: float, effects: Effects) -> Term:
    floors = "rounding" in effects and group.weight_exp < 0
    binary = "neuron" in effects and not group.graded
    return Term(weights, group.weight_exp, gain, floors, binary)
