"""A deployment as a JSON record and as tables: the chip's registers, the cores, what quantization cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.console import RenderableType

from spikeport.converters.findings import Finding
from spikeport.converters.placement import Core
from spikeport.deploy.codec import encoder_text
from spikeport.deploy.deployment import Deployment
from spikeport.deploy.report.chip_record import population_record, span_text, synapses_record
from spikeport.deploy.report.tables import columns, facts


def deployment_record(deployment: Deployment) -> dict[str, Any]:
    """The deployment as plain JSON values; registers that differ between neurons as [lowest, highest]."""
    network, placement = deployment.network, deployment.placement
    return {
        "profile": deployment.profile.name,
        "title": deployment.profile.title,
        "dt": network.dt,
        "depth": network.depth,
        "cores": len(placement.cores),
        "chips": placement.chips,
        "codec": deployment.codec.as_dict(),
        "encoder": encoder_text(deployment.codec.encoder),
        "populations": [_population(deployment, name) for name in network.populations],
        "synapses": [synapses_record(s) for s in network.synapses.values()],
        "core_usage": [_core(i, core, placement.seats[i]) for i, core in enumerate(placement.cores)],
        "quantization": {
            "synapses": {name: asdict(error) for name, error in deployment.quantization.synapses.items()},
            "populations": {name: asdict(error) for name, error in deployment.quantization.populations.items()},
        },
        "provenance": asdict(deployment.provenance),
        "findings": [finding.as_dict() for finding in deployment.findings],
    }


def _population(deployment: Deployment, name: str) -> dict[str, Any]:
    return {
        **population_record(deployment.network.populations[name]),
        "cores": len(deployment.placement.cores_of(name)),
        "binding": deployment.placement.binding.get(name),
    }


def _core(index: int, core: Core, seat: tuple[int, ...]) -> dict[str, Any]:
    return {
        "core": index,
        "seat": list(seat),
        "slices": [asdict(s) for s in core.slices],
        "usage": {name: {**asdict(usage), "share": usage.share} for name, usage in core.usage.items()},
    }


def worth_saying(deployment: Deployment) -> tuple[Finding, ...]:
    """The findings for people: a layer's cores only where it takes several, and its name only once."""
    said: list[Finding] = []
    for finding in deployment.findings:
        if finding.code != "cores-needed":
            said.append(finding)
        elif len(deployment.placement.cores_of(finding.where)) > 1:
            said.append(replace(finding, where=""))
    return tuple(said)


def deployment_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The deployment for the terminal."""
    head = facts(
        f"compiled for {record['profile']} ({record['title']})",
        {
            "cores": f"{record['cores']} on {record['chips']} chip{'s' * (record['chips'] != 1)}",
            "time step": f"{record['dt']:g} s",
            "pipeline depth": f"{record['depth']} steps",
            "input": record["encoder"],
            "output": ":start=".join(str(value) for value in record["codec"]["decoder"].values()),
        },
    )
    errors = record["quantization"]["populations"]
    layers = [_layer_row(p, errors.get(p["layer"], {})) for p in record["populations"]]
    groups = [s | {"error": _share(_error_of(record, s["synapses"]))} for s in record["synapses"]]
    cores = [_core_row(core) for core in record["core_usage"]]
    return [
        head,
        columns("layers", layers, _LAYERS),
        _REGISTERS_EXPLAINED,
        columns("synapses", groups, _GROUPS),
        columns("cores", cores, _core_names(cores)),
    ]


_REGISTERS_EXPLAINED = (
    "  du, dv: 4096ths of u and v that are lost per step (du: one more). vth: the threshold of v in units of 64.\n"
)
_LAYERS = {
    "layer": "layer",
    "model": "model",
    "shape": "shape",
    "registers": "du, dv, vth",
    "cores": "cores",
    "binding": "bound by",
    "spike_agreement": "spikes as trained",
    "u_peak": "u peak",
    "v_peak": "v peak",
}
_GROUPS = {
    "synapses": "synapses",
    "kind": "kind",
    "weights": "weights",
    "num_weight_bits": "bits",
    "weight_exp": "exponent",
    "sign_mode": "sign",
    "error": "weight error",
}


def _layer_row(population: Mapping[str, Any], error: Mapping[str, float]) -> dict[str, Any]:
    shares = {key: _share(error.get(key)) for key in ("spike_agreement", "u_peak", "v_peak")}
    spans = (span_text(population[key]) for key in ("du", "dv", "vth"))
    quiet = population["model"] == "input"
    return {**population, **shares, "registers": "" if quiet else ", ".join(spans)}


def _error_of(record: Mapping[str, Any], group: str) -> float | None:
    entries = record["quantization"]["synapses"].values()
    return next((entry["relative_error"] for entry in entries if group in entry["groups"]), None)


def _core_row(core: Mapping[str, Any]) -> dict[str, Any]:
    held = ", ".join(_held(core["slices"], name) for name in dict.fromkeys(s["population"] for s in core["slices"]))
    shares = {name: _share(usage["share"]) for name, usage in core["usage"].items()}
    return {"core": core["core"], "seat": core["seat"], "holds": held, **shares}


def _held(slices: Sequence[Mapping[str, Any]], population: str) -> str:
    """One slice by its borders; the many of a tile by their neurons."""
    mine = [s for s in slices if s["population"] == population]
    if len(mine) == 1:
        return f"{population}[{mine[0]['start']}:{mine[0]['stop']}]"
    return f"{population} (tile of {sum(s['stop'] - s['start'] for s in mine):,})"


def _core_names(rows: list[dict[str, Any]]) -> dict[str, str]:
    resources = dict.fromkeys(key for row in rows for key in row if key not in ("core", "seat", "holds"))
    return {"core": "core", "holds": "holds", **{name: name.removeprefix("synaptic ") for name in resources}}


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
