"""Partition: cut populations into core-sized slices under every limit of the profile, and name the limit that binds.

Each population is cut into as few pieces as its limits allow, of even size; pieces then go, in the order of the
flow, to the latest core that still has room. How many destinations a neuron has depends on how its targets were cut,
so cutting is repeated with the counts found until the fan-out of every core fits, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Ints
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.passes.chip_limits import check_chip_limits
from spikeport.converters.passes.core_load import Load, Loads, Mask, core_sources
from spikeport.converters.passes.cut import Cut, cut
from spikeport.converters.placement import Core, Slice
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import Profile


@dataclass
class _OpenCore:
    slices: list[Slice]
    load: Load


def partition(network: ChipNetwork, profile: Profile) -> Outcome[tuple[tuple[Core, ...], Mapping[str, str]]]:
    """Cores with their slices and usage, and per population the resource that binds.

    Input populations live outside the chip and occupy no core.

    Raises:
        UnsupportedOnChipError: a register, weight format or neuron model is outside the profile.
        DoesNotFitError: one neuron alone exceeds a limit, or the cores do not suffice.
    """
    check_chip_limits(network, profile)
    names = _flow_order(network)
    destinations = {name: np.zeros(p.size, dtype=np.int64) for name, p in network.populations.items()}
    while True:
        loads = {n: Loads(network.populations[n], network.into(n), destinations[n], profile) for n in names}
        cuts = {n: cut(loads[n]) for n in names}
        packed = _pack(cuts, profile)
        _check_core_count(len(packed), cuts, profile)
        found = _destinations(network, [tuple(core.slices) for core in packed])
        cores = tuple(_close(core, found, profile) for core in packed)
        if all(use.used <= use.limit for core in cores for use in core.usage.values()):
            break
        destinations = {n: np.maximum(destinations[n], found[n]) for n in destinations}
    binding = {n: cuts[n].binding for n in names}
    return Outcome((cores, binding), tuple(_finding(n, cuts[n], profile) for n in names))


def core_reach(network: ChipNetwork, cores: Sequence[Core]) -> Ints:
    """(cores, cores) neurons of core i that have a target on core j: the packets if each spiked once."""
    reach = np.zeros((len(cores), len(cores)), dtype=np.int64)
    for j, core in enumerate(cores):
        masks = core_sources(network, core.slices)
        for i, source in enumerate(cores):
            reach[i, j] = sum(_hits(masks, s) for s in source.slices)
    return reach


def _hits(masks: Mapping[str, Mask], s: Slice) -> int:
    return int(masks[s.population][s.start : s.stop].sum()) if s.population in masks else 0


def _flow_order(network: ChipNetwork) -> list[str]:
    inside = [name for name, p in network.populations.items() if p.model != "input"]
    return sorted(inside, key=lambda name: network.populations[name].shift)


def _pack(cuts: Mapping[str, Cut], profile: Profile) -> list[_OpenCore]:
    """Each piece, in the order of the flow, onto the latest core with room that holds no other piece of its layer."""
    cores: list[_OpenCore] = []
    for made in cuts.values():
        others = cores[::-1]
        for piece in made.pieces:
            home = next((core for core in others if core.load.has_room_for(piece.load, profile)), None)
            if home is None:
                cores.append(_OpenCore(list(piece.slices), piece.load))
            else:
                home.slices += piece.slices
                home.load = home.load + piece.load
                others.remove(home)
    return cores


def _destinations(network: ChipNetwork, cores: Sequence[tuple[Slice, ...]]) -> dict[str, Ints]:
    """Per population, (n,) the number of cores that hold a target of each neuron."""
    found = {name: np.zeros(p.size, dtype=np.int64) for name, p in network.populations.items()}
    for slices in cores:
        for source, mask in core_sources(network, slices).items():
            found[source] += mask
    return found


def _close(core: _OpenCore, destinations: Mapping[str, Ints], profile: Profile) -> Core:
    """The packed core, its fan-out counted against the final cut."""
    sent = sum(int(destinations[s.population][s.start : s.stop].sum()) for s in core.slices)
    return Core(tuple(core.slices), replace(core.load, fan_out=sent).usage(profile))


def _check_core_count(cores: int, cuts: Mapping[str, Cut], profile: Profile) -> None:
    available = profile.limits.cores.value * profile.limits.chips.value
    if cores > available:
        largest = max(cuts, key=lambda name: len(cuts[name].pieces))
        raise DoesNotFitError(
            f"the network needs {cores} cores, {profile.name} has {available} "
            f"({profile.limits.chips.value} x {profile.limits.cores.value}); layer {largest} needs most "
            f"({len(cuts[largest].pieces)}): make it smaller or choose a larger chip"
        )


def _finding(name: str, made: Cut, profile: Profile) -> Finding:
    pieces = len(made.pieces)
    cores = "1 core" if pieces == 1 else f"{pieces} cores"
    limit = _limit_text(made.binding, profile)
    verb = "binds" if pieces > 1 else "is what it uses most of"
    return Finding("cores-needed", "info", name, f"layer {name} needs {cores}: {limit} {verb}")


def _limit_text(binding: str, profile: Profile) -> str:
    limit = Load(0, 0, 0, {}, frozenset(), frozenset(), frozenset()).usage(profile)[binding]
    if binding == "synaptic memory":
        return f"synaptic memory {limit.limit / 1024:g} KB/core"
    return f"{binding} {limit.limit}/core" if limit.unit in binding else f"{binding} {limit.limit} {limit.unit}/core"
