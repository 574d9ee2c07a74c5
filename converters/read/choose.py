"""Which dialect a file is read in: the one the user names, else the one its numbers can only come from.

Only hard patterns count: a value that one exporter writes and no other. What the numbers cannot tell (the reset) is
taken from the framework's default and said as a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.read.dialects import DIALECTS, Dialect, parse_dialect
from spikeport.converters.read.fields import Fields
from spikeport.converters.read.nir_file import RawNode
from spikeport.converters.read.nodes import NEURON_TYPES
from spikeport.errors import DialectError

# Exporters work in float32: a dt recovered from r and tau is good to about this.
_TOLERANCE = 1e-4


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
        dialect, said, findings = spoken.dialect, spoken.said, []
    else:
        dialect, findings = _recognised(neurons)
        said = frozenset()
    dialect, more = _with_dt(dialect, said, dt, neurons)
    _require_dt(dialect, nodes, neurons, named)
    findings += more
    return Chosen(dialect, tuple(findings + _open_questions(dialect, said, neurons)) if speak else ())


def _recognised(neurons: Sequence[Fields]) -> tuple[Dialect, list[Finding]]:
    for name, evidence in _PATTERNS:
        if neurons and (why := evidence(neurons)):
            message = f"read as '{name}': {why}."
            advice = "Name the dialect yourself if it came from elsewhere."
            return DIALECTS[name], [Finding("dialect-inferred", "info", "", message, advice)]
    if not neurons:
        return DIALECTS["nir"], []
    message = "no pattern in its numbers tells which framework wrote it; read as NIR defines it, by forward Euler."
    return DIALECTS["nir"], [Finding("dialect-unknown", "warning", "", message, "Name its framework with --dialect.")]


def _with_dt(dialect: Dialect, said: frozenset[str], dt: float | None, neurons: Sequence[Fields]
             ) -> tuple[Dialect, list[Finding]]:
    """dt: the user's, else what the file's numbers imply, else the framework's default."""
    if dt is not None or "dt" in said:
        return (dialect if dt is None else replace(dialect, dt=dt)), []
    found = _RECOVER.get(dialect.name, _no_dt)(neurons)
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
    rest = [k for k in dialect.lost if not k.startswith("reset") and not said & {k, *_SAME.get(k, ())}]
    if kinds <= {"IF"}:
        rest = [k for k in rest if k not in ("norm_input", "tau_syn")]
    if rest:
        found.append(_settings_assumed(dialect, rest))
    if dialect.name == "rockpool":
        found.append(_ROCKPOOL_LOSES)
    return found


# Keys that say the same thing in other words.
_SAME: Mapping[str, tuple[str, ...]] = {
    "spike": ("max_spikes",),
    "max_spikes": ("spike",),
    "norm_input": ("gain",),
    "v_min": ("if_v_min",),
}
_ROCKPOOL_LOSES = Finding(
    "exporter-loses-parameters",
    "warning",
    "",
    "Rockpool's exporter writes neither the neurons' trained bias nor their recurrent weights.",
    "If the model had them (has_bias, has_rec), its spikes cannot be reproduced from this file.",
)


def _reset_assumed(dialect: Dialect) -> Finding:
    moment = "in the next step" if dialect.reset_delay else "in the same step"
    example = f"{dialect.name}:reset={'subtract' if dialect.reset == 'value' else 'zero'},reset_delay={dialect.reset_delay}"
    return Finding(
        "reset-rule-assumed",
        "warning",
        "",
        f"the file does not carry the reset rule; {dialect.name}'s default is assumed: {dialect.reset}, {moment}.",
        f"If the model was trained otherwise, say so: --dialect {example}.",
    )


def _settings_assumed(dialect: Dialect, keys: Sequence[str]) -> Finding:
    defaults = {
        "spike": "single" if dialect.max_spikes == 1 else "multi",
        "max_spikes": dialect.max_spikes or "none",
        "norm_input": str(dialect.gain == "norm").lower(),
        "v_min": f"{dialect.v_min or 'none'} ({dialect.if_v_min or 'none'} for IF)",
        "tau_syn": dialect.tau_syn or "none",
    }
    listed = ", ".join(f"{key}={defaults[key]}" for key in keys)
    return Finding(
        "setting-assumed",
        "warning",
        "",
        f"the file does not carry {listed}; {dialect.name}'s defaults are assumed.",
        "Where the model differs, say so in --dialect.",
    )


def _column(neurons: Sequence[Fields], *names: str) -> NDArray[np.float64] | None:
    """One field of all neurons in one vector; None if a neuron lacks it or holds no numbers there."""
    found = []
    for fields in neurons:
        name = next((n for n in names if fields.has(n)), None)
        if name is None or fields.text(name) is not None:
            return None
        found.append(np.ravel(fields.numbers(name)))
    return np.concatenate(found) if found else None


def _ratio_dt(neurons: Sequence[Fields]) -> float | None:
    """dt where r = tau/dt holds with one dt for all leaky neurons (snnTorch, SpikingJelly, Spyx)."""
    leaky = [f for f in neurons if f.node.type != "IF"]
    found = []
    for fields in leaky:
        tau, r = _column([fields], "tau", "tau_mem"), _column([fields], "r")
        if tau is None or r is None or (r <= 0).any() or tau.size != r.size:
            return None
        found.append(tau / r)
        if fields.has("w_in"):
            w_in, tau_syn = _column([fields], "w_in"), _column([fields], "tau_syn")
            if w_in is None or tau_syn is None or (w_in <= 0).any() or w_in.size != tau_syn.size:
                return None
            found.append(tau_syn / w_in)
    return _common(found)


