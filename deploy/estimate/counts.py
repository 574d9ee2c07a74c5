"""Counts: how often each priced event happens per inference, by layer and by core.

Events are those of `spikeport.hw_profiles.prices.Prices`. All counts are means over the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.mesh import hops
from spikeport.converters.passes.core_load import core_sources, models_used
from spikeport.converters.placement import Placement
from spikeport.deploy.activity import Activity, CoreCounts, Kind, kind_of
from spikeport.hw_profiles.profile import Profile

PerCore = NDArray[np.float64]

EVENTS = (
    "synaptic_op_dense",
    "synaptic_op_sparse",
    "synaptic_op_conv",
    "neuron_access",
    "neuron_update_active",
    "neuron_update_inactive",
    "spike_out",
    "axon_out",
    "axon_in",
    "spike_within_tile",
    "hop_east_west",
    "hop_north_south",
    "chip_crossing",
    "input_packet",
)

_SYNAPTIC = EVENTS[:3]


@dataclass(frozen=True)
class EventCounts:
    """Events per inference.

    Attributes:
        by_layer: per event, per population. A synaptic operation belongs to its target, a packet to its sender.
        by_core: per event, (cores,). A packet's way belongs to the core that sent it, its arrival to the receiver.
    """

    by_layer: Mapping[str, Mapping[str, float]]
    by_core: Mapping[str, PerCore]

    def total(self, event: str) -> float:
        """Events of one kind per inference, all layers."""
        return float(sum(self.by_layer[event].values()))


def synaptic_event(kind: Kind) -> str:
    """The priced event of one synaptic operation of that kind."""
    return f"synaptic_op_{kind}"


def compartments(models: tuple[str, ...], profile: Profile) -> int:
    """Compartments of a neuron that uses ``models``, on the chip that is priced; 1 where it does not offer them."""
    offers = [profile.neuron_models.get(name) for name in models]
    return max((offer.compartments for offer in offers if offer is not None), default=1)


def count_events(network: ChipNetwork, placement: Placement, activity: Activity, profile: Profile) -> EventCounts:
    """All events of one inference."""
    layers = {
        **_synaptic_by_layer(network, activity),
        **_neuron_by_layer(network, activity, profile),
        **_packets_by_layer(network, placement, activity),
    }
    cores = {
        **_synaptic_by_core(placement, activity),
        **_neuron_by_core(network, placement, activity, profile),
        **_packets_by_core(placement, activity),
    }
    return EventCounts(layers, cores)


def _synaptic_by_layer(network: ChipNetwork, activity: Activity) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {event: {} for event in _SYNAPTIC}
    for s in network.synapses.values():
        row = found[synaptic_event(kind_of(s.connectivity))]
        row[s.target] = row.get(s.target, 0.0) + float(activity.synops[s.name].sum()) / activity.batch
    return found


def _neuron_by_layer(network: ChipNetwork, activity: Activity, profile: Profile) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {event: {} for event in EVENTS[3:7]}
    for name, population in network.populations.items():
        if population.model == "input":
            continue
        each, done = compartments(models_used(population), profile), activity.populations[name]
        active = each * float(done.active.sum()) / activity.batch
        everything = each * done.neurons * activity.mean_steps
        found["neuron_access"][name] = everything
        found["neuron_update_active"][name] = active
        found["neuron_update_inactive"][name] = everything - active
        found["spike_out"][name] = float(done.spikes.sum()) / activity.batch
    return found


def _packets_by_layer(network: ChipNetwork, placement: Placement, activity: Activity) -> dict[str, dict[str, float]]:
    """Packets of every neuron, from its spikes and the cores that listen to it."""
    listeners = [core_sources(network, core.slices) for core in placement.cores]
    layers = {name: _packets_of(name, network, placement, activity, listeners) for name in network.populations}
    return {event: {name: float(rows[event].sum()) for name, rows in layers.items()} for event in EVENTS[7:]}


def _packets_of(
    name: str,
    network: ChipNetwork,
    placement: Placement,
    activity: Activity,
    listeners: list[dict[str, NDArray[np.bool_]]],
) -> dict[str, PerCore]:
    """Events of one population's packets, from its own (cores + 1, cores) traffic."""
    spikes = activity.populations[name].per_neuron.sum(0)
    cores = len(placement.cores)
    traffic = np.zeros((cores + 1, cores))
    homes = [(i, s.start, s.stop) for i, c in enumerate(placement.cores) for s in c.slices if s.population == name]
    for sender, start, stop in homes or [(cores, 0, len(spikes))]:
        for receiver, masks in enumerate(listeners):
            if name in masks:
                traffic[sender, receiver] += spikes[start:stop] @ masks[name][start:stop]
    return _network_events(traffic / activity.batch, placement)


def _packets_by_core(placement: Placement, activity: Activity) -> dict[str, PerCore]:
    return _network_events(activity.traffic / activity.batch, placement)


def _network_events(traffic: NDArray[np.float64], placement: Placement) -> dict[str, PerCore]:
    """Events of ``traffic`` (cores + 1, cores), packets per inference; the way of input packets is not known."""
    inside, outside = traffic[:-1], traffic[-1]
    east_west, north_south, crossings = hops(placement.seats)
    return {
        "axon_out": inside.sum(1),
        "axon_in": inside.sum(0) + outside,
        "spike_within_tile": inside.sum(0) + outside,
        "hop_east_west": (inside * east_west).sum(1),
        "hop_north_south": (inside * north_south).sum(1),
        "chip_crossing": (inside * crossings).sum(1),
        "input_packet": outside,
    }


def _synaptic_by_core(placement: Placement, activity: Activity) -> dict[str, PerCore]:
    done = {synaptic_event(kind): _per_inference(counts, activity) for kind, counts in activity.core_synops.items()}
    return {event: done.get(event, np.zeros(len(placement.cores))) for event in _SYNAPTIC}


def _neuron_by_core(
    network: ChipNetwork, placement: Placement, activity: Activity, profile: Profile
) -> dict[str, PerCore]:
    held = core_compartments(network, placement, profile)
    active = np.zeros(len(held))
    for models, counts in activity.core_active.items():
        active += compartments(models, profile) * _per_inference(counts, activity)
    return {
        "neuron_access": held * activity.mean_steps,
        "neuron_update_active": active,
        "neuron_update_inactive": held * activity.mean_steps - active,
        "spike_out": _per_inference(activity.core_spikes, activity),
    }


def _per_inference(counts: CoreCounts, activity: Activity) -> PerCore:
    """(cores,) of (B, T, cores)."""
    found: PerCore = counts.sum((0, 1)) / activity.batch
    return found


def core_compartments(network: ChipNetwork, placement: Placement, profile: Profile) -> PerCore:
    """(cores,) compartments."""
    each = {name: compartments(models_used(p), profile) for name, p in network.populations.items()}
    rows = [sum(s.size * each[s.population] for s in core.slices) for core in placement.cores]
    return np.array(rows, dtype=np.float64)
