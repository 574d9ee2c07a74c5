"""A NIR neuron plus a dialect becomes a `Neuron` in discrete form.

Notation: k = tau in steps, b = membrane decay, a = current decay. All arithmetic in float64, stored as float32, the
dtype every framework here computes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.network import Array, Comparison, Neuron, Reset
from spikeport.converters.read.dialects import Dialect, floor_of
from spikeport.errors import DialectError, ModelError

Values = Mapping[str, NDArray[np.float64]]

# Exporters compute r = tau/dt in float32; what comes back as 1 within this is their 1.
_UNIT_TOLERANCE = 1e-6


def neuron_of(name: str, kind: str, values: Values, dialect: Dialect, recurrent: bool) -> Neuron:
    """One NIR neuron in discrete form.

    Args:
        name: the node's name, for messages.
        kind: LIF, CubaLIF, LI, CubaLI, IF, I or Threshold.
        values: the node's parameters; optional ones (v_reset, v_leak, w_in, r) may be missing.
        dialect: with dt settled.
        recurrent: whether the node feeds itself through linear nodes.

    Raises:
        DialectError: a time constant shorter than one step.
    """
    if kind == "Threshold":
        return _threshold(values, dialect)
    b, gain = _membrane(name, kind, values, dialect)
    a, input_gain = _current(name, kind, values, dialect)
    spiking = kind in ("LIF", "CubaLIF", "IF")
    threshold = values.get("v_threshold", np.ones(()))
    v_reset = values.get("v_reset", np.zeros(())) if dialect.reset != "zero" else np.zeros(())
    v_leak = values.get("v_leak", np.zeros(()))
    floor = (dialect.if_v_min if kind == "IF" else dialect.v_min) if spiking else None
    return Neuron(
        membrane_decay=_f32(b),
        threshold=_f32(threshold),
        current_decay=None if a is None else _f32(a),
        input_gain=_f32(input_gain),
        current_gain=_f32(gain),
        bias=_f32((1.0 - b) * v_leak),
        comparison=_comparison(dialect),
        spiking=spiking,
        max_spikes=dialect.max_spikes,
        v_reset=_f32(v_reset),
        v_min=None if floor is None else _f32(floor_of(floor, threshold)),
        v_init=_f32(_start(dialect, v_reset, v_leak)),
        **(_reset(dialect, kind, recurrent) if spiking else {"reset": "none"}),
    )


def _threshold(values: Values, dialect: Dialect) -> Neuron:
    """NIR's Threshold: a spike wherever the input passes it, without memory."""
    return Neuron(_f32(np.zeros(())), _f32(values["threshold"]), comparison=_comparison(dialect))


def _reset(dialect: Dialect, kind: str, recurrent: bool) -> dict[str, Any]:
    """Reset fields. snnTorch's three peculiarities live here (snntorch/_neurons/{leaky,synaptic,rleaky}.py):

    - Leaky, zero, delayed: v[t-1] is zeroed before it decays, which equals zero in the step of the spike.
    - Synaptic, RLeaky, RSynaptic, zero, delayed: the whole new membrane is zeroed, that step's input included.
    - subtract without delay: a membrane still above the threshold after its reset is decided on one threshold lower.
    """
    kinds: dict[str, Reset] = {"zero": "value", "value": "value", "subtract": "subtract", "none": "none"}
    reset = kinds[dialect.reset]
    moment = dialect.cuba_reset_delay if kind == "CubaLIF" else None
    delayed = (dialect.reset_delay if moment is None else moment) == 1
    if reset == "value" and delayed:
        discards = dialect.recurrent_reset_discards and (kind == "CubaLIF" or recurrent)
        return {"reset": reset, "reset_delay": int(discards), "reset_discards_input": discards}
    carries = reset == "subtract" and not delayed and dialect.name == "snntorch"
    return {"reset": reset, "reset_delay": int(delayed and reset != "none"), "reset_carries": carries}


