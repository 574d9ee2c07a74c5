"""Names for folded nodes that a user recognises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import count

from spikeport.converters.network import Conv, Delay, Linear, Network, Pool, Scale, SparseMap
from spikeport.converters.passes.fold_paths import is_population
from spikeport.converters.passes.fold_sections import Section


def named(sections: Sequence[Section], network: Network) -> list[tuple[str, str]]:
    """(name of the Delay, name of the linear node) for each section, "" where it has none.

    The user's name where one section has it, else with its target, else with its source too, else numbered.
    """
    wishes = [(_wishes(s, _delay_name(s, network)), _wishes(s, _linear_name(s, network))) for s in sections]
    counts = Counter(name for pair in wishes for wish in pair for name in set(wish))
    counts.update(name for name in network.nodes if is_population(network, name))
    taken = set(counts)

    def pick(wish: tuple[str, ...]) -> str:
        if not wish:
            return ""
        free = next((name for name in wish if counts[name] == 1), None)
        name = free or next(n for k in count(1) if (n := f"{wish[-1]}#{k}") not in taken)
        taken.add(name)
        return name

    return [(pick(delay), pick(linear)) for delay, linear in wishes]


def _wishes(section: Section, name: str) -> tuple[str, ...]:
    source, target = section.path.source, section.path.target
    return (name, f"{name}->{target}", f"{source}->{name}->{target}") if name else ()


def _delay_name(section: Section, network: Network) -> str:
    if section.walked.waits is None:
        return ""
    return [h.name for h in section.path.hops if isinstance(network.nodes[h.name], Delay)][-1]


def _linear_name(section: Section, network: Network) -> str:
    """The last node with weights, else the last pool or factor; an explicit identity is named after its ends."""
    if section.linear is None:
        return ""
    names = [hop.name for hop in section.path.hops]
    for kinds in ((Linear, Conv, SparseMap), (Pool, Scale)):
        fitting = [name for name in names if isinstance(network.nodes[name], kinds)]
        if fitting:
            return fitting[-1]
    return f"{section.path.source}->{section.path.target}"
