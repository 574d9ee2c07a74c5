"""The load that slices of populations put on a core, one number per resource of the profile."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.chip_network import ChipNetwork, Ints, Population, Synapses
from spikeport.converters.connectivity import fan_out_onto
from spikeport.converters.passes.synapse_memory import synapse_bytes, tile_bytes
from spikeport.converters.passes.tiles import Tile, fan_out_onto_tile
from spikeport.converters.placement import Slice, Usage
from spikeport.hw_profiles.profile import Profile
from spikeport.hw_profiles.quantity import Count

Mask = NDArray[np.bool_]
Where: TypeAlias = slice | Ints
"""Neurons of a population, as an index."""
Ranges: TypeAlias = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Load:
    """What one core, or one slice, needs.

    Attributes:
        neurons: compartments.
        memory: bytes of synaptic memory.
        fan_out: destinations, Σ over neurons of the cores they send to.
        sources: per source population, (n_source,) whether a neuron of it has a target here.
        parameters, thresholds, formats: distinct sets, see `spikeport.hw_profiles.profile.Limits`.
    """

    neurons: int
    memory: int
    fan_out: int
    sources: Mapping[str, Mask]
    parameters: frozenset[Hashable]
    thresholds: frozenset[Hashable]
    formats: frozenset[Hashable]

    def __add__(self, other: Load) -> Load:
        """Both on one core: axons, sets and formats they have in common are needed once."""
        return Load(
            self.neurons + other.neurons,
            self.memory + other.memory,
            self.fan_out + other.fan_out,
            _union(self.sources, other.sources),
            self.parameters | other.parameters,
            self.thresholds | other.thresholds,
            self.formats | other.formats,
        )

    def usage(self, profile: Profile) -> dict[str, Usage]:
        """Used and limit per resource; resources without a limit are left out."""
        limits = profile.limits
        axons = sum(int(mask.sum()) for mask in self.sources.values())
        rows: list[tuple[str, int, Count | None, str]] = [
            ("neurons", self.neurons, limits.neurons_per_core, "compartments"),
            ("synaptic memory", self.memory, limits.synaptic_memory_bytes_per_core, "bytes"),
            ("fan-in axons", axons, limits.fan_in_axons_per_core, "axons"),
            ("fan-out axons", self.fan_out, limits.fan_out_axons_per_core, "axons"),
            ("parameter sets", len(self.parameters), limits.parameter_sets_per_core, "sets"),
            ("threshold sets", len(self.thresholds), limits.threshold_sets_per_core, "sets"),
            ("synapse formats", len(self.formats), limits.synapse_formats_per_core, "formats"),
        ]
        return {name: Usage(used, limit.value, unit) for name, used, limit, unit in rows if limit is not None}

    def fits(self, profile: Profile) -> bool:
        """Whether no resource is over its limit."""
        return all(use.used <= use.limit for use in self.usage(profile).values())

    def has_room_for(self, other: Load, profile: Profile) -> bool:
        """`fits` of the sum, asked cheaply first: most pairs already fail by neurons, memory or destinations."""
        limits = profile.limits
        return (
            self.neurons + other.neurons <= limits.neurons_per_core.value
            and self.memory + other.memory <= limits.synaptic_memory_bytes_per_core.value
            and self.fan_out + other.fan_out <= limits.fan_out_axons_per_core.value
            and (self + other).fits(profile)
        )


@dataclass(frozen=True)
class Loads:
    """Measures slices of one population.

    Attributes:
        population: whose neurons are sliced.
        into: synapse groups that end at it.
        destinations: (n,) how many cores each neuron sends to, as far as known.
        profile: the chip.
    """

    population: Population
    into: tuple[Synapses, ...]
    destinations: Ints
    profile: Profile

    def of(self, start: int, stop: int) -> Load:
        """Load of neurons ``start`` .. ``stop - 1`` on a core of their own."""
        memory = sum(synapse_bytes(s, start, stop, self.profile) for s in self.into)
        return self._load(stop - start, memory, slice(start, stop), sources_of(self.into, ((start, stop),)))

    def of_tile(self, tile: Tile) -> Load:
        """Load of a tile on a core of its own."""
        memory = sum(tile_bytes(s, tile, self.profile) for s in self.into)
        heard = ({s.source: fan_out_onto_tile(s.connectivity, tile) > 0} for s in self.into)
        return self._load(tile.size, memory, tile.index, reduce(_union, heard, {}))

    def _load(self, size: int, memory: int, where: Where, sources: Mapping[str, Mask]) -> Load:
        compartments, state_bytes = neuron_cost(self.population, self.profile)
        return Load(
            neurons=size * compartments,
            memory=memory + size * state_bytes,
            fan_out=int(self.destinations[where].sum()),
            sources=sources,
            parameters=_parameters(self.population, where),
            thresholds=_thresholds(self.population, where),
            formats=frozenset(map(_format, self.into)),
        )


def models_used(population: Population) -> tuple[str, ...]:
    """Names under which a profile must offer what ``population`` needs: its model and its options."""
    refractory = ("lif_refractory",) if population.holds else ()
    floor = ("lif_v_min",) if population.v_min is not None else ()
    return (population.model, *refractory, *floor)


def neuron_cost(population: Population, profile: Profile) -> tuple[int, int]:
    """(compartments, bytes of synaptic memory) of one neuron; the dearest of its model and options."""
    offers = [profile.neuron_models[name] for name in models_used(population)]
    return max(o.compartments for o in offers), max(o.state_bytes for o in offers)


def sources_of(into: tuple[Synapses, ...], ranges: Ranges) -> dict[str, Mask]:
    """Per source population, (n_source,) whether a neuron of it has a target in ``ranges``."""
    masks = ({s.source: fan_out_onto(s.connectivity, ranges) > 0} for s in into)
    return reduce(_union, masks, {})


def core_sources(network: ChipNetwork, slices: tuple[Slice, ...]) -> dict[str, Mask]:
    """`sources_of` for a whole core: whose spikes it must receive."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for s in slices:
        ranges.setdefault(s.population, []).append((s.start, s.stop))
    return reduce(_union, (sources_of(network.into(name), held) for name, held in ranges.items()), {})


