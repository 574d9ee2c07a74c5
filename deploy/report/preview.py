"""What a trained network will become on a chip, before it is quantized: its populations and every finding at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from spikeport.converters.chain import Chain
from spikeport.converters.chip_network import ChipNetwork
from spikeport.converters.circuit import PLAIN_SPIKES, Circuit, Connection
from spikeport.converters.findings import Finding
from spikeport.converters.network import Activation, MaxPool, Network, SigmaDelta
from spikeport.deploy.compile import check_single_ends
from spikeport.deploy.report.tables import columns
from spikeport.errors import SpikeportError
from spikeport.hw_profiles.profile import Profile


def describe(model: Network | ChipNetwork) -> str:
    """What a model is, and what to do with it, in one line."""
    if isinstance(model, ChipNetwork):
        return "integers for the chip already (lava-dl .net); compile puts them on cores as they are"
    kinds = {type(node) for node in model.nodes.values()}
    if kinds & {Activation, MaxPool}:
        return "a conventional network; convert makes it spike (or sends its changes, sigma-delta)"
    if SigmaDelta in kinds:
        return "a sigma-delta network: units send changes of their activation as graded spikes"
    return "a spiking network" if model.neurons else "a linear map: no neurons at all"


def preview(network: Network, profile: Profile) -> dict[str, Any]:
    """The network in the vocabulary of ``profile`` as plain JSON values; ``refused`` says why the chip cannot have it.

    Everything but the integers is known without data: `compile` finds those.
    """
    chain = Chain(profile)
    try:
        circuit = chain.circuit(network, PLAIN_SPIKES)
        check_single_ends(network)
    except SpikeportError as error:
        refused = Finding("refused", "warning", "", f"{profile.name} cannot run it: {error}")
        return {"target": profile.name, "refused": str(error), "populations": [], "findings": _said(chain, refused)}
    rows = [_population(name, circuit) for name in circuit.populations]
    return {"target": profile.name, "refused": None, "populations": rows, "findings": _said(chain)}


def _said(chain: Chain, *more: Finding) -> list[dict[str, str]]:
    return [finding.as_dict() for finding in dict.fromkeys((*chain.findings, *more))]


def _population(name: str, circuit: Circuit) -> dict[str, Any]:
    p = circuit.populations[name]
    into = [c for c in circuit.connections.values() if c.target == name]
    return {
        "layer": name,
        "model": p.model,
        "neurons": p.size,
        "sources": [c.source for c in into],
        "maps": [_KINDS[type(c.weights).__name__] for c in into],
        "longest_delay": max(map(_delay, into), default=0),
        "shift": p.shift,
    }


_KINDS = {"DenseMap": "dense", "ConvMap": "conv2d", "SparseWeights": "sparse"}


def _delay(connection: Connection) -> int:
    return int(connection.delay) if isinstance(connection.delay, int) else int(connection.delay.max())


def preview_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The preview for the terminal; nothing where the chip refuses (a finding says so)."""
    rows = [row | {"from": ", ".join(_arrivals(row))} for row in record["populations"]]
    names = {"layer": "population", "model": "model", "neurons": "neurons", "from": "hears", "shift": "steps late"}
    return [columns(f"what it becomes on {record['target']}", rows, names)] if rows else []


def _arrivals(row: Mapping[str, Any]) -> list[str]:
    return [f"{source} ({kind})" for source, kind in zip(row["sources"], row["maps"], strict=True)]
