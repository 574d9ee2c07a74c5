"""snnTorch 1.0: what each of its neurons computes (source: snntorch/_neurons/*.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from spikeport.converters.network import Array, Neuron, Shape
from spikeport.converters.read.modules.cells import (
    Cell,
    Entry,
    Map,
    approximate,
    array,
    decay,
    per_step,
    sequences,
    spike_rule,
)
from spikeport.converters.read.modules.values import refuse

_STATES = MappingProxyType({"mem": "v", "syn": "u", "spk": "s"})
_MECHANISMS = MappingProxyType({"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"})
_NUMBERS = ("subtract", "zero", "none")


def _leaky(where: str, module: Any, shape: Shape) -> Cell:
    """v = beta v + x. A delayed zero clears v before it decays, which is the same as in the step of the spike."""
    return _lif(where, module, shape, _beta(where, module, shape), discards=False)


def _synaptic(where: str, module: Any, shape: Shape) -> Cell:
    """i = alpha i + x, v = beta v + i. A delayed zero clears the whole new membrane, that step's input included."""
    alpha = decay(module.alpha.clamp(0, 1), where, "alpha", shape)
    return _lif(where, module, shape, _beta(where, module, shape), discards=True, current_decay=alpha)


def _rleaky(where: str, module: Any, shape: Shape) -> Cell:
    """Leaky whose input includes V applied to its own spikes of the step before."""
    return _lif(where, module, shape, _beta(where, module, shape), discards=True, recurrent=module.recurrent)


def _rsynaptic(where: str, module: Any, shape: Shape) -> Cell:
    """Synaptic with recurrence. In 1.0.0 ``reset_delay=False`` changes variables that nobody reads: always delayed."""
    alpha = decay(module.alpha.clamp(0, 1), where, "alpha", shape)
    beta = _beta(where, module, shape)
    return _lif(
        where, module, shape, beta, discards=True, current_decay=alpha, recurrent=module.recurrent, delayed=True
    )


def _lapicque(where: str, module: Any, shape: Shape) -> Cell:
    """v = (1 - dt/RC) v + R (1/RC) dt x; its ``beta`` is not used in a step."""
    rc = module.R * module.C
    b = decay(1 - module.time_step / rc, where, "decay 1 - time_step/(R C)", shape)
    gain = per_step(module.R * (1 / rc) * module.time_step, where, "input gain", shape)
    return _lif(where, module, shape, b, discards=True, delayed=True, current_gain=gain)


def _lif(
    where: str,
    module: Any,
    shape: Shape,
    b: Array,
    discards: bool,
    delayed: bool | None = None,
    recurrent: Map | None = None,
    **more: Any,
) -> Cell:
    _refuse_variants(where, module)
    rule = spike_rule(where, lambda v: module.spike_grad(v - 1.0))
    threshold = _threshold(where, module, shape)
    late = module.reset_delay if delayed is None else delayed
    neuron = Neuron(
        membrane_decay=b,
        threshold=threshold,
        comparison=rule.comparison,
        max_spikes=rule.max_spikes,
        **_reset(_mechanism(where, module, late), late, discards),
        **more,
    )
    return Cell(neuron, after=_graded(module.graded_spikes_factor), recurrent=recurrent, states=_STATES)


def _reset(mechanism: str, delayed: bool, discards: bool) -> dict[str, Any]:
    """As `spikeport.converters.read.neurons` says: delayed zeros, and subtraction that avoids a double reset."""
    if mechanism == "none":
        return {"reset": "none"}
    if mechanism == "zero":
        late = delayed and discards
        return {"reset": "value", "reset_delay": int(late), "reset_discards_input": late}
    return {"reset": "subtract", "reset_delay": int(delayed), "reset_carries": not delayed}


def _mechanism(where: str, module: Any, delayed: bool) -> str:
    """The rule that acts: chosen for good at construction, and read anew for resets in the step of the spike."""
    chosen = _MECHANISMS.get(getattr(module.state_function, "__name__", ""))
    said = _NUMBERS[int(module.reset_mechanism_val)]
    if chosen is None or (chosen != said and not delayed):
        refuse(
            where,
            f"it was built with the reset '{chosen or module.state_function}' and now says '{said}'; snnTorch mixes "
            "both.",
            "Build the neuron with the reset it should have.",
        )
    return chosen


def _refuse_variants(where: str, module: Any) -> None:
    if module.inhibition:
        refuse(where, "inhibition=True lets only the strongest neuron of a layer fire.", "Train without it.")
    if module.state_quant:
        refuse(where, "state_quant rounds its states at every step.", "Let spikeport quantize: train without it.")


def _threshold(where: str, module: Any, shape: Shape) -> Array:
    threshold = per_step(module.threshold, where, "threshold", shape)
    if not (threshold > 0).all():
        refuse(where, f"its threshold is {float(threshold.min()):.4g}; snnTorch's resets need it above 0.")
    return threshold


