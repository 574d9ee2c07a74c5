"""The chip's neuron update over many steps, in integers forward and with surrogate gradients backward.

Forward is `spikeport.converters.arithmetic.update`, line by line, for "lif", "lif_subtract" and "integrator". Backward
takes the integer operations for the real ones they round (straight-through, Bengio et al. 2013, arXiv:1308.3432) and
gives a spike the arctangent's gradient (Fang et al. 2021, arXiv:2007.05785) one threshold wide::

    ds/dv = 1 / (vth · 2^6) / (1 + (pi · (v - vth · 2^6) / (vth · 2^6))^2)

A reset passes no gradient to the spike that caused it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_LIMIT, STATE_SHIFT
from spikeport.converters.chip_network import Population

NO_BOUND = -(1 << 40)
"""In place of a missing v_min: below anything that v can be."""
_KIND = {"lif": 0, "lif_subtract": 1, "integrator": 2}


@dataclass(frozen=True)
class Cells:
    """What a scan needs of a population, arrays (n,).

    Attributes:
        kind: 0 "lif", 1 "lif_subtract", 2 "integrator".
        du, dv, reset, v_min: registers as in `Population`; v_min is `NO_BOUND` where there is none.
        max_spikes, refractory: as in `Population`.
    """

    kind: int
    du: NDArray[np.int64]
    dv: NDArray[np.int64]
    reset: NDArray[np.int64]
    v_min: NDArray[np.int64]
    max_spikes: int
    refractory: int


def cells_of(p: Population) -> Cells:
    """The constants of a population that training leaves alone."""
    du, dv, reset = (_flat(x, p.size) for x in (p.du, p.dv, p.reset))
    bound = np.asarray(NO_BOUND) if p.v_min is None else p.v_min
    return Cells(_KIND[p.model], du, dv, reset, _flat(bound, p.size), p.max_spikes, p.refractory)


def _flat(register: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    return np.ascontiguousarray(np.broadcast_to(register, (size,)), dtype=np.int64)


def scan(arrived: Tensor, bias: Tensor, vth: Tensor, start: Registers, cells: Cells) -> Scanned:
    """Run a population over T steps.

    Args:
        arrived: (B, T, n) integers in float32: a, the accumulation after its exponent.
        bias: (n,) integers, mant · 2^exp.
        vth: (n,) integers, mantissas.
        start: registers before the first step.
        cells: the other constants.
    """
    spikes, v, u_end, v_end, hold = _Scan.apply(arrived, bias, vth, start.u, start.v, start.hold, cells)  # type: ignore[no-untyped-call]
    return Scanned(spikes, v, Registers(u_end, v_end, hold))


@dataclass(frozen=True)
class Registers:
    """u, v (B, n) float64 that hold integers; hold (B, n) int64, refractory steps left."""

    u: Tensor
    v: Tensor
    hold: Tensor


@dataclass(frozen=True)
class Scanned:
    """spikes and v (B, T, n), v after its reset; and the registers after the last step."""

    spikes: Tensor
    v: Tensor
    end: Registers


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, arrived: Tensor, bias: Tensor, vth: Tensor, u: Tensor, v: Tensor, hold: Tensor, cells: Cells
    ) -> tuple[Tensor, ...]:
        a = arrived.detach().numpy()
        registers = [x.detach().numpy().astype(np.int64) for x in (u, v, hold)]
        above = np.empty(a.shape, np.float32)
        spikes, after = np.empty(a.shape, np.float32), np.empty(a.shape, np.float64)
        b, threshold = (np.rint(x.detach().numpy()).astype(np.int64) for x in (bias, vth))
        constants = (cells.kind, cells.du, cells.dv, cells.reset << STATE_SHIFT, cells.v_min)
        limits = (cells.max_spikes, cells.refractory)
        kernel: Any = _forward
        kernel(a, b, threshold << STATE_SHIFT, *constants, *limits, *registers, above, spikes, after)
        ctx.save_for_backward(torch.from_numpy(above), torch.from_numpy(spikes))
        ctx.cells, ctx.threshold = cells, (threshold << STATE_SHIFT).astype(np.float64)
        end_u, end_v = (torch.from_numpy(x.astype(np.float64)) for x in registers[:2])
        end_hold = torch.from_numpy(registers[2])
        ctx.mark_non_differentiable(end_hold)
        return torch.from_numpy(spikes), torch.from_numpy(after), end_u, end_v, end_hold

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        above, spikes = (x.numpy() for x in ctx.saved_tensors)
        by_spike, by_v, by_u_end, by_v_end = (g.numpy() for g in gradients[:4])
        cells: Cells = ctx.cells
        u, v = by_u_end.astype(np.float64), by_v_end.astype(np.float64)
        out = np.empty(above.shape, np.float32)
        bias, vth = np.zeros_like(v), np.zeros_like(v)
        keep_u = (DECAY_UNITY - DS_OFFSET - cells.du) / DECAY_UNITY
        keep_v = (DECAY_UNITY - cells.dv) / DECAY_UNITY
        given = (by_spike.astype(np.float32), by_v.astype(np.float64))
        _backward(above, spikes, *given, ctx.threshold, cells.kind, keep_u, keep_v, u, v, out, bias, vth)
        parts = (out, bias.sum(0), vth.sum(0) * 2.0**STATE_SHIFT, u, v)
        return (*map(torch.from_numpy, parts), None, None)


@numba.njit(parallel=True, cache=True)
def _forward(  # type: ignore[no-untyped-def]
    a, bias, threshold, kind, du, dv, reset, v_min, max_spikes, refractory, u, v, hold, above, spikes, after
):
    """u, v, hold (B, n) are changed in place; above, spikes, after (B, T, n) are filled."""
    batch, steps, size = a.shape
    for b in numba.prange(batch):
        for t in range(steps):
            for i in range(size):
                product = u[b, i] * (DECAY_UNITY - DS_OFFSET - du[i])
                x = (product >> 12 if product >= 0 else -(-product >> 12)) + (np.int64(a[b, t, i]) << STATE_SHIFT)
                if x > STATE_LIMIT:
                    x -= 2 * STATE_LIMIT
                elif x <= -STATE_LIMIT:
                    x += 2 * STATE_LIMIT
                u[b, i] = x
                product = v[b, i] * (DECAY_UNITY - dv[i])
                w = (product >> 12 if product >= 0 else -(-product >> 12)) + x + bias[i]
                w = max(min(w, STATE_LIMIT - 1), 1 - STATE_LIMIT)
                w = max(w, v_min[i])
                if hold[b, i] > 0:
                    w = 0
                over = w - threshold[i]
                above[b, t, i] = over
                fired = 0
                if kind == 0 and over > 0:
                    fired, w = 1, 0
                elif kind == 1 and over > 0:
                    fired = min((over - 1) // max(reset[i], 1) + 1, max_spikes)
                    w -= fired * reset[i]
                hold[b, i] = refractory if fired else max(hold[b, i] - 1, 0)
                v[b, i], spikes[b, t, i], after[b, t, i] = w, fired, w


@numba.njit(parallel=True, cache=True)
def _backward(  # type: ignore[no-untyped-def]
    above, spikes, by_spike, by_v, threshold, kind, keep_u, keep_v, u, v, out, bias, vth
):
    """u, v (B, n): gradients with respect to the registers, after the last step, then before the first."""
    batch, steps, size = above.shape
    for b in numba.prange(batch):
        for t in range(steps - 1, -1, -1):
            for i in range(size):
                after = v[b, i] + by_v[b, t, i]
                slope = 0.0
                if kind != 2:
                    width = max(threshold[i], 1.0)
                    slope = by_spike[b, t, i] / width / (1.0 + (np.pi * above[b, t, i] / width) ** 2)
                if kind == 0 and spikes[b, t, i] > 0:
                    after = 0.0
                change = after + slope
                current = change + u[b, i]
                out[b, t, i] = current * 2.0**STATE_SHIFT
                bias[b, i] += change
                vth[b, i] -= slope
                v[b, i] = change * keep_v[i]
                u[b, i] = current * keep_u[i]
