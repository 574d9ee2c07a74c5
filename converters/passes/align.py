"""align: every population gets its clock, every connection its chip delay. Circuit in, Circuit out. DESIGN section 3.

A spike sent at chip step t arrives at t + 1 + D. The trained network wants what ``source`` gave at step t at its step
t + lag of ``target``; with the populations' time shifts σ that is D = σ_target - σ_source + lag - 1, and D >= 0 asks
for σ_target >= σ_source + 1 - lag. The smallest such shifts are longest paths (Bellman-Ford).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array, eye_array

from spikeport.converters.circuit import (
    SIGMA_DELTA,
    Circuit,
    Connection,
    FloatPopulation,
    SparseWeights,
    memoryless,
)
from spikeport.converters.findings import Finding, Outcome
from spikeport.errors import DoesNotFitError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile


def align(circuit: Circuit, profile: Profile) -> Outcome[Circuit]:
    """Set ``shift`` and ``delay``; lengthen loops that no chip can close in time; insert relays for long delays.

    Raises:
        DoesNotFitError: a per-neuron delay longer than the profile holds.
    """
    findings: list[Finding] = []
    connections = _closable(circuit.connections, circuit.populations, findings)
    shifts = _shifts(connections, circuit.populations)
    populations = {name: p.at(shifts[name]) for name, p in circuit.populations.items()}
    delayed = {n: replace(c, delay=shifts[c.target] - shifts[c.source] + c.lag - 1) for n, c in connections.items()}
    for name, connection in list(delayed.items()):
        if np.max(connection.delay) > profile.limits.max_delay.value:
            _relay(name, connection, populations, delayed, profile, findings)
    return Outcome(replace(circuit, populations=populations, connections=delayed), tuple(findings))


def _closable(
    connections: Mapping[str, Connection], populations: Mapping[str, FloatPopulation], findings: list[Finding]
) -> dict[str, Connection]:
    """Loops of k connections take k steps on the chip; where the network allows fewer, a lagged edge gets more."""
    result = dict(connections)
    while (loop := _too_fast(result)) is not None:
        lagged = sorted(name for name in loop if np.min(result[name].lag) >= 1)
        if not lagged:
            raise UnsupportedOnChipError(f"{', '.join(loop)}: a loop without any delay; give an edge a step of delay.")
        result[lagged[0]] = replace(result[lagged[0]], lag=result[lagged[0]].lag + 1)
    for name, c in result.items():
        if added := int(np.min(c.lag) - np.min(connections[name].lag)):
            findings.append(_longer_loop(name, c, added))
    return result


def _too_fast(connections: Mapping[str, Connection]) -> list[str] | None:
    """Names of the connections of a cycle with less lag than connections; None if every cycle closes.

    Bellman-Ford: what still moves after as many rounds as there are populations hangs on such a cycle.
    """
    latest = {end: 0 for c in connections.values() for end in (c.source, c.target)}
    last: dict[str, str] = {}
    moved: list[str] = []
    for _ in range(len(latest) + 1):
        if not (moved := _relax(latest, connections, last)):
            return None
    population = moved[-1]
    for _ in latest:
        population = connections[last[population]].source
    cycle = [last[population]]
    while connections[cycle[-1]].source != population:
        cycle.append(last[connections[cycle[-1]].source])
    return cycle


def _relax(latest: dict[str, int], connections: Mapping[str, Connection], last: dict[str, str]) -> list[str]:
    """Move each population's shift up to what its sources ask for; which moved, and by which connection in ``last``."""
    moved = []
    for name, c in sorted(connections.items()):
        earliest = latest[c.source] + 1 - int(np.min(c.lag))
        if earliest > latest[c.target]:
            latest[c.target], last[c.target] = earliest, name
            moved.append(c.target)
    return moved


def _shifts(connections: Mapping[str, Connection], populations: Mapping[str, FloatPopulation]) -> dict[str, int]:
    latest = dict.fromkeys(populations, 0)
    while _relax(latest, connections, {}):
        pass
    return latest


def _longer_loop(name: str, connection: Connection, added: int) -> Finding:
    return Finding(
        "loop-lengthened",
        "warning",
        name,
        f"the recurrent path {connection.source} -> {connection.target} passes through more populations than the "
        f"trained network gives it steps; on the chip its spikes arrive {added} step(s) later.",
        "Train with one step of delay per population in the loop.",
    )


def _relay(
    name: str,
    connection: Connection,
    populations: dict[str, FloatPopulation],
    connections: dict[str, Connection],
    profile: Profile,
    findings: list[Finding],
) -> None:
    """Replace one over-long delay by a chain of populations that hand spikes on."""
    longest = profile.limits.max_delay.value
    if populations[connection.source].model in SIGMA_DELTA:
        raise DoesNotFitError(
            f"{name}: a delay of {connection.delay} steps; {profile.name} holds {longest}, and nothing relays changes "
            "with a sign. Make the branches of the network more equal in depth."
        )
    if isinstance(connection.delay, np.ndarray):
        raise DoesNotFitError(
            f"{name}: a delay of {int(connection.delay.max())} steps; {profile.name} holds {longest}. "
            "Per-neuron delays cannot be relayed: shorten them, or use a coarser time step."
        )
    source, lag, remaining, hops = connection.source, int(np.max(connection.lag)), connection.delay, 0
    while remaining > longest:
        waited = min(longest, remaining - 1)
        relay = f"{connection.source}~{name}~{hops}"
        # A relay's own clock lags its source's as far as the network's delay goes, so that the pipeline stays short.
        heard = min(waited + 1, lag)
        populations[relay] = _relay_population(populations[source], populations[source].shift + waited + 1 - heard)
        size = populations[relay].size
        connections[relay] = Connection(source, relay, SparseWeights(csr_array(eye_array(size))), heard, waited)
        source, lag, remaining, hops = relay, lag - heard, remaining - 1 - waited, hops + 1
    connections[name] = replace(connection, source=source, lag=lag, delay=remaining)
    findings.append(
        Finding(
            "relay-inserted",
            "info",
            name,
            f"needs a delay of {connection.delay} steps, {profile.name} holds {longest}: {hops} relay population(s) of "
            f"{size} neurons hand the spikes on.",
        )
    )


def _relay_population(source: FloatPopulation, shift: int) -> FloatPopulation:
    """Neurons that send one step after each spike they receive, with its payload."""
    if source.max_spikes == 1:
        return replace(memoryless("lif", source.shape), threshold=np.full((), 0.5), shift=shift)
    return replace(
        memoryless("lif_subtract", source.shape),
        threshold=np.full((), 0.5),
        reset_amount=np.ones(()),
        max_spikes=source.max_spikes,
        shift=shift,
    )