def _beta(where: str, module: Any, shape: Shape) -> Array:
    return decay(module.beta.clamp(0, 1), where, "beta", shape)


def _graded(factor: Tensor) -> Map | None:
    return None if bool((factor == 1).all()) else (lambda spikes: spikes * factor)


def _state_leaky(where: str, module: Any, shape: Shape) -> Cell:
    """v[t] = sum over k of exp(-k/tau) x[t-k]: the decay is exp(-1/tau), not the ``beta`` that was given."""
    if module.kernel_truncation_steps is not None:
        refuse(where, f"kernel_truncation_steps={module.kernel_truncation_steps} forgets input abruptly.", "Set None.")
    _refuse_variants(where, module)
    rule = spike_rule(where, lambda v: module.spike_grad(v - 1.0))
    b = decay(torch.exp(-1 / module.tau), where, "exp(-1/tau)", shape)
    said = float(array(module.beta).max())
    note = approximate(
        where,
        "decay-differs-from-beta",
        f"it decays by {float(b.max()):.6g} per step, as it computes, not by beta = {said:.6g}; its convolution rounds "
        "otherwise than a step-by-step sum.",
        "A membrane within float32 rounding of the threshold may fire in one and not in the other.",
    )
    neuron = Neuron(
        b,
        _threshold(where, module, shape),
        comparison=rule.comparison,
        max_spikes=rule.max_spikes,
        spiking=bool(module.output),
        reset="none",
    )
    # The factor acts twice: in `fire`, and once more in `forward`.
    after = _graded(module.graded_spikes_factor**2) if module.output else None
    return Cell(neuron, layout="time-batch", after=after, states=_STATES, findings=(note,))


def _linear_leaky(where: str, module: Any, shape: Shape) -> Cell:
    """StateLeaky behind a linear map of its own."""
    cell = _state_leaky(where, module, shape)
    return Cell(**{**vars(cell), "before": module.linear})


def _leaky_parallel(where: str, module: Any, shape: Shape) -> Cell:
    """v = relu(W x + b_ih + diag(beta) v + b_hh), no reset; spikes where v > threshold."""
    held = module.rnn.weight_hh_l0
    if not torch.equal(held, torch.diag(torch.diagonal(held))):
        refuse(where, "its recurrent weights mix the membranes of different neurons.", "Use weight_hh_enable=False.")
    rule = spike_rule(where, lambda v: module.spike_grad(v - 1.0))
    b = decay(torch.diagonal(held), where, "diagonal of weight_hh_l0", shape)
    bias = module.rnn.bias_ih_l0 + module.rnn.bias_hh_l0 if module.rnn.bias else None
    weight = module.rnn.weight_ih_l0
    neuron = Neuron(
        b,
        _threshold(where, module, shape),
        comparison=rule.comparison,
        max_spikes=rule.max_spikes,
        reset="none",
        v_min=np.zeros((), np.float32),
    )
    before: Callable[[Tensor], Tensor] = lambda x: functional.linear(x, weight, bias)  # noqa: E731
    return Cell(neuron, layout="time-batch", before=before, after=_graded(module.graded_spikes_factor))


def _refused(why: str) -> Entry:
    return Entry("refused", why)


ENTRIES: Mapping[str, Entry] = MappingProxyType(
    {
        "Leaky": Entry("exact", "every reset, with and without reset_delay", _leaky),
        "Synaptic": Entry("exact", "every reset, with and without reset_delay", _synaptic),
        "RLeaky": Entry("exact", "linear, convolutional and one-to-one recurrence, its bias included", _rleaky),
        "RSynaptic": Entry("exact", "as RLeaky; 1.0.0 ignores reset_delay=False, and so does the reader", _rsynaptic),
        "Lapicque": Entry("exact", "the decay that it computes, 1 - time_step/(R C)", _lapicque),
        "StateLeaky": Entry(
            "approximate", "a convolution over time: rounds otherwise; decays by exp(-1/tau)", _state_leaky, sequences
        ),
        "LinearLeaky": Entry("approximate", "as StateLeaky, behind its linear map", _linear_leaky, sequences),
        "LeakyParallel": Entry("exact", "a rectified membrane without reset", _leaky_parallel, sequences),
        "LeakyKernel": Entry("exact", "as LeakyParallel", _leaky_parallel, sequences),
        "Alpha": _refused("its membrane is the difference of two currents, computed anew at every step"),
        "DeltaLeaky": _refused("it fires on changes of its membrane, in both directions alike"),
        "AssociativeLeaky": _refused("its state is a matrix that its input multiplies"),
        "SLSTM": _refused("an LSTM cell: gates multiply signals"),
        "SConv2dLSTM": _refused("an LSTM cell: gates multiply signals"),
    }
)
HOME = ("snntorch._neurons.",)
