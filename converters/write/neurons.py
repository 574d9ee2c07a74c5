"""A discrete neuron in NIR's continuous words: the inverse of `spikeport.converters.read.neurons`, dialect by dialect.

Fields are float64, so that the float32 decays come back from them exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Neuron, Shape
from spikeport.converters.read.dialects import Dialect
from spikeport.converters.read.neurons import neuron_of

# Their exporters write none, and the nir package they need (1.0.4) refuses the field.
_WITHOUT_V_RESET = ("sinabs", "rockpool")

Fields = dict[str, NDArray[np.float64]]

# A decay of 0 or 1 has no finite time constant under some formula; this close is the same in float32.
_EDGE = 1e-12


def neuron_fields(
    name: str, neuron: Neuron, shape: Shape, dialect: Dialect, dt: float
) -> tuple[str, Fields, tuple[Finding, ...]]:
    """NIR type and fields of a neuron, full-sized, and a finding where another reader will see something else."""
    kind = _kind(neuron)
    unit = {"steps": 1.0, "seconds": dt, "seconds_dt": dt * dt}[dialect.tau_unit]
    k = _steps(neuron.membrane_decay, dialect)
    fields: dict[str, Any] = {}
    if kind.startswith("Cuba"):
        k_syn = _steps(neuron.current_decay, dialect)
        fields |= {"tau_syn": k_syn * unit, "w_in": _w_in(neuron, k_syn, dialect)}
    if kind in ("IF", "I"):
        fields["r"] = {"one": 1.0, "r": neuron.current_gain, "file": neuron.current_gain / np.float64(dt)}[
            dialect.if_gain
        ]
    else:
        fields |= {"tau_mem" if kind.startswith("Cuba") else "tau": k * unit, "r": _resistance(neuron, k, dialect)}
        fields["v_leak"] = np.float64(neuron.bias) / (1.0 - np.minimum(np.float64(neuron.membrane_decay), 1.0 - _EDGE))
    if neuron.spiking:
        fields["v_threshold"] = neuron.threshold
        if dialect.name not in _WITHOUT_V_RESET or neuron.v_reset.any():
            fields["v_reset"] = neuron.v_reset
    full = {field: np.array(np.broadcast_to(np.float64(value), shape)) for field, value in fields.items()}
    return kind, full, _unsaid(name, kind, full, neuron, replace(dialect, dt=dt))


def _kind(neuron: Neuron) -> str:
    if neuron.current_decay is not None:
        return "CubaLIF" if neuron.spiking else "CubaLI"
    if (neuron.membrane_decay == 1).all() and not neuron.bias.any():
        return "IF" if neuron.spiking else "I"
    return "LIF" if neuron.spiking else "LI"


def _steps(decay: Any, dialect: Dialect) -> NDArray[np.float64]:
    inside = np.clip(np.asarray(decay, np.float64), _EDGE, 1.0 - _EDGE)
    # A decay of 0 is exactly one step of Euler.
    return -1.0 / np.log(inside) if dialect.decay == "exp" else 1.0 / np.where(decay == 0, 1.0, 1.0 - inside)


def _resistance(neuron: Neuron, k: NDArray[np.float64], dialect: Dialect) -> Any:
    """r as the dialect's exporter writes it: Rockpool's is tied to its exponential decay."""
    if dialect.gain == "file":
        return np.float64(neuron.current_gain) * k
    return k * np.exp(-1.0 / k) if dialect.name == "rockpool" else 1.0


def _w_in(neuron: Neuron, k_syn: NDArray[np.float64], dialect: Dialect) -> Any:
    return {"file": np.float64(neuron.input_gain) * k_syn, "jump": neuron.input_gain, "decayed": 1.0}[dialect.current]


def _unsaid(name: str, kind: str, fields: Fields, neuron: Neuron, dialect: Dialect) -> tuple[Finding, ...]:
    """Compare with what a reader of NIR's fields alone would get under this dialect."""
    seen = neuron_of(name, kind, fields, dialect, recurrent=False)
    fires = ("threshold",) if neuron.spiking else ()
    names = ("membrane_decay", "current_decay", "input_gain", "current_gain", "bias", "spiking", *fires)
    lost = [n for n in names if not _alike(getattr(seen, n), getattr(neuron, n))]
    if not lost:
        return ()
    message = f"{', '.join(lost)} cannot be said in NIR under dialect '{dialect.name}'; spikeport's metadata hold them."
    return (Finding("neuron-in-metadata", "warning", name, message, "Other readers will see other neurons."),)


def _alike(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))
