"""An integer program as a JSON record and as tables: populations with their registers, groups of synapses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.deploy.report.tables import columns, facts

_LEAKY = ("du", "dv", "vth", "bias_mant", "bias_exp")
_SUMMING = ("vth", "bias_mant", "bias_exp", "spike_exp", "state_exp")


def chip_record(network: ChipNetwork) -> dict[str, Any]:
    """The program as plain JSON values."""
    return {
        "dt": network.dt,
        "depth": network.depth,
        "inputs": list(network.inputs),
        "outputs": list(network.outputs),
        "encode": network.encode,
        "decode": network.decode,
        "neurons": sum(p.size for p in network.populations.values() if p.model != "input"),
        "weights": sum(weight_count(s) for s in network.synapses.values()),
        "populations": [population_record(p) for p in network.populations.values()],
        "synapses": [synapses_record(s) for s in network.synapses.values()],
        "findings": [finding.as_dict() for finding in network.findings],
    }


def population_record(p: Population) -> dict[str, Any]:
    """One population; registers that differ between neurons as [lowest, highest]."""
    registers = (*_LEAKY, "spike_exp", "state_exp") if p.model in SIGMA_DELTA else _LEAKY
    return {
        "layer": p.name,
        "model": p.model,
        "shape": list(p.shape),
        "neurons": p.size,
        **{register: span(np.asarray(getattr(p, register))) for register in registers},
        "max_spikes": p.max_spikes,
        "refractory": p.refractory,
        "shift": p.shift,
        "scale": p.scale,
    }


def synapses_record(s: Synapses) -> dict[str, Any]:
    """One group of synapses."""
    return {
        "synapses": s.name,
        "source": s.source,
        "target": s.target,
        "kind": _KINDS[type(s.connectivity)],
        "weights": weight_count(s),
        "weight_exp": s.weight_exp,
        "num_weight_bits": s.num_weight_bits,
        "sign_mode": s.sign_mode,
        "delay": span(np.asarray(s.delay)),
        "graded": s.graded,
    }


_KINDS: Mapping[type, str] = {Dense: "dense", Sparse: "sparse", Conv2d: "conv2d"}


def weight_count(s: Synapses) -> int:
    """Weights stored; a convolution's once."""
    match s.connectivity:
        case Sparse(matrix=matrix):
            return int(matrix.nnz)
        case Dense(weight=weight) | Conv2d(weight=weight):
            return int(weight.size)


def span(values: NDArray[np.int64]) -> int | list[int]:
    """One number where all are equal, else [lowest, highest]."""
    low, high = int(values.min()), int(values.max())
    return low if low == high else [low, high]


def span_text(value: int | list[int]) -> str:
    """A `span` for people."""
    return f"{value[0]}..{value[1]}" if isinstance(value, list) else str(value)


def registers_text(population: Mapping[str, Any]) -> str:
    """The registers that its neuron model uses, as ``name value``."""
    if population["model"] == "input":
        return ""
    names = _SUMMING if population["model"] in SIGMA_DELTA else _LEAKY
    return ", ".join(f"{name} {span_text(population[name])}" for name in names if population[name] != 0)


def chip_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The program for the terminal."""
    head = {
        "neurons": record["neurons"],
        "weights": record["weights"],
        "input": _end(record["inputs"], record["encode"]),
        "output": _end(record["outputs"], record["decode"]),
        "pipeline depth": f"{record['depth']} steps",
    }
    layers = [p | {"registers": registers_text(p)} for p in record["populations"]]
    groups = [s | {"delay": span_text(s["delay"])} for s in record["synapses"]]
    return [
        facts("integer program", head),
        columns("populations", layers, _LAYERS),
        columns("synapses", groups, _GROUPS),
    ]


def _end(names: Sequence[str], code: str) -> str:
    return ", ".join(names) + (f" ({code})" if code else "")


_LAYERS = {"layer": "layer", "model": "model", "shape": "shape", "registers": "registers", "shift": "steps late"}
_GROUPS = {
    "synapses": "synapses",
    "kind": "kind",
    "weights": "weights",
    "num_weight_bits": "bits",
    "weight_exp": "exponent",
    "sign_mode": "sign",
    "delay": "delay",
    "graded": "graded",
}
