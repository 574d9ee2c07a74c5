"""Float against chip as a JSON record and as tables: what they decide, where they part, and what costs what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType

from spikeport.deploy.compare.comparison import Comparison, EffectResult
from spikeport.deploy.compare.effects import MEANING
from spikeport.deploy.compare.first import FirstDifference
from spikeport.deploy.report.tables import columns, facts


def compare_record(comparison: Comparison, network: str, deployment: str, data: str, data_hash: str) -> dict[str, Any]:
    """Everything a comparison found, as plain JSON values."""
    c = comparison
    return {
        "network": network,
        "deployment": deployment,
        "data": data,
        "data_hash": data_hash,
        "samples": c.samples,
        "steps": c.steps,
        "labelled": c.labels is not None,
        "accuracy_trained": c.trained.accuracy,
        "accuracy_chip": c.chip.accuracy,
        "gap": c.gap,
        "same_class": c.samples - c.chip.changed,
        "output_mismatch": c.chip.mismatch,
        "float64_mismatch": c.exact.mismatch,
        "measure": asdict(c.measure),
        "layers": [asdict(layer) for layer in c.layers],
        "first_difference": None if c.first is None else _first_record(c.first),
        "effects": [_effect_record(e, c) for e in c.effects],
        "interaction": c.interaction if c.effects else None,
        "classes": _classes(c),
        "findings": [finding.as_dict() for finding in c.findings],
    }


def _first_record(first: FirstDifference) -> dict[str, Any]:
    sides = {"trained": asdict(first.trained), "chip": asdict(first.chip)}
    return {**asdict(first.place), "index": list(first.index), "steps": list(first.steps), **sides}


def _effect_record(e: EffectResult, c: Comparison) -> dict[str, Any]:
    """``lost``: accuracy the effect alone costs; ``gained``: what the chip gains without it."""
    return {
        "effect": e.effect,
        "meaning": MEANING[e.effect],
        "note": e.note,
        "lost": c.trained.accuracy - e.alone.accuracy,
        "gained": e.without.accuracy - c.chip.accuracy,
        "alone": asdict(e.alone),
        "without": asdict(e.without),
    }


def _classes(c: Comparison) -> list[dict[str, int | None]]:
    labels: Sequence[int | None] = [None] * c.samples if c.labels is None else c.labels.tolist()
    pairs = zip(c.trained_classes.tolist(), c.chip_classes.tolist(), labels, strict=True)
    return [{"trained": trained, "chip": chip, "label": label} for trained, chip, label in pairs]


def compare_tables(record: Mapping[str, Any]) -> list[RenderableType]:
    """The comparison for the terminal."""
    layers = columns("layers", map(layer_row, record["layers"]), LAYER_HEADS)
    tables: list[RenderableType] = [_head(record), layers, f"  {measures_text(record)}\n"]
    if any(layer["sends"] == "spikes" for layer in record["layers"]):
        tables.append(_first_table(record["first_difference"]))
    if record["effects"]:
        tables.append(columns("what each effect costs", effect_rows(record), effect_heads(record)))
        tables.append(columns(_SPREAD_TITLE, spread_rows(record), spread_heads(record)))
    return tables


def _head(record: Mapping[str, Any]) -> RenderableType:
    right = "accuracy" if record["labelled"] else "classes as trained"
    return facts(
        f"{record['network']} against {record['deployment']}",
        {
            "samples": f"{record['samples']} of {record['steps']} steps",
            f"{right}, trained network": f"{record['accuracy_trained']:.2%}",
            f"{right}, chip": f"{record['accuracy_chip']:.2%} ({points(-record['gap'])})",
            "same class": f"{record['same_class']} of {record['samples']} samples",
            "output": f"{record['output_mismatch']:.2%} off",
        },
    )


LAYER_HEADS = {
    "layer": "layer",
    "neurons": "neurons",
    "float_rate": "trained rate",
    "chip_rate": "chip rate",
    "shared": "shared spikes",
    "coincident": "coincident",
    "van_rossum": "van Rossum",
    "victor_purpura": "Victor- Purpura",
    "before": "membrane off before",
    "after": "over all",
    "differing_samples": "samples differ",
}


def layer_row(layer: Mapping[str, Any]) -> dict[str, str]:
    """One layer's cells; a readout has no spikes."""
    row = {"layer": layer["layer"], "neurons": f"{layer['neurons']:,}"}
    row["before"], row["after"] = (_of_threshold(layer, key) for key in ("membrane_rms_before", "membrane_rms"))
    if layer["sends"] == "nothing":
        return row
    rates = {key: f"{layer[key]:.4f}" for key in ("float_rate", "chip_rate", "van_rossum")}
    shares = {key: "" if layer[key] is None else f"{layer[key]:.2%}" for key in ("shared", "coincident")}
    purpura = "" if layer["victor_purpura"] is None else f"{layer['victor_purpura']:.4f}"
    return row | rates | shares | {"victor_purpura": purpura, "differing_samples": str(layer["differing_samples"])}


