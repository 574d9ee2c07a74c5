"""A ChipNetwork forward in integers and backward in surrogate gradients: equal to the simulator, step for step.

What is on no loop runs layer by layer over all time steps; the populations of a loop go together, as many steps at
once as the shortest delay within the loop allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn import functional

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.schedule import Stage, schedule
from spikeport.errors import UnsupportedOnChipError
from spikeport.models.finetuning.scan import Cells, Registers, cells_of, scan

EXACT = 1 << 24
"""Integer sums below this are exact in float32, whatever their order."""
_KNOWN = ("input", "lif", "lif_subtract", "integrator")


@dataclass(frozen=True)
class _Trains:
    """spikes and v of one population, step by step or in longer pieces, (B, k, n) each."""

    spikes: list[Tensor]
    v: list[Tensor]


class Forward:
    """The program of a ChipNetwork, for weights and thresholds that may change from call to call."""

    def __init__(self, network: ChipNetwork) -> None:
        """Order the populations.

        Raises:
            UnsupportedOnChipError: a neuron model without a surrogate gradient (sigma-delta).
        """
        for name, p in network.populations.items():
            if p.model not in _KNOWN:
                known = ", ".join(_KNOWN)
                raise UnsupportedOnChipError(
                    f"{name}: a {p.model} population has no spikes to learn from; fine-tuning takes {known}."
                )
        self._network = network
        self._stages = schedule(network)
        inside = {n: p for n, p in network.populations.items() if p.model != "input"}
        self._cells: dict[str, Cells] = {n: cells_of(p) for n, p in inside.items()}
        self._bias = {n: _flat(p, p.bias_mant << p.bias_exp) for n, p in inside.items()}
        self._idle = {n: _flat(p, p.vth) for n, p in inside.items()}

    def __call__(self, spikes: Tensor, weights: Mapping[str, Tensor], thresholds: Mapping[str, Tensor]) -> Tensor:
        """Run a batch from the initial state.

        Args:
            spikes: (B, T, n) of the one input.
            weights: per synapse group, see `spikeport.models.finetuning.parameters.ChipParameters`.
            thresholds: vth (n,) per spiking population.

        Returns:
            (B, T, n) of the output population, on the input's clock: spikes, or v where it is an integrator.
        """
        (source,), output = self._network.inputs, self._network.outputs[0]
        steps = spikes.shape[1] + self._network.depth
        padded = functional.pad(spikes, (0, 0, 0, self._network.depth))
        trains = {
            n: _Trains([spikes.new_zeros((len(spikes), 0, p.size))], []) for n, p in self._network.populations.items()
        }
        trains[source].spikes.append(padded)
        states = {n: self._start(n, len(spikes)) for n in self._cells}
        for stage in self._stages:
            self._run(stage, steps, trains, states, weights, {**self._idle, **thresholds})
        population = self._network.populations[output]
        found = trains[output].v if population.model == "integrator" else trains[output].spikes
        return torch.cat(found, 1)[:, population.shift : population.shift + spikes.shape[1]]

    def _run(
        self,
        stage: Stage,
        steps: int,
        trains: Mapping[str, _Trains],
        states: dict[str, Registers],
        weights: Mapping[str, Tensor],
        vth: Mapping[str, Tensor],
    ) -> None:
        stride = stage.stride or steps
        for start in range(0, steps, stride):
            stop = min(start + stride, steps)
            for name in stage.populations:
                groups = self._network.into(name)
                heard = [self._arrive(s, weights[s.name], trains[s.source], start, stop) for s in groups]
                silence = torch.zeros((len(states[name].u), stop - start, self._network.populations[name].size))
                arrived = sum(heard, silence)
                found = scan(arrived, self._bias[name], vth[name], states[name], self._cells[name])
                states[name] = found.end
                trains[name].spikes.append(found.spikes)
                trains[name].v.append(found.v)

    def _start(self, name: str, batch: int) -> Registers:
        p = self._network.populations[name]
        u, v = (_flat(p, x).expand(batch, p.size) for x in (p.u_init, p.v_init))
        return Registers(u, v, torch.full((batch, p.size), p.hold_init))

    def _arrive(self, synapses: Synapses, weights: Tensor, source: _Trains, start: int, stop: int) -> Tensor:
        """a of steps ``start`` .. ``stop`` - 1 from one group: each delay's sum is shifted on its own."""
        train = torch.cat(source.spikes, 1)
        delays = np.unique(synapses.delay)
        total = torch.zeros(())
        for delay in delays.tolist():
            sent = _window(train, start - 1 - delay, stop - 1 - delay)
            if len(delays) > 1:
                sent = sent * torch.from_numpy(np.asarray(synapses.delay) == delay)
            if not synapses.graded:
                sent = sent + ((sent != 0).to(sent.dtype) - sent).detach()
            total = total + _shifted(_sums(synapses, weights, sent), synapses.weight_exp)
        return total


def _flat(p: Population, register: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Tensor:
    return torch.from_numpy(np.broadcast_to(register, (p.size,)).astype(np.float64))


def _window(train: Tensor, start: int, stop: int) -> Tensor:
    """Steps ``start`` .. ``stop`` - 1 of (B, W, n), silent before the first."""
    held = train[:, max(start, 0) : max(stop, 0)]
    return functional.pad(held, (0, 0, stop - start - held.shape[1], 0))


def _shifted(sums: Tensor, exponent: int) -> Tensor:
    if exponent >= 0:
        return sums * 2.0**exponent
    exact = sums * 2.0**exponent
    return exact + (torch.floor(exact) - exact).detach()


def _sums(synapses: Synapses, weights: Tensor, sent: Tensor) -> Tensor:
    """W · s, (B, k, n_target); exact: float32 where no sum can leave its integers, else float64."""
    largest = _heaviest(synapses, weights.detach()) * float(sent.detach().abs().max() if sent.numel() else 0)
    if largest >= EXACT:
        weights, sent = weights.double(), sent.double()
    flat = sent.flatten(0, 1)
    match synapses.connectivity:
        case Dense():
            found = functional.linear(flat, weights)
        case Sparse(matrix):
            found = _sparse(matrix, weights, flat)
        case Conv2d() as conv:
            image = flat.reshape(-1, *conv.source_shape)
            found = functional.conv2d(image, weights, None, conv.stride, conv.padding, conv.dilation, conv.groups)
            # A library's convolution may transform; its integers are back after rounding.
            found = (found + (torch.round(found) - found).detach()).reshape(len(flat), -1)
    return found.reshape(*sent.shape[:2], -1).float()


def _heaviest(synapses: Synapses, weights: Tensor) -> float:
    if isinstance(synapses.connectivity, Sparse):
        return float(weights.abs().sum())
    return float(weights.abs().flatten(1).sum(1).max()) if weights.numel() else 0.0


def _sparse(matrix: csr_array, weights: Tensor, flat: Tensor) -> Tensor:
    index = torch.from_numpy(np.stack(matrix.tocoo().coords).astype(np.int64))
    sparse = torch.sparse_coo_tensor(index, weights, matrix.shape, check_invariants=True)
    found: Tensor = torch.sparse.mm(sparse, flat.T).T
    return found
