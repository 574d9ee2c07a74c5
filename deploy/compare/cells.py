"""cells: one step of one population in float64; a line here is a line of the `Cell` docstring.

With registers that round and overflow, and whole numbers, this is `spikeport.converters.arithmetic.update`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikeport.converters.arithmetic import STATE_LIMIT
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.deploy.compare.program import Cell, Floats


@dataclass(frozen=True)
class CellState:
    """u, v, refractory steps left, and spikes still owed by a carried reset; (B, n) each.

    Of sigma-delta units: sigma, the activation, and in ``hold`` the change not sent yet.
    """

    u: Floats
    v: Floats
    hold: Floats
    due: Floats


@dataclass(frozen=True)
class CellStep:
    """The new state, spikes, and w (the membrane that was held against the threshold); (B, n) each."""

    state: CellState
    spikes: Floats
    w: Floats


def start(cell: Cell, batch: int) -> CellState:
    """The state before the program's first step."""
    size = (batch, cell.size)
    u, v = (np.broadcast_to(x, size) for x in (cell.u_init, cell.v_init))
    return CellState(u, v, np.full(size, float(cell.hold_init)), np.zeros(size))


def step(cell: Cell, state: CellState, arrived: Floats) -> CellStep:
    """One step; ``arrived`` (B, n) in units of v."""
    return (_unit if cell.model in SIGMA_DELTA else _neuron)(cell, state, arrived)


def _unit(cell: Cell, state: CellState, arrived: Floats) -> CellStep:
    sigma = arrived if cell.model == "delta" else state.u + arrived
    activation = sigma + cell.bias
    if cell.model == "sigma_delta" and cell.rectified:
        activation = np.maximum(activation, 0.0)
    change = activation - state.v + state.hold
    sent = np.where(np.abs(change) >= cell.threshold, change, 0.0)
    if cell.model == "sigma":
        return CellStep(CellState(sigma, activation, state.hold, state.due), np.zeros_like(sent), activation)
    messages = sent / 2.0**cell.message_exp
    messages = np.floor(messages) if cell.registers.rounds else messages
    return CellStep(CellState(sigma, activation, change - sent, state.due), messages, activation)


def _neuron(cell: Cell, state: CellState, arrived: Floats) -> CellStep:
    u = _wrapped(cell, _decayed(cell, cell.keep_u, state.u) + arrived)
    w = _clipped(cell, _decayed(cell, cell.keep_v, state.v) + u + cell.bias)
    w = w if cell.v_min is None else np.maximum(w, cell.v_min)
    w = np.where(state.hold > 0, 0.0, w)
    spikes, v, due = _fired(cell, w, state.due)
    hold = np.where(spikes > 0, float(cell.refractory), np.maximum(state.hold - 1, 0))
    return CellStep(CellState(u, v, hold, due), spikes, w)


def _decayed(cell: Cell, keep: Floats, state: Floats) -> Floats:
    kept = keep * state
    if not cell.registers.rounds:
        return kept
    # What does not decay is not rounded: on the chip it is whole already.
    return np.where(keep == 1.0, kept, np.trunc(kept))


def _wrapped(cell: Cell, u: Floats) -> Floats:
    """`spikeport.converters.arithmetic.wrap24`."""
    if not cell.registers.overflows:
        return u
    return np.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, np.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u))


def _clipped(cell: Cell, v: Floats) -> Floats:
    return np.clip(v, 1 - STATE_LIMIT, STATE_LIMIT - 1) if cell.registers.overflows else v


def _fired(cell: Cell, w: Floats, due: Floats) -> tuple[Floats, Floats, Floats]:
    """Spikes, v after the reset, and how many thresholds the next decision is taken lower."""
    nothing = np.zeros_like(w)
    if cell.model not in ("lif", "lif_subtract"):
        return nothing, w, nothing
    lower = w - due * cell.amount if cell.carries else w
    spikes = _worth(cell, lower)
    if cell.model == "lif":
        return spikes, np.where(spikes > 0, 0.0, w), nothing
    v = lower - (spikes - due) * cell.amount if cell.carries else w - spikes * cell.amount
    return spikes, v, _worth(cell, v) if cell.carries else nothing


def _worth(cell: Cell, w: Floats) -> Floats:
    """How many spikes ``w`` is worth."""
    if cell.max_spikes == 1:
        return ((w >= cell.threshold) if cell.comparison == ">=" else (w > cell.threshold)).astype(np.float64)
    if cell.counts_thresholds:
        lift = cell.offset * cell.unit
        ratio = (w + lift) / (cell.threshold + lift)
        count = np.floor(ratio) if cell.comparison == ">=" else np.ceil(ratio) - 1
    else:
        # A register of 0 takes off 1 (`arithmetic.fire`); without registers nothing is that small.
        ratio = (w - cell.threshold) / np.maximum(cell.amount, 1.0 if cell.registers.rounds else 1e-300)
        count = np.floor(ratio) + 1 if cell.comparison == ">=" else np.ceil(ratio)
    return np.clip(count, 0, cell.max_spikes)