def _common(found: Sequence[NDArray[np.float64]]) -> float | None:
    """The one value that all share, rounded to what float32 can vouch for."""
    if not found:
        return None
    values = np.concatenate(found)
    middle = float(np.median(values))
    if middle <= 0 or not np.allclose(values, middle, rtol=_TOLERANCE):
        return None
    rounded = float(f"{middle:.2g}")
    return rounded if abs(rounded - middle) <= _TOLERANCE * middle else float(f"{middle:.6g}")


def _rockpool_dt(neurons: Sequence[Fields]) -> float | None:
    """Solve r = (tau/dt)·exp(-dt/tau) for dt, by Newton's steps on x = dt/tau: exp(-x)/x = r."""
    tau, r = _column(neurons, "tau_mem", "tau"), _column(neurons, "r")
    if tau is None or r is None or tau.size != r.size or (r <= 0).any() or (tau <= 0).any():
        return None
    x = np.log1p(1.0 / r)
    for _ in range(50):
        # f(x) = x + ln x + ln r; convex enough that Newton converges from any x > 0.
        x = np.maximum(x - (x + np.log(x) + np.log(r)) / (1.0 + 1.0 / x), 1e-12)
    return _common([x * tau])


def _if_dt(neurons: Sequence[Fields]) -> float | None:
    """dt where IF nodes hold r = 1/dt (SpikingJelly)."""
    r = _column([f for f in neurons if f.node.type == "IF"], "r")
    return None if r is None or (r <= 1).any() else _common([1.0 / r])


def _spikingjelly_dt(neurons: Sequence[Fields]) -> float | None:
    by_if = _if_dt(neurons)
    ratio = _ratio_dt([f for f in neurons if f.node.type != "IF"])
    # With decay_input the exporter writes r = 1, which says nothing.
    unit = _column([f for f in neurons if f.node.type == "LIF"], "r")
    if by_if is not None:
        return by_if
    return None if unit is not None and (unit == 1).all() else ratio


def _snntorch_dt(neurons: Sequence[Fields]) -> float | None:
    """snnTorch writes dt = 0.0001 s; other programs that speak its dialect write their own, which is round."""
    found, r = _ratio_dt(neurons), _column(neurons, "r")
    return found if _is_round(found) and r is not None and r.min() > 1.0 else None


def _is_round(dt: float | None) -> bool:
    return dt is not None and dt == float(f"{dt:.2g}")


def _no_dt(neurons: Sequence[Fields]) -> float | None:
    return None


_RECOVER: Mapping[str, Callable[[Sequence[Fields]], float | None]] = {
    "snntorch": _snntorch_dt,
    "spyx": _snntorch_dt,
    "spikingjelly": _spikingjelly_dt,
    "rockpool": _rockpool_dt,
}


def _looks_rockpool(neurons: Sequence[Fields]) -> str:
    found = _rockpool_dt(neurons)
    if not _is_round(found) or _is_round(_ratio_dt(neurons)):
        return ""
    return f"every r is (tau/dt)·exp(-dt/tau) with dt = {found:g} s, which Rockpool writes"


def _looks_spikingjelly(neurons: Sequence[Fields]) -> str:
    found = _if_dt(neurons)
    if found is not None:
        return f"every IF has r = 1/dt with dt = {found:g} s, which SpikingJelly writes"
    ratio = _ratio_dt(neurons)
    resets = all(f.has("v_reset") for f in neurons)
    if ratio is None or not resets or any(f.node.type not in ("LIF", "CubaLIF") for f in neurons):
        return ""
    doubles = all(getattr(f.node.fields["r"], "dtype", None) == np.float64 for f in neurons)
    if ratio != 1e-4 and ratio < 1:
        return f"every r is tau/dt with dt = {ratio:g} s; snnTorch writes the same with dt = 0.0001 s only"
    fx_names = all(f.name.startswith("_") for f in neurons)
    return "every r is tau/dt in float64 under names of torch.fx, which SpikingJelly writes" if doubles and fx_names else ""


def _looks_snntorch(neurons: Sequence[Fields]) -> str:
    kinds = {f.node.type for f in neurons}
    if not kinds <= {"LIF", "CubaLIF"} or _ratio_dt(neurons) != 1e-4:
        return ""
    return "every r is tau_mem/dt (and w_in tau_syn/dt) with dt = 0.0001 s, which snnTorch writes"


def _looks_sinabs(neurons: Sequence[Fields]) -> str:
    r = _column(neurons, "r")
    if r is None or (r != 1).any() or any(f.has("v_reset") for f in neurons):
        return ""
    if not {f.node.type for f in neurons} <= {"LIF", "IF", "LI"}:
        return ""
    tau = _column([f for f in neurons if f.has("tau")], "tau")
    if tau is not None and tau.min() < 1.0:
        return ""
    return "every r is 1, no v_reset is written and time constants, if any, count steps, as Sinabs writes"


_PATTERNS: tuple[tuple[str, Callable[[Sequence[Fields]], str]], ...] = (
    ("spikingjelly", _looks_spikingjelly),
    ("snntorch", _looks_snntorch),
    ("sinabs", _looks_sinabs),
    ("rockpool", _looks_rockpool),
)
