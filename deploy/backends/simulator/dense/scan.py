"""Neurons on a GPU: one Triton kernel steps a block of neurons through all steps of a tile, registers in registers.

`spikeport.deploy.backends.simulator.events.neurons` is the same on a processor.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl

from spikeport.converters.arithmetic import DECAY_UNITY, DS_OFFSET, STATE_SHIFT, bias
from spikeport.deploy.backends.simulator.engine import EscapeError, Layer, Task, Tile
from spikeport.deploy.backends.simulator.events.neurons import BLOCK
from spikeport.deploy.backends.simulator.neurons import NEVER, blocks, each

_M = tl.constexpr(1 << 23)
_LOW = tl.constexpr(DECAY_UNITY - 1)


@triton.jit
def decayed(x, keep):
    """trunc0(x · keep / 4096) in 32 bits: x = 4096 · h + l, rounded up where x is negative."""
    return (x >> 12) * keep + (((x & _LOW) * keep + ((x >> 31) & _LOW)) >> 12)


@triton.jit
def advance(
    sums, steps, n, u_at, v_at, hold_at, keep_u, keep_v, bias_at, floor_at, threshold_at, amount_at, edges, spikes,
    active, wraps, clips, beyond, kept_u, kept_v, most, refractory, keeps: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """All steps of one sample (first axis of the grid) and one block of neurons (second axis).

    Args:
        sums: (b, steps, n) int32. spikes, kept_u, kept_v: likewise, written.
        steps, n: sizes.
        u_at, v_at, hold_at: (b, n) registers, changed in place.
        keep_u .. amount_at: (n,) parameters.
        edges: (E + 1,) of the blocks.
        active, wraps, clips, beyond: (b, steps, E) counts, written.
        most: spikes of one step at most; 0 for a reset to zero.
        refractory: steps after a spike in which v is held; -1 where it never is.
        keeps: whether u and v of every step are wanted.
        block: neurons of a block at most.
    """
    sample, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    first = tl.load(edges + part)
    i = first + tl.arange(0, block)
    here = i < tl.load(edges + part + 1)
    base = sample.to(tl.int64) * n
    u, v = tl.load(u_at + base + i, here, 0), tl.load(v_at + base + i, here, 0)
    hold = tl.load(hold_at + base + i, here, 0)
    ku, kv = tl.load(keep_u + i, here, 0), tl.load(keep_v + i, here, 0)
    drive, floor = tl.load(bias_at + i, here, 0), tl.load(floor_at + i, here, 0)
    threshold, amount = tl.load(threshold_at + i, here, 2147483647), tl.load(amount_at + i, here, 0)
    for s in range(steps):
        row = (sample.to(tl.int64) * steps + s) * n
        old_u, old_v = u, v
        wide = decayed(u, ku) + (tl.load(sums + row + i, here, 0) << 6)
        u = tl.where(wide > _M, wide - 2 * _M, tl.where(wide <= -_M, wide + 2 * _M, wide))
        full = decayed(v, kv) + u + drive
        v = tl.maximum(tl.minimum(tl.maximum(full, 1 - _M), _M - 1), floor)
        v = tl.where((refractory >= 0) & (hold > 0), 0, v)
        fires = v > threshold
        worth = tl.where(fires, 1, 0)
        if most > 0:
            worth = tl.where(fires, tl.minimum((v - threshold - 1) // tl.maximum(amount, 1) + 1, most), 0)
        v = tl.where(fires, tl.where(most > 0, v - worth * amount, 0), v)
        hold = tl.where(fires, refractory, tl.maximum(hold - 1, 0))
        tl.store(spikes + row + i, worth, here)
        if keeps:
            tl.store(kept_u + row + i, u, here)
            tl.store(kept_v + row + i, v, here)
        count = (sample.to(tl.int64) * steps + s) * parts + part
        moved = here & ((u != old_u) | (v != old_v) | fires)
        tl.store(active + count, tl.sum(moved.to(tl.int32)))
        tl.store(wraps + count, tl.sum((here & (u != wide)).to(tl.int32)))
        tl.store(clips + count, tl.sum((here & (tl.abs(full) >= _M)).to(tl.int32)))
        tl.store(beyond + count, tl.sum((here & (tl.abs(u) > _M)).to(tl.int32)))
    tl.store(u_at + base + i, u, here)
    tl.store(v_at + base + i, v, here)
    tl.store(hold_at + base + i, tl.maximum(hold, 0), here)


class DeviceNeurons:
    """LIF neurons and integrators with registers of 32 bits, on a GPU."""

    def __init__(self, layer: Layer, device: torch.device) -> None:
        """Send the parameters to the device."""
        p = layer.population
        threshold = np.int64(NEVER) if p.model == "integrator" else p.vth << STATE_SHIFT
        floor = np.int64(-NEVER) if p.v_min is None else p.v_min
        kept = (DECAY_UNITY - DS_OFFSET - p.du, DECAY_UNITY - p.dv)
        rows = (*kept, bias(p.bias_mant, p.bias_exp), floor, threshold, p.reset << STATE_SHIFT)
        self._parameters = tuple(torch.from_numpy(each(x, p, np.int32)).to(device) for x in rows)
        self._edges, self._cut = blocks(layer.cuts)
        self._on_device = torch.from_numpy(self._edges).to(device)
        self._most = p.max_spikes if p.model == "lif_subtract" else 0
        holds = p.refractory > 0 or bool(np.any(p.hold_init))
        self._refractory = p.refractory if holds else -1
        self._name, self._device = p.name, device

    def step(self, task: Task, tile: Tile, samples: int, sums: torch.Tensor) -> int:
        """Advance ``samples`` samples of a tile by its steps and draw what they send in the target's train.

        Args:
            task: registers, counters and train, on the host.
            tile: which rows ``sums`` (R, n) int32 are.
            samples: of the tile.
            sums: on the device.

        Returns:
            a bound of the payloads' absolute values.

        Raises:
            EscapeError: u was beyond 24 bits even after its wrap.
        """
        here = slice(tile.b0, tile.b0 + samples)
        registers = [torch.from_numpy(x[here]).to(self._device) for x in (task.state.u, task.state.v, task.state.hold)]
        n, parts = sums.shape[1], len(self._cut)
        spikes = torch.zeros((samples, tile.steps, n), dtype=torch.int32, device=self._device)
        counts = [torch.zeros((samples, tile.steps, parts), dtype=torch.int32, device=self._device) for _ in range(4)]
        kept = [torch.empty_like(spikes) if task.states is not None else spikes for _ in range(2)]
        advance[(samples, parts)](
            sums, tile.steps, n, *registers, *self._parameters, self._on_device, spikes, *counts, *kept, self._most,
            self._refractory, keeps=task.states is not None, block=BLOCK,
        )  # fmt: skip
        active, wraps, clips, beyond = (x.cpu().numpy() for x in counts)
        if beyond.any():
            raise EscapeError(self._name)
        for register, value in zip((task.state.u, task.state.v, task.state.hold), registers, strict=True):
            register[here] = value.cpu().numpy()
        steps = slice(tile.s0, tile.s0 + tile.steps)
        np.add.at(task.counters.active[here, steps].transpose(2, 0, 1), self._cut, active.transpose(2, 0, 1))
        task.counters.u_wraps[here, steps], task.counters.v_clips[here, steps] = wraps.sum(2), clips.sum(2)
        if task.states is not None:
            task.states.u[here, steps], task.states.v[here, steps] = (x.cpu().numpy() for x in kept)
        window = slice(task.target.history + tile.s0, task.target.history + tile.s0 + tile.steps)
        task.target.dense()[here, window] = spikes.to(_narrow(task.target.graded)).cpu().numpy()
        return max(1, self._most)


def _narrow(graded: bool) -> Any:
    return torch.int32 if graded else torch.uint8
