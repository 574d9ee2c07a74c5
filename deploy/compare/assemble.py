"""assemble: the Program that a pair of networks gives with any set of the chip's effects switched on.

With none it is the trained network, in float64; with all of them it is the integer program, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_LIMIT, bias
from spikeport.converters.chip_network import Ints, Population, Synapses
from spikeport.converters.circuit import SIGMA_DELTA, Connection, FloatMap, FloatPopulation
from spikeport.converters.network import Array, Comparison
from spikeport.converters.passes.quantize.registers import (
    STATE_UNIT,
    bias_registers,
    flat,
    on_lattice,
    threshold,
)
from spikeport.deploy.compare.effects import Effects
from spikeport.deploy.compare.pair import IdealNeuron, Pair
from spikeport.deploy.compare.program import Cell, Floats, Program, Registers, Term, Wire


def assemble(pair: Pair, effects: Effects) -> Program:
    """The program with ``effects`` switched on and the rest of the trained network left as it is."""
    late = "pipeline" in effects
    circuit = pair.aligned if late else pair.lowered
    order = sorted(circuit.populations, key=lambda name: pair.aligned.populations[name].shift)
    cells = {n: _cell(n, circuit.populations[n], pair, effects) for n in order if n not in circuit.inputs}
    wires = tuple(_wire(name, c, cells, pair, effects) for name, c in circuit.connections.items())
    inputs = {name: circuit.populations[name].size for name in circuit.inputs}
    return Program(inputs, cells, wires, pair.chip.depth if late else 0)


def _cell(name: str, p: FloatPopulation, pair: Pair, effects: Effects) -> Cell:
    chip = pair.chip.populations[name]
    registers = Registers("rounding" in effects, "overflow" in effects)
    unit = chip.scale if registers.counted else 1.0
    trained = pair.ideal.get(name, IdealNeuron(p, float(p.max_spikes), False, ()))
    cell = _as_trained(trained, unit, registers)
    leaks = cell.model not in SIGMA_DELTA
    if leaks and "neuron" in effects:
        cell = _with_chip_model(cell, p, unit)
    if leaks and "decays" in effects:
        cell = replace(cell, keep_u=_kept(chip.du + DS_OFFSET), keep_v=_kept(chip.dv))
    if "thresholds" in effects:
        cell = _with_chip_levels(cell, p, chip)
    if registers.counted:
        cell = replace(cell, message_exp=chip.state_exp)
    cell = replace(cell, bias=_bias(cell, p, chip, effects))
    return _started(cell, p, chip, effects) if "pipeline" in effects else cell


def _bias(cell: Cell, p: FloatPopulation, chip: Population, effects: Effects) -> Floats:
    """The bias with its rounding; what quantization added to cancel the weights' mean error goes with the weights."""
    count = 2.0 ** (chip.spike_exp + chip.state_exp)  # of sigma-delta units: the bias counts whole messages
    whole = bias(chip.bias_mant, chip.bias_exp) * count
    rounded = bias(*bias_registers(flat(p.bias, p) * chip.scale / count)) * count
    step = cell.unit / chip.scale
    if "weights" in effects:
        return np.asarray(whole * step if "biases" in effects else cell.bias + (whole - rounded) * step)
    return np.asarray(rounded * step) if "biases" in effects else cell.bias


def _started(cell: Cell, p: FloatPopulation, chip: Population, effects: Effects) -> Cell:
    """The state before chip step 1: the chip's own where all that it was computed from is so, else worked out anew."""
    if cell.model in SIGMA_DELTA:
        return replace(cell, start=chip.shift)
    step = cell.unit / chip.scale
    if "rounding" in effects and _waits_alike(cell, p, chip, step):
        u, v = (np.asarray(x * step, np.float64) for x in (chip.u_init, chip.v_init))
    else:
        u, v = before_waiting(cell, chip.shift, STATE_LIMIT * step)
    return replace(cell, u_init=u, v_init=v, start=chip.shift, hold_init=chip.hold_init)


def _waits_alike(cell: Cell, p: FloatPopulation, chip: Population, step: float) -> bool:
    pairs = (
        (cell.keep_u, _kept(chip.du + DS_OFFSET)),
        (cell.keep_v, _kept(chip.dv)),
        (cell.bias, bias(chip.bias_mant, chip.bias_exp) * step),
        (cell.threshold, _chip_threshold(p, chip, step)[0]),
    )
    return all(bool(np.all(ours == theirs)) for ours, theirs in pairs)


