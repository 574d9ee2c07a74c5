"""Pair: a trained network and the deployment that came from it, brought to one vocabulary and checked to belong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from spikeport.converters.chain import Chain
from spikeport.converters.chip_network import ChipNetwork, Connectivity, Conv2d, Dense, Sparse, Synapses
from spikeport.converters.circuit import (
    Circuit,
    ConvMap,
    DenseMap,
    FloatMap,
    FloatPopulation,
    InputCode,
    SparseWeights,
)
from spikeport.converters.findings import Finding
from spikeport.converters.network import Network, Neuron
from spikeport.converters.passes.lower import MOST_SPIKES
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.encode import largest, unit
from spikeport.errors import DataError


@dataclass(frozen=True)
class Pair:
    """Both sides.

    Attributes:
        network: the trained network.
        lowered: the same in the chip's vocabulary, on its own clock.
        aligned: on the chip's clock, relays included.
        ideal: populations as the trained network has them where the chip's model is another; by name.
        chip: the integer program.
        groups: the synapse groups that carry each connection of ``aligned``.
        maps: the integer weights of each group as a float map.
        findings: doubts that the two belong together.
    """

    network: Network
    lowered: Circuit
    aligned: Circuit
    ideal: Mapping[str, IdealNeuron]
    chip: ChipNetwork
    groups: Mapping[str, tuple[Synapses, ...]]
    maps: Mapping[str, FloatMap]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class IdealNeuron:
    """A population as trained, and the words for what the chip's model leaves out (empty where nothing)."""

    population: FloatPopulation
    most: float
    carries: bool
    lost: tuple[str, ...]


def pair(network: Network, deployment: Deployment) -> Pair:
    """Lower the network as `compile` did and hold it against the deployment.

    Raises:
        DataError: the deployment was compiled from another network, or from integers.
    """
    chip = deployment.network
    if not deployment.quantization.synapses:
        raise DataError(
            "the deployment was compiled from integers (a lava-dl .net file): there is no float network behind it, "
            "and nothing was quantized that could be compared"
        )
    chain = Chain(deployment.profile)
    encoder = deployment.codec.encoder
    lowered = chain.lowered(network, InputCode(unit(encoder), largest(encoder)))
    aligned = chain.aligned(lowered)
    groups = _groups(deployment, aligned)
    ideal = {n: _ideal(network.nodes[n], p) for n, p in lowered.populations.items() if n in network.nodes}
    maps = {s.name: _as_map(s.connectivity) for s in chip.synapses.values()}
    return Pair(network, lowered, aligned, ideal, chip, groups, maps, tuple(_doubts(network, deployment)))


def _as_map(connectivity: Connectivity) -> FloatMap:
    """Integer weights in a float map's clothes."""
    match connectivity:
        case Dense(weight):
            return DenseMap(weight.astype(np.float64))
        case Sparse(matrix):
            return SparseWeights(csr_array(matrix.astype(np.float64)))
        case Conv2d(weight, source, target, stride, padding, dilation, groups):
            return ConvMap(weight.astype(np.float64), source, target, stride, padding, dilation, groups)


def _groups(deployment: Deployment, aligned: Circuit) -> dict[str, tuple[Synapses, ...]]:
    chip, errors = deployment.network, deployment.quantization.synapses
    for name in sorted({*chip.populations, *aligned.populations}):
        ours, theirs = aligned.populations.get(name), chip.populations.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape or ours.model != theirs.model:
            raise _stranger(name, ours and (ours.model, ours.shape), theirs and (theirs.model, theirs.shape))
    if missing := sorted(set(aligned.connections) ^ set(errors)):
        raise _stranger(missing[0], missing[0] in aligned.connections, missing[0] in errors)
    return {name: tuple(chip.synapses[group] for group in error.groups) for name, error in errors.items()}


def _stranger(name: str, ours: object, theirs: object) -> DataError:
    def said(side: object) -> str:
        if isinstance(side, tuple):
            return f"{side[0]} of shape {side[1]}"
        return "present" if side else "missing"

    return DataError(
        f"the deployment was not compiled from this network: '{name}' is {said(ours)} in the network and "
        f"{said(theirs)} in the deployment. Compile the network again, or name the model the deployment came from."
    )


def _doubts(network: Network, deployment: Deployment) -> Iterator[Finding]:
    made = deployment.provenance
    if made.source_hash != network.source_hash:
        ours, theirs = (f"{h[:12]}…" if h else "made in memory" for h in (network.source_hash, made.source_hash))
        message = (
            f"the deployment was compiled from another file ({theirs}) than this network ({ours}); their structure is "
            "the same, so weights may differ for reasons that have nothing to do with the chip."
        )
        yield Finding("other-source", "warning", "", message, "Compile this network, or compare with its own file.")
    if made.dialect != network.dialect:
        message = f"read as '{network.dialect}', but the deployment was compiled as '{made.dialect}'."
        yield Finding("other-dialect", "warning", "", message, f"Say --dialect {made.dialect}.")


def _ideal(node: object, p: FloatPopulation) -> IdealNeuron:
    """What `lower` would give for a chip that offers every neuron model."""
    if not isinstance(node, Neuron) or not node.spiking:
        return IdealNeuron(p, float(p.max_spikes), False, ())
    most = float(min(node.max_spikes or MOST_SPIKES, MOST_SPIKES))
    refractory = int(node.reset_delay == 1 and node.reset_discards_input and p.model == "lif")
    lowest = None if node.v_min is None else np.asarray(node.v_min, np.float64) - p.offset
    lost = {
        "single-spike": most > p.max_spikes,
        "refractory-dropped": refractory != p.refractory,
        "v-min-dropped": lowest is not None and p.v_min is None,
        "reset-carry-dropped": node.reset_carries,
    }
    trained = replace(p, refractory=refractory, v_min=lowest)
    return IdealNeuron(trained, most, node.reset_carries, tuple(word for word, gone in lost.items() if gone))
