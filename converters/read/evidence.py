"""What the numbers of a file give away: the dt they were written with, and the framework that wrote them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.read.fields import Fields

# Exporters work in float32: a dt recovered from r and tau is good to about this.
_TOLERANCE = 1e-4
_SNNTORCH_DT = 1e-4


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
    rounded = float(f"{middle:.3g}")
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
    return by_if if by_if is not None else _snntorch_dt(neurons)


def _snntorch_dt(neurons: Sequence[Fields]) -> float | None:
    """snnTorch writes dt = 0.0001 s; other programs that speak its dialect write their own, which is round."""
    return _telling_ratio([f for f in neurons if f.node.type != "IF"])


def _telling_ratio(neurons: Sequence[Fields]) -> float | None:
    """`_ratio_dt` where it is more than a coincidence: r = 1 says nothing, and people choose round steps."""
    found, r = _ratio_dt(neurons), _column(neurons, "r")
    return found if _is_round(found) and r is not None and r.max() > 1.0 + _TOLERANCE else None


def _is_round(dt: float | None) -> bool:
    return dt is not None and dt == float(f"{dt:.3g}")


def recovered_dt(dialect: str, neurons: Sequence[Fields]) -> float | None:
    """dt as far as a file's own numbers imply it under this dialect."""
    return _RECOVER[dialect](neurons) if dialect in _RECOVER else None


_RECOVER: Mapping[str, Callable[[Sequence[Fields]], float | None]] = {
    "snntorch": _snntorch_dt,
    "spyx": _snntorch_dt,
    "spikingjelly": _spikingjelly_dt,
    "rockpool": _rockpool_dt,
}


def _looks_rockpool(neurons: Sequence[Fields]) -> str:
    found = _rockpool_dt(neurons)
    if not _is_round(found) or _telling_ratio(neurons) is not None:
        return ""
    return f"every r is (tau/dt)·exp(-dt/tau) with dt = {found:g} s, which Rockpool writes"


def _looks_spikingjelly(neurons: Sequence[Fields]) -> str:
    found = _if_dt(neurons)
    if found is not None:
        return f"every IF has r = 1/dt with dt = {found:g} s, which SpikingJelly writes"
    ratio = _telling_ratio(neurons)
    if ratio is None or not all(f.has("v_reset") and f.node.type in ("LIF", "CubaLIF") for f in neurons):
        return ""
    if ratio != _SNNTORCH_DT:
        return f"every r is tau/dt with dt = {ratio:g} s; snnTorch writes the same with dt = 0.0001 s only"
    traced = all(f.name.startswith("_") and getattr(f.node.fields["r"], "dtype", None) == np.float64 for f in neurons)
    return "every r is tau/dt in float64 under names of torch.fx, which SpikingJelly writes" if traced else ""


def _looks_snntorch(neurons: Sequence[Fields]) -> str:
    if not {f.node.type for f in neurons} <= {"LIF", "CubaLIF"} or _telling_ratio(neurons) != _SNNTORCH_DT:
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


PATTERNS: tuple[tuple[str, Callable[[Sequence[Fields]], str]], ...] = (
    ("spikingjelly", _looks_spikingjelly),
    ("snntorch", _looks_snntorch),
    ("sinabs", _looks_sinabs),
    ("rockpool", _looks_rockpool),
)