def before_waiting(cell: Cell, steps: int, limit: float) -> tuple[Floats, Floats]:
    """u and v, (n,) each, ``steps`` steps before the cell's own start, as far as registers of ±``limit`` go.

    The same in floats as `spikeport.converters.passes.quantize.initial.undo_waiting`.
    """
    u, v, added = (np.broadcast_to(x, (cell.size,)) for x in (cell.u_init, cell.v_init, cell.bias))
    if not (u.any() or v.any() or added.any()):
        return u, v
    quiet = np.nextafter(cell.threshold, -np.inf) if cell.comparison == ">=" else cell.threshold
    for i in range(steps):
        compared = i < steps - 1
        low = -limit if cell.v_min is None or not compared else cell.v_min
        high = quiet if compared and cell.model in ("lif", "lif_subtract") else limit
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
        # Where each spike takes the threshold off v, both ways of counting are one.
        counts_thresholds=trained.most > 1 and not np.array_equal(p.threshold, p.reset_amount),
        unit=unit,
        offset=_flat(p.offset, p),
        start=0,
        registers=registers,
        rectified=p.rectified,
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


def _with_chip_levels(cell: Cell, p: FloatPopulation, chip: Population) -> Cell:
    step = cell.unit / chip.scale
    if cell.model in SIGMA_DELTA:
        smallest = chip.vth * (2.0 ** (chip.spike_exp + chip.state_exp) * step)
        return replace(cell, threshold=np.asarray(smallest, np.float64))
    level, comparison = _chip_threshold(p, chip, step)
    return replace(
        cell,
        threshold=level,
        comparison=comparison,
        amount=np.asarray(chip.reset * (STATE_UNIT * step), np.float64),
        v_min=cell.v_min if chip.v_min is None else np.asarray(chip.v_min * step, np.float64),
    )


def _chip_threshold(p: FloatPopulation, chip: Population, step: float) -> tuple[Floats, Comparison]:
    """What the chip's strict comparison with vth · 2^6 means.

    Where v only takes multiples of 2^6, quantization chose vth such that every decision is the trained one
    (`spikeport.converters.passes.quantize.registers.threshold`): then it means the trained threshold, and between the
    multiples, where other effects may put v, nothing is said about the register's own number.
    """
    scale = chip.scale / STATE_UNIT
    if _on_lattice(chip) and np.all(threshold(p, scale, lattice=True) == chip.vth):
        wanted = flat(p.threshold, p) * scale
        near = np.rint(wanted)
        level = np.where(np.abs(wanted - near) < 1e-6 * np.maximum(np.abs(wanted), 1), near, wanted)
        return level * (STATE_UNIT * step), p.comparison
    return np.asarray(chip.vth * (STATE_UNIT * step), np.float64), ">"


def _on_lattice(chip: Population) -> bool:
    """Whether v only ever takes multiples of 2^6."""
    starts = [chip.u_init, chip.v_init, *([] if chip.v_min is None else [chip.v_min])]
    whole = all(bool(np.all(x % STATE_UNIT == 0)) for x in starts)
    return whole and on_lattice(chip.du, chip.dv, bias(chip.bias_mant, chip.bias_exp))


def _kept(loss: Ints) -> Floats:
    return np.asarray((DECAY_UNITY - loss) / DECAY_UNITY)


def _flat(x: Array, p: FloatPopulation) -> Floats:
    values = np.asarray(x, np.float64)
    return values if values.ndim == 0 else np.broadcast_to(values, p.shape).reshape(-1)


def _wire(name: str, connection: Connection, cells: Mapping[str, Cell], pair: Pair, effects: Effects) -> Wire:
    late, target = "pipeline" in effects, cells[connection.target]
    source = cells.get(connection.source)
    lag = connection.delay + 1 if late else connection.lag
    if "weights" in effects:
        accumulated = _accumulated(target, pair.chip.populations[connection.target])
        gain = accumulated * _payloads(source, pair.chip.populations[connection.source])
        terms = tuple(_integer_term(group, pair.maps[group.name], gain, effects) for group in pair.groups[name])
    else:
        terms = (Term(connection.weights, gain=target.unit * (1.0 if source is None else source.message)),)
    return Wire(connection.source, connection.target, lag, terms)


def _accumulated(target: Cell, chip: Population) -> float:
    """What 1 of the chip's accumulation adds to the cell; exactly 1, or 2^6, where the cell counts in chip units."""
    return (1 if target.model in SIGMA_DELTA else STATE_UNIT) * (target.unit / chip.scale)


def _payloads(source: Cell | None, chip: Population) -> float:
    """How many of the chip's payload units the cell's messages are; exactly 1 where it counts in chip units."""
    if source is None or source.model not in SIGMA_DELTA or source.registers.counted:
        return 1.0
    return source.message * chip.scale / 2.0**chip.state_exp


def _integer_term(group: Synapses, weights: FloatMap, gain: float, effects: Effects) -> Term:
    return Term(weights, group.weight_exp, gain, floors="rounding" in effects and group.weight_exp < 0)
