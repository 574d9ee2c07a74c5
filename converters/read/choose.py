"""Which dialect a file is read in: the one the user names, else the one its numbers can only come from.

Only hard patterns count: a value that one exporter writes and no other. What the numbers cannot tell (the reset) is
taken from the framework's default and said as a warning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from spikeport.converters.findings import Finding
from spikeport.converters.read.dialects import DIALECTS, Dialect, parse_dialect
from spikeport.converters.read.evidence import PATTERNS, recovered_dt
from spikeport.converters.read.fields import Fields
from spikeport.converters.read.nir_file import RawNode
from spikeport.converters.read.nodes import NEURON_TYPES
from spikeport.errors import DialectError


@dataclass(frozen=True)
class Chosen:
    """The dialect, with dt wherever a node needs it, and what a user should know about the choice."""

    dialect: Dialect
    findings: tuple[Finding, ...]


def choose_dialect(nodes: Mapping[str, RawNode], named: str | None, dt: float | None, speak: bool = True) -> Chosen:
    """Settle the dialect.

    Args:
        nodes: the flat graph.
        named: the user's dialect, or None.
        dt: the user's dt in seconds, or None.
        speak: whether to report (not when spikeport's own record says everything).

    Raises:
        DialectError: an unusable dialect or dt, or no evidence for any.
    """
    if dt is not None and not 0.0 < dt < float("inf"):
        raise DialectError(f"dt must be a positive number of seconds, but is {dt}.")
    neurons = [Fields(n, node) for n, node in sorted(nodes.items()) if node.type in NEURON_TYPES - {"Threshold"}]
    if named is not None:
        spoken = parse_dialect(named)
        dialect, said = spoken.dialect, spoken.said
        findings: list[Finding] = []
    else:
        dialect, findings = _recognised(neurons)
        said = frozenset()
    dialect, more = _with_dt(dialect, said, dt, neurons)
    _require_dt(dialect, nodes, neurons, named)
    findings += more
    return Chosen(dialect, tuple(findings + _open_questions(dialect, said, neurons)) if speak else ())


def _recognised(neurons: Sequence[Fields]) -> tuple[Dialect, list[Finding]]:
    for name, evidence in PATTERNS:
        if neurons and (why := evidence(neurons)):
            message = f"read as '{name}': {why}."
            advice = "Name the dialect yourself if it came from elsewhere."
            return DIALECTS[name], [Finding("dialect-inferred", "info", "", message, advice)]
    if not neurons:
        return DIALECTS["nir"], []
    message = "no pattern in its numbers tells which framework wrote it; read as NIR defines it, by forward Euler."
    return DIALECTS["nir"], [Finding("dialect-unknown", "warning", "", message, "Name its framework with --dialect.")]


def _with_dt(
    dialect: Dialect, said: frozenset[str], dt: float | None, neurons: Sequence[Fields]
) -> tuple[Dialect, list[Finding]]:
    """dt: the user's, else what the file's numbers imply, else the framework's default."""
    if dt is not None or "dt" in said:
        return (dialect if dt is None else replace(dialect, dt=dt)), []
    found = recovered_dt(dialect.name, neurons)
    if found is not None:
        return replace(dialect, dt=found), [
            Finding("dt-recovered", "info", "", f"dt = {found:g} s follows from the file's own r and time constants.")
        ]
    if dialect.dt is None or not neurons:
        return dialect, []
    message = f"the file does not hold dt; {dialect.name}'s default of {dialect.dt:g} s is used."
    return dialect, [Finding("dt-assumed", "info", "", message, "Give --dt if it was another.")]


def _require_dt(dialect: Dialect, nodes: Mapping[str, RawNode], neurons: Sequence[Fields], named: str | None) -> None:
    timed = [f.name for f in neurons if f.node.type != "IF" or dialect.if_gain == "file"]
    timed += [name for name, node in nodes.items() if node.type == "Delay"]
    if dialect.dt is None and timed:
        guess = "" if named else " Nothing in it tells which framework wrote it: also name its --dialect."
        raise DialectError(
            f"the time step is not known, and node '{timed[0]}' needs it: the file holds seconds, not steps. "
            f"Give --dt (seconds per step).{guess}"
        )


def _open_questions(dialect: Dialect, said: frozenset[str], neurons: Sequence[Fields]) -> list[Finding]:
    """What the framework's exporter does not write and the user has not said."""
    kinds = {f.node.type for f in neurons}
    if not kinds & {"LIF", "CubaLIF", "IF"}:
        return []
    found = []
    if "reset" in dialect.lost and "reset" not in said:
        found.append(_reset_assumed(dialect))
    elif "reset_delay" in dialect.lost and "reset_delay" not in said and dialect.reset != "none":
        found.append(_delay_assumed(dialect))
    lost = [k for k in dialect.lost if not k.startswith("reset") and k not in said]
    lost += ["if_v_min"] if "v_min" in lost and "IF" in kinds and "if_v_min" not in said else []
    leaky = kinds - {"IF"}
    rest = [k for k in lost if not said & _SAME.get(k, set()) and (leaky or k not in _LEAKY_ONLY)]
    if rest:
        found.append(_settings_assumed(dialect, rest))
    if dialect.name == "rockpool":
        found.append(_ROCKPOOL_LOSES)
    return found


# Keys that say the same thing in other words.
_SAME: Mapping[str, set[str]] = {"spike": {"max_spikes"}, "max_spikes": {"spike"}, "norm_input": {"gain"}}
# Keys that IF neurons do not ask.
_LEAKY_ONLY = ("norm_input", "v_min", "tau_syn")
_ROCKPOOL_LOSES = Finding(
    "exporter-loses-parameters",
    "warning",
    "",
    "Rockpool's exporter writes neither the neurons' trained bias nor their recurrent weights.",
    "If the model had them (has_bias, has_rec), its spikes cannot be reproduced from this file.",
)


def _reset_assumed(dialect: Dialect) -> Finding:
    moment = "in the next step" if dialect.reset_delay else "in the same step"
    example = (
        f"{dialect.name}:reset={'subtract' if dialect.reset == 'value' else 'zero'},reset_delay={dialect.reset_delay}"
    )
    return Finding(
        "reset-rule-assumed",
        "warning",
        "",
        f"the file does not carry the reset rule; {dialect.name}'s default is assumed: {dialect.reset}, {moment}.",
        f"If the model was trained otherwise, say so: --dialect {example}.",
    )


def _delay_assumed(dialect: Dialect) -> Finding:
    moment, other = ("the next step", "the same") if dialect.reset_delay else ("the same step", "the next")
    example = f"{dialect.name}:reset={dialect.reset},reset_delay={1 - dialect.reset_delay}"
    return Finding(
        "reset-delay-assumed",
        "warning",
        "",
        f"the file does not carry the reset rule, and --dialect names only half of it; {dialect.name}'s default is "
        f"assumed: reset_delay={dialect.reset_delay}, so a reset acts in {moment}.",
        f"Name reset_delay too; if the model resets in {other}: --dialect {example}.",
    )


def _settings_assumed(dialect: Dialect, keys: Sequence[str]) -> Finding:
    defaults = {
        "spike": "single" if dialect.max_spikes == 1 else "multi",
        "max_spikes": dialect.max_spikes or "none",
        "norm_input": str(dialect.gain == "norm").lower(),
        "v_min": _or_none(dialect.v_min),
        "if_v_min": f"{_or_none(dialect.if_v_min)} (the lower bound of IF neurons' membranes)",
        "tau_syn": _or_none(dialect.tau_syn),
    }
    listed = ", ".join(f"{key}={defaults[key]}" for key in keys)
    return Finding(
        "setting-assumed",
        "warning",
        "",
        f"the file does not carry {', '.join(keys)}; {dialect.name}'s defaults are assumed: {listed}.",
        f"Where the model differs, say so, for example --dialect {dialect.name}:{keys[0]}=...",
    )


def _or_none(value: float | str | None) -> str:
    return "none" if value is None else str(value)