def _union(a: Mapping[str, Mask], b: Mapping[str, Mask]) -> dict[str, Mask]:
    both = {key: a[key] | b[key] for key in a.keys() & b.keys()}
    return {**a, **b, **both}


def _format(s: Synapses) -> Hashable:
    kind = type(s.connectivity).__name__
    return (kind, s.weight_exp, s.num_weight_bits, s.sign_mode, s.max_delay.bit_length(), s.graded)


def _parameters(p: Population, where: Where) -> frozenset[Hashable]:
    floor = np.int64(0) if p.v_min is None else p.v_min
    rows = _distinct((p.du, p.dv, floor), where)
    fixed = (p.model, p.refractory, p.v_min is None, p.spike_exp, p.state_exp, p.rectified)
    return frozenset((*fixed, *row) for row in rows)


def _thresholds(p: Population, where: Where) -> frozenset[Hashable]:
    return frozenset(_distinct((p.vth, p.reset), where))


def _distinct(registers: tuple[Ints | np.int64, ...], where: Where) -> set[tuple[int, ...]]:
    """Distinct combinations of registers, each 0-d or (n,), among neurons ``where``."""
    columns = [np.asarray(r)[where] if np.ndim(r) else np.asarray(r) for r in registers]
    stacked = np.stack([c.reshape(-1) for c in np.broadcast_arrays(*columns)], axis=1)
    if len(stacked) == 1:
        return {tuple(stacked[0].tolist())}
    return set(map(tuple, np.unique(stacked, axis=0).tolist()))
