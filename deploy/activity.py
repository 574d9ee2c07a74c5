"""Activity: what a run did, counted where an energy model needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import Connectivity, Conv2d, Dense, Sparse

Counts = NDArray[np.int64]
CoreCounts = NDArray[np.int32]
"""Per core and step: below 2^31, since a core stores far fewer synapses than that and each acts once in a step."""

Kind: TypeAlias = Literal["dense", "sparse", "conv"]


def kind_of(connectivity: Connectivity) -> Kind:
    """The kind under which a group's synaptic operations are counted; price lists tell kinds apart."""
    match connectivity:
        case Dense():
            return "dense"
        case Sparse():
            return "sparse"
        case Conv2d():
            return "conv"


@dataclass(frozen=True)
class PopulationActivity:
    """Counts of one population; B samples, T chip steps, n neurons.

    Attributes:
        neurons: n.
        spikes: (B, T) spikes sent (a graded spike counts once).
        active: (B, T) neurons whose u or v changed, or that spiked: those with something to compute.
        per_neuron: (B, n) messages of each neuron over the whole run: a graded spike counts once.
        payload: spikes of the whole run with their payloads: a graded spike of 3 or -3 counts three times.
        u_wraps: how often a synaptic current left 24 bits and wrapped; of sigma-delta units, sigmas beyond 24 bits.
        v_clips: how often a membrane potential left 24 bits and was clipped; of sigma-delta units, activations beyond.
    """

    neurons: int
    spikes: Counts
    active: Counts
    per_neuron: Counts
    payload: int = 0
    u_wraps: int = 0
    v_clips: int = 0


@dataclass(frozen=True)
class Activity:
    """Counts of a whole run; what is counted per core is (B, T, cores), cores as in the placement.

    Attributes:
        batch: B, samples.
        steps: T, chip steps per sample (input steps + pipeline depth).
        populations: per population, input populations included.
        synops: per synapse group, (B, T) synaptic operations, counted at the step in which they are delivered.
        core_synops: per kind of synapses, the operations each core carries out.
        core_active: active neurons of each core, apart by what they need of a chip: its neuron model and options, as
            `spikeport.converters.passes.core_load.models_used` names them. A chip may take several compartments for
            one such neuron; which, only its profile knows.
        core_spikes: spikes of each core's neurons.
        core_packets_out, core_packets_in: spike packets that leave and enter each core; a spike sends one packet to
            each core that holds at least one of its targets.
        traffic: (cores + 1, cores) packets from core to core over the whole batch. The last row is the outside world
            (inputs).
        used: (B,) chip steps that each sample ran, where samples were stopped early; None: all ran ``steps``.
    """

    batch: int
    steps: int
    populations: Mapping[str, PopulationActivity]
    synops: Mapping[str, Counts]
    core_synops: Mapping[Kind, CoreCounts]
    core_active: Mapping[tuple[str, ...], CoreCounts]
    core_spikes: CoreCounts
    core_packets_out: CoreCounts
    core_packets_in: CoreCounts
    traffic: Counts
    used: Counts | None = None

    @property
    def mean_steps(self) -> float:
        """Chip steps per sample that were run."""
        return float(self.steps) if self.used is None else float(self.used.mean())