def measures_text(record: Mapping[str, Any]) -> str:
    """What the columns of `LAYER_HEADS` mean."""
    m = record["measure"]
    return (
        "Rates per neuron and step. Coincident: spikes of a neuron within "
        f"{m['window']} steps. Distances per train: van Rossum (time constant {m['tau']:g} steps), Victor-Purpura "
        f"({m['cost']:g} per step). Membranes: RMS distance in the trained network's units (share of the threshold), "
        "before a sample's first differing spike in any layer, and over all steps."
    )


def _of_threshold(layer: Mapping[str, Any], key: str) -> str:
    """A membrane error in trained units, and as a share of the threshold."""
    threshold = layer["threshold"]
    if layer[key] is None:
        return "unknown"
    return f"{layer[key]:.3g}" + (f" ({layer[key] / threshold:.1%})" if threshold else "")


def _first_table(first: Mapping[str, Any] | None) -> RenderableType:
    if first is None:
        return "every spike of every layer is equal\n"
    return columns(first_title(first), first_rows(first), FIRST_HEADS)


FIRST_HEADS = {
    "step": "step",
    "trained": "trained: v against the threshold",
    "trained_spikes": "spikes",
    "chip": "chip: v against the threshold",
    "chip_spikes": "spikes",
}


def first_title(first: Mapping[str, Any]) -> str:
    """Where and by how much the two part first."""
    at = first["steps"].index(first["step"])
    reached = [f"{side} {first[side]['decided'][at]:.6g} of {first[side]['threshold']:.6g}" for side in _SIDES]
    neuron = f"{first['layer']}[{', '.join(map(str, first['index']))}]"
    place = f"{neuron}, step {first['step']} of sample {first['sample']}"
    return f"the first difference: {place}: {' · '.join(reached)}"


_SIDES = ("trained", "chip")


def first_rows(first: Mapping[str, Any]) -> list[dict[str, str]]:
    """One line per step around the first difference."""
    rows = []
    for i, step in enumerate(first["steps"]):
        row = {"step": f"{step}{' ←' if step == first['step'] else ''}"}
        for word in _SIDES:
            row[word] = f"{first[word]['decided'][i]:.6g}"
            row[f"{word}_spikes"] = str(first[word]["spikes"][i] or "")
        rows.append(row)
    return rows


def effect_heads(record: Mapping[str, Any]) -> dict[str, str]:
    """Headings of the table of effects."""
    right = "accuracy" if record["labelled"] else "classes as trained"
    return {
        "effect": "effect",
        "lost": f"alone: {right}",
        "changed": "classes changed",
        "mismatch": "output off",
        "gained": f"chip without it: {right}",
        "left": "output off",
        "note": "in this network",
    }


def effect_rows(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Effects, the most harmful first, then all of them, and what does not add up."""
    effects = sorted(record["effects"], key=lambda e: (-e["lost"], -e["alone"]["mismatch"]))
    rows = [
        {
            "effect": e["effect"],
            "lost": points(-e["lost"]),
            "changed": str(e["alone"]["changed"]),
            "mismatch": f"{e['alone']['mismatch']:.2%}",
            "gained": points(e["gained"]),
            "left": f"{e['without']['mismatch']:.2%}",
            "note": e["note"],
        }
        for e in effects
    ]
    changed = record["samples"] - record["same_class"]
    whole = {"effect": "all: the chip", "lost": points(-record["gap"]), "changed": str(changed)}
    rows.append(whole | {"mismatch": f"{record['output_mismatch']:.2%}"})
    note = "only together, or against each other"
    rows.append({"effect": "interaction", "lost": points(-record["interaction"]), "note": note})
    if record["float64_mismatch"]:
        note = "not the chip: float64 instead of float32"
        rows.append({"effect": "(float64)", "mismatch": f"{record['float64_mismatch']:.2%}", "note": note})
    return rows


_SPREAD_TITLE = "where each effect alone acts: spikes that differ from the trained network's, as a share of them"


def spread_heads(record: Mapping[str, Any]) -> dict[str, str]:
    """Headings of the table of effects by layer."""
    sending = [layer["layer"] for layer in record["layers"] if layer["sends"] != "nothing"]
    return {"effect": "effect"} | {name: name for name in sending}


def spread_rows(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """What each effect alone does to each layer."""
    return [
        {"effect": e["effect"], **{name: f"{share:.2%}" for name, share in e["alone"]["layers"].items()}}
        for e in record["effects"]
    ]


def points(share: float) -> str:
    """A difference of accuracies in percentage points."""
    return f"{100 * share:+.2f} points" if share else "0"
