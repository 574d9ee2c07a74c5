"""Activity: what a run did, counted where an energy model needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class PopulationActivity:
    """Counts of one population; B samples, T chip steps, n neurons.

    Attributes:
        neurons: n.
        spikes: (B, T) spikes sent (a graded spike counts once).
        active: (B, T) neurons whose u or v changed, or that spiked: those with something to compute.
        per_neuron: (B, n) spikes of each neuron over the whole run.
        u_wraps: how often a synaptic current left 24 bits and wrapped.
        v_clips: how often a membrane potential left 24 bits and was clipped.
    """

    neurons: int
    spikes: Counts
    active: Counts
    per_neuron: Counts
    u_wraps: int = 0
    v_clips: int = 0


@dataclass(frozen=True)
class Activity:
    """Counts of a whole run.

    Attributes:
        batch: B, samples.
        steps: T, chip steps per sample (input steps + pipeline depth).
        populations: per population, input populations included.
        synops: per synapse group, (B, T) synaptic operations, counted at the step in which they are delivered.
        core_synops, core_active, core_spikes, core_packets: (B, T, cores), per core of the placement: synaptic
            operations received, active neurons, spikes sent, spike packets received.
        traffic: (cores + 1, cores) spike packets from core to core over the whole batch; a spike sends one packet to
            each core that holds at least one of its targets. The last row is the outside world (inputs).
    """

    batch: int
    steps: int
    populations: Mapping[str, PopulationActivity]
    synops: Mapping[str, Counts]
    core_synops: Counts
    core_active: Counts
    core_spikes: Counts
    core_packets: Counts
    traffic: Counts