def _membrane(name: str, kind: str, values: Values, dialect: Dialect) -> tuple[Any, Any]:
    """b and what multiplies the input on its way into v."""
    r = values.get("r", np.ones(()))
    if kind in ("IF", "I"):
        gains = {"one": np.ones(()), "r": r, "file": r * _dt(dialect)}
        return np.ones(()), _unit(gains[dialect.if_gain])
    tau = values["tau_mem" if kind.startswith("Cuba") else "tau"]
    k = _steps(tau, dialect)
    b = _decay(name, k, dialect)
    if dialect.gain == "file":
        return b, _unit(r / k)
    # 1 - b from the rounded b, as the frameworks compute it.
    return b, np.ones(()) if dialect.gain == "one" else 1.0 - np.float32(b).astype(np.float64)


def _current(name: str, kind: str, values: Values, dialect: Dialect) -> tuple[Any, Any]:
    """a (None without a synaptic current) and what multiplies the input on its way into it."""
    tau = values.get("tau_syn")
    if tau is None and dialect.tau_syn is not None and kind in ("LIF", "LI", "IF"):
        tau = np.asarray(dialect.tau_syn)
    if tau is None:
        return None, np.ones(())
    k = _steps(tau, dialect)
    a = _decay(name, k, dialect)
    w_in = values.get("w_in")
    if dialect.current == "decayed":
        return a, a
    if dialect.current == "jump":
        return a, np.ones(()) if w_in is None else w_in
    if w_in is None and dialect.name != "nir":
        # Files from before NIR had w_in: the frameworks' currents jump by the weight itself.
        return a, np.ones(())
    return a, _unit((1.0 if w_in is None else w_in) / k)


def _steps(tau: NDArray[np.float64], dialect: Dialect) -> NDArray[np.float64]:
    """tau in steps."""
    if dialect.tau_unit == "steps":
        return tau
    dt = _dt(dialect)
    return tau / (dt if dialect.tau_unit == "seconds" else dt * dt)


def _decay(name: str, k: NDArray[np.float64], dialect: Dialect) -> NDArray[np.float64]:
    if dialect.decay == "exp":
        return np.exp(-1.0 / k)
    if (k < 1.0 - _UNIT_TOLERANCE).any():
        raise DialectError(
            f"node '{name}': its shortest time constant is {k.min():.3g} steps of dt={dialect.dt:g} s under dialect "
            f"'{dialect.name}'; below one step the decay 1 - dt/tau is negative. Name the right dialect or dt."
        )
    return np.maximum(1.0 - 1.0 / k, 0.0)


def _dt(dialect: Dialect) -> float:
    if dialect.dt is None:
        raise DialectError(f"dialect '{dialect.name}' needs the time step, which the file does not hold: give --dt.")
    return dialect.dt


def _start(dialect: Dialect, v_reset: Any, v_leak: Any) -> Any:
    return {"v_reset": v_reset, "v_leak": v_leak}.get(str(dialect.v_init), dialect.v_init)


def _comparison(dialect: Dialect) -> Comparison:
    return ">=" if dialect.compare == "ge" else ">"


def _unit(gain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo the exporter's float32 rounding where the gain was meant to be 1."""
    return np.where(np.abs(gain - 1.0) <= _UNIT_TOLERANCE, 1.0, gain)


def uniform(values: NDArray[Any]) -> NDArray[Any]:
    """0-d where all elements are equal, else as it is."""
    return np.asarray(values.flat[0]) if (values == values.flat[0]).all() else values


def _f32(values: Any) -> Array:
    """float32, and 0-d where all elements are equal."""
    array = uniform(np.asarray(values, np.float64))
    with np.errstate(over="ignore"):
        narrow: Array = np.asarray(array, np.float32)
    if not np.isfinite(narrow).all():
        raise ModelError(f"a parameter of {np.abs(array).max():.3g} does not fit float32. Rescale the model.")
    return narrow
