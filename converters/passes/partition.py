"""Partition: cut populations into core-sized slices under every limit of the profile, and name the limit that binds.

Each population is cut into as few slices as its limits allow, of even size; slices then go, in the order of the
flow, to the latest core that still has room. How many destinations a neuron has depends on how its targets were cut,
so cutting is repeated with the counts found until the fan-out of every core fits, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Ints
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.passes.chip_limits import check_chip_limits
from spikeport.converters.passes.core_load import Load, Loads, Mask, core_sources
from spikeport.converters.placement import Core, Slice
from spikeport.errors import DoesNotFitError
from spikeport.hw_profiles.profile import Profile

Edges = tuple[int, ...]

_ADVICE = {
    "neurons": "make the layer's neuron model cheaper or choose a chip with larger cores",
    "synaptic memory": "prune the layer, use fewer weight bits, or avoid split weights",
    "fan-in axons": "pool, stride or prune what the layer listens to",
    "fan-out axons": "choose a smaller kernel, more stride or fewer channels in the layers it feeds",
    "parameter sets": "let neurons share decays",
    "threshold sets": "let neurons share thresholds",
    "synapse formats": "let synapse groups share exponents and widths",
}


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
        edges = {n: _cut(loads[n]) for n in names}
        packed = _pack(loads, edges, profile)
        _check_core_count(len(packed), edges, profile)
        found = _destinations(network, [tuple(core.slices) for core in packed])
        cores = tuple(_close(core, found, profile) for core in packed)
        if all(use.used <= use.limit for core in cores for use in core.usage.values()):
            break
        destinations = {n: np.maximum(destinations[n], found[n]) for n in destinations}
    binding = {n: _binding(loads[n], edges[n]) for n in names}
    return Outcome((cores, binding), tuple(_finding(n, edges[n], binding[n], profile) for n in names))


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


def _cut(loads: Loads) -> Edges:
    """Slice borders, as even as the limits allow; whole channels of a convolution where that costs no core."""
    greedy = _greedy_cut(loads)
    size, pieces = loads.population.size, len(greedy) - 1
    for unit in (_plane(loads), 1):
        blocks = -(-size // unit)
        edges = (*(unit * (blocks * k // pieces) for k in range(pieces)), size)
        if len(set(edges)) == len(edges) and _all_fit(loads, edges):
            return edges
    return greedy


def _plane(loads: Loads) -> int:
    convs = [s.connectivity for s in loads.into if isinstance(s.connectivity, Conv2d)]
    return max((c.target_shape[1] * c.target_shape[2] for c in convs), default=1)


def _all_fit(loads: Loads, edges: Edges) -> bool:
    return all(loads.of(a, b).fits(loads.profile) for a, b in pairwise(edges))


def _greedy_cut(loads: Loads) -> Edges:
    edges, guess = [0], min(loads.population.size, loads.profile.limits.neurons_per_core.value)
    while edges[-1] < loads.population.size:
        guess = _longest(loads, edges[-1], guess)
        edges.append(edges[-1] + guess)
    return tuple(edges)


def _longest(loads: Loads, start: int, guess: int) -> int:
    """The longest slice from ``start`` that fits; the search gallops away from ``guess``, then halves.

    Raises:
        DoesNotFitError: not even one neuron fits.
    """
    most = loads.population.size - start
    fits, fails, step = 0, most + 1, 1
    trial = min(guess, most)
    while fits + 1 < fails:
        if loads.of(start, start + trial).fits(loads.profile):
            fits = trial
            trial = min(fits + step, fails - 1) if fails > most else (fits + fails) // 2
        else:
            fails = trial
            trial = max(fails - step, 1) if fits == 0 else (fits + fails) // 2
        step *= 2
    if fits == 0:
        _refuse_neuron(loads, start)
    return fits


def _refuse_neuron(loads: Loads, index: int) -> None:
    usage = loads.of(index, index + 1).usage(loads.profile)
    name, use = max(usage.items(), key=lambda item: item[1].used / item[1].limit)
    raise DoesNotFitError(
        f"layer {loads.population.name}: its neuron {index} alone needs {use.used} {use.unit} ({name}), "
        f"a core of {loads.profile.name} has {use.limit}; {_ADVICE[name]}"
    )


def _pack(loads: Mapping[str, Loads], edges: Mapping[str, Edges], profile: Profile) -> list[_OpenCore]:
    """Each slice, in the order of the flow, onto the latest core with room that holds no other slice of its layer."""
    cores: list[_OpenCore] = []
    for name, borders in edges.items():
        others = cores[::-1]
        for start, stop in pairwise(borders):
            load = loads[name].of(start, stop)
            home = next((core for core in others if core.load.has_room_for(load, profile)), None)
            if home is None:
                cores.append(_OpenCore([Slice(name, start, stop)], load))
            else:
                home.slices.append(Slice(name, start, stop))
                home.load = home.load + load
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


def _check_core_count(cores: int, edges: Mapping[str, Edges], profile: Profile) -> None:
    available = profile.limits.cores.value * profile.limits.chips.value
    if cores > available:
        largest = max(edges, key=lambda name: len(edges[name]))
        raise DoesNotFitError(
            f"the network needs {cores} cores, {profile.name} has {available} "
            f"({profile.limits.chips.value} x {profile.limits.cores.value}); layer {largest} needs most "
            f"({len(edges[largest]) - 1}): make it smaller or choose a larger chip"
        )


def _binding(loads: Loads, edges: Edges) -> str:
    """What a slice runs out of when it is made longer than it is; where one core holds all, what is used most."""
    pieces = len(edges) - 1
    stop = min(loads.population.size, -(-loads.population.size // max(pieces - 1, 1)))
    usage = loads.of(0, stop).usage(loads.profile)
    return max(usage, key=lambda name: usage[name].used / usage[name].limit)


def _finding(name: str, edges: Edges, binding: str, profile: Profile) -> Finding:
    pieces = len(edges) - 1
    cores = "1 core" if pieces == 1 else f"{pieces} cores"
    limit = _limit_text(binding, profile)
    verb = "binds" if pieces > 1 else "is what it uses most of"
    return Finding("cores-needed", "info", name, f"layer {name} needs {cores}: {limit} {verb}")


def _limit_text(binding: str, profile: Profile) -> str:
    limit = Load(0, 0, 0, {}, frozenset(), frozenset(), frozenset()).usage(profile)[binding]
    if binding == "synaptic memory":
        return f"synaptic memory {limit.limit / 1024:g} KB/core"
    return f"{binding} {limit.limit}/core" if limit.unit in binding else f"{binding} {limit.limit} {limit.unit}/core"
