"""What fine-tuning changes: weights on their integer grids and thresholds, each behind a latent real number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from spikeport.converters.chip_network import ChipNetwork, Connectivity, Conv2d, Dense, Ints, Sparse, Synapses
from spikeport.converters.passes.quantize.weights import WeightFormat

VTH_MAX = (1 << 17) - 1
_SPIKING = ("lif", "lif_subtract")


class ChipParameters(nn.Module):
    """Latent weights in steps of each group's grid, and latent log factors of each distinct threshold.

    The integers come from rounding; its gradient is taken to be 1 (straight-through, Bengio et al. 2013,
    arXiv:1308.3432). Neurons that begin with one threshold keep one, so that no core needs more parameter sets.
    """

    def __init__(self, network: ChipNetwork, fractions: Mapping[str, NDArray[np.float64]]) -> None:
        """Start at the network's integers.

        Args:
            network: what is deployed.
            fractions: per synapse group what rounding left over, in steps of its grid, within [-1/2, 1/2]: where
                between two integers the trained weight was. Groups that are not named start on the grid.
        """
        super().__init__()
        self._network = network
        self._groups = tuple(network.synapses.values())
        spiking = {n: p for n, p in network.populations.items() if p.model in _SPIKING}
        self._vth = {n: _tied(np.broadcast_to(p.vth, (p.size,))) for n, p in spiking.items()}
        self._steps = [_format(s).step(s.sign_mode) for s in self._groups]
        start = (_on_grid(s, step, fractions.get(s.name)) for s, step in zip(self._groups, self._steps, strict=True))
        self.latents = nn.ParameterList(nn.Parameter(torch.from_numpy(x)) for x in start)
        self.factors = nn.ParameterList(nn.Parameter(torch.zeros(len(levels))) for levels, _ in self._vth.values())

    def weights(self) -> dict[str, Tensor]:
        """Integers as float32, per synapse group in the form of its array."""
        found = {}
        for group, step, latent in zip(self._groups, self._steps, self.latents, strict=True):
            low, high = _format(group).ends(group.sign_mode)
            found[group.name] = _rounded(latent).clamp(low / step, high / step) * step
        return found

    def thresholds(self) -> dict[str, Tensor]:
        """vth (n,) per spiking population."""
        return {
            name: _rounded(torch.from_numpy(levels) * torch.exp(factor)).clamp(1, VTH_MAX)[torch.from_numpy(index)]
            for (name, (levels, index)), factor in zip(self._vth.items(), self.factors, strict=True)
        }

    @torch.no_grad()
    def network(self) -> ChipNetwork:
        """The network with the integers reached so far."""
        weights, thresholds = self.weights(), self.thresholds()
        synapses = {s.name: replace(s, connectivity=_with(s.connectivity, weights[s.name])) for s in self._groups}
        populations = dict(self._network.populations)
        for name, vth in thresholds.items():
            old = populations[name].vth
            new = _integers(vth)
            populations[name] = replace(populations[name], vth=new if old.ndim else new[0].reshape(()))
        return replace(self._network, populations=populations, synapses=synapses)


def array_of(connectivity: Connectivity) -> Ints:
    """The weights of a group as they are stored: (n_target, n_source), kernels, or the entries of the csr matrix."""
    match connectivity:
        case Dense(weight):
            return weight
        case Sparse(matrix):
            return np.asarray(matrix.data)
        case Conv2d():
            return connectivity.weight


def _with(connectivity: Connectivity, weights: Tensor) -> Connectivity:
    ints = _integers(weights)
    match connectivity:
        case Dense():
            return Dense(ints)
        case Sparse(matrix):
            return Sparse(csr_array((ints, matrix.indices, matrix.indptr), shape=matrix.shape))
        case Conv2d():
            return replace(connectivity, weight=ints)


def _integers(values: Tensor) -> Ints:
    found: Ints = np.rint(values.numpy()).astype(np.int64)
    return found


def _format(synapses: Synapses) -> WeightFormat:
    return WeightFormat(synapses.num_weight_bits, synapses.weight_exp, synapses.weight_exp)


def _on_grid(synapses: Synapses, step: int, fraction: NDArray[np.float64] | None) -> NDArray[np.float32]:
    start = array_of(synapses.connectivity) / step
    return (start if fraction is None else start + fraction).astype(np.float32)


def _tied(register: Ints) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct values, and which of them each neuron has."""
    levels, index = np.unique(register, return_inverse=True)
    return levels.astype(np.float64), index.reshape(-1)


def _rounded(latent: Tensor) -> Tensor:
    return latent + (torch.round(latent) - latent).detach()
