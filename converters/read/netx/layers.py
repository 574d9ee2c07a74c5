"""What each type of layer adds to the program; one function per type, found in a table.

Sources: lava-dl 0.6.0 `slayer.block.base` (what is written, and what a block computes), `netx.hdf5` (what it becomes
in Lava). Where SLAYER delays a layer's spikes (`axon.Delay`, after the neuron), so does the program: on their way to
the next layer. netx delays what enters the layer instead, which only differs where it has a bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np
from scipy.sparse import csr_array

from spikeport.converters.chip_network import Connectivity, Dense, Ints, Sparse
from spikeport.converters.findings import Finding
from spikeport.converters.network import Shape
from spikeport.converters.read.netx.net_file import RawLayer
from spikeport.converters.read.netx.neurons import (
    BIAS_UNIT,
    DECAY_TOP,
    OUT_OF_REACH,
    UNIT_EXP,
    NeuronKind,
    is_sigma_delta,
    neuron_findings,
    neuron_kind,
)
from spikeport.converters.read.netx.numbers import has, integer, integers, layer_shape, pair, refuse, spread
from spikeport.converters.read.netx.program import ZERO, Program, flat
from spikeport.converters.read.netx.weights import Format, fit
from spikeport.converters.read.netx.windows import (
    NAME_INPUT,
    check_shape,
    convolution,
    end_padding,
    image,
    only_source,
    unrolled,
)
from spikeport.errors import UnsupportedNodeError

GAIN = 64
"""What an input's values are multiplied by where the layer has no weight (netx)."""
ONE_EACH = Format(0, 0, 8, "excitatory")
"""Weights of 1, as they are."""


def add_layer(program: Program, layer: RawLayer) -> None:
    """Append ``layer`` to ``program``.

    Raises:
        UnsupportedNodeError: a type of layer, or of neurons, that has no place on the chip; the message says why.
        ModelError: its numbers do not fit each other.
    """
    if layer.type not in _LAYERS:
        reason = _REFUSED.get(layer.type, f"spikeport reads {', '.join(_LAYERS)}")
        raise UnsupportedNodeError(f"layer '{layer.name}' cannot be read: {reason}.")
    if not program.last and layer.type != "input":
        _without_input(program, layer)
    _LAYERS[layer.type](program, layer)
    if unread := sorted(set(layer.fields) - _FIELDS - (_DELAYED if layer.type in _WEIGHTED else frozenset())):
        message = f"not read, since no release of SLAYER writes it here: {', '.join(unread)[:200]}."
        program.findings.append(Finding("field-ignored", "warning", layer.name, message))


def _without_input(program: Program, layer: RawLayer) -> None:
    """An input population for a file that begins with what it feeds: as the user says, or as the weights say alone."""
    shape = program.named
    if not shape and layer.type in ("dense", "dense_rec"):
        shape = (_matrix(layer, "weight").shape[1],)
    elif not shape and layer.type == "conv":
        shape = only_source(layer, integers(layer, "weight").shape, integer(layer, "groups", 1))
        message = f"the file has no input layer; an input of {shape} is the only one that gives {layer_shape(layer)}."
        program.findings.append(Finding("input-inferred", "info", layer.name, message))
    elif not shape:
        raise refuse(layer, f"is the first, and nothing says how large its input is; {NAME_INPUT}")
    program.begin("input", shape, payloads=False)


def _input(program: Program, layer: RawLayer) -> None:
    if program.last:
        raise refuse(layer, "is an input in the middle of the network")
    shape = layer_shape(layer)
    shape = shape if len(shape) == 3 and shape[1:] != (1, 1) else flat(shape)
    if program.named not in ((), shape):
        raise refuse(layer, f"says that its shape is {shape}, not {program.named}; leave the input's shape out")
    gain, offset = integer(layer, "weight", GAIN), integer(layer, "bias", 0)
    if is_sigma_delta(layer):
        threshold = integer(layer, "neuron/vThMant")
        program.begin(layer.name, shape, payloads=True)
        program.encode = f"changes:gain={gain},offset={offset},threshold={threshold},exp={UNIT_EXP}"
    elif has(layer, "neuron"):
        program.begin("values", shape, payloads=True)
        program.encode = f"values:gain={gain},offset={offset}"
        _driven(program, layer, shape)
    else:
        program.begin(layer.name, shape, payloads=False)


def _driven(program: Program, layer: RawLayer, shape: Shape) -> None:
    """Input neurons, each with the value of its pixel as its current: one synapse of weight 1 and a payload."""
    kind, source, size = _kind(program, layer, shape), program.last, prod(shape)
    each = csr_array((np.ones(size, np.int64), np.arange(size), np.arange(size + 1)), shape=(size, size))
    program.join(source, program.grow(layer, kind, shape, ZERO), Sparse(each), ONE_EACH)


def _dense(program: Program, layer: RawLayer) -> None:
    weights = _matrix(layer, "weight")
    if weights.shape[1] != prod(program.shape):
        raise refuse(layer, f"has weights for {weights.shape[1]} inputs, the layer before it gives {program.shape}")
    _feed(program, layer, flat(layer_shape(layer)), weights, Dense)


def _dense_rec(program: Program, layer: RawLayer) -> None:
    _dense(program, layer)
    weights, name = _matrix(layer, "weight_rec"), program.last
    if weights.shape[0] != weights.shape[1]:
        raise refuse(layer, f"weight_rec of shape {weights.shape} should be square")
    form = fit(layer, "weight_rec", weights, neuron_kind(layer, program.shape).weight_exp)
    program.join(name, name, Dense(form.of(weights)), form)


def _conv(program: Program, layer: RawLayer) -> None:
    weights = integers(layer, "weight")
    weights = weights[..., 0] if weights.ndim == 5 and weights.shape[4] == 1 else weights
    if weights.ndim != 4:
        raise refuse(layer, f"weight of shape {weights.shape} should be (K, C / groups, kH, kW)")
    conv = convolution(layer, image(layer, program.shape), weights, integer(layer, "groups", 1))
    check_shape(layer, layer_shape(layer), conv.target_shape)
    _feed(program, layer, conv.target_shape, weights, lambda stored: replace(conv, weight=stored))


def _pool(program: Program, layer: RawLayer) -> None:
    """The same kernel in every channel, then neurons; zeros at the end as SLAYER adds them."""
    source, kernel = image(layer, program.shape), pair(layer, "kernelSize", 1)
    weight = integers(layer, "weight")
    if weight.size != prod(kernel):
        raise refuse(layer, f"weight of shape {weight.shape} for a kernel of {kernel}")
    weights = np.tile(weight.reshape(1, 1, *kernel), (source[0], 1, 1, 1))
    below, right = end_padding(source, kernel)
    padded = convolution(layer, (source[0], source[1] + below, source[2] + right), weights, source[0])
    check_shape(layer, layer_shape(layer), padded.target_shape)
    plain = convolution(layer, source, weights, source[0])
    within = plain.target_shape == padded.target_shape

    def connect(stored: Ints) -> Connectivity:
        if within:
            return replace(plain, weight=stored)
        return Sparse(unrolled(layer, replace(padded, weight=stored), source))

    _feed(program, layer, padded.target_shape, weights, connect)


def _flatten(program: Program, layer: RawLayer) -> None:
    """Order (C, H, W), which is how populations are numbered."""
    if prod(layer_shape(layer)) != prod(program.shape):
        raise refuse(layer, f"shape {layer_shape(layer)} for the {program.shape} values of the layer before it")
    program.shape = flat(program.shape)


def _average(program: Program, layer: RawLayer) -> None:
    """Means over groups of neurons, at every step: a readout without memory that counts spikes, 2^6 of v each."""
    groups, size = prod(layer_shape(layer)), prod(program.shape)
    if size % groups or program.last in program.payloads:
        what = "spikes with payloads" if program.last in program.payloads else f"{size} neurons into {groups} groups"
        raise refuse(layer, f"cannot average {what}")
    memoryless = (np.asarray(DECAY_TOP - 1), np.asarray(DECAY_TOP), np.asarray(OUT_OF_REACH))
    kind = NeuronKind("integrator", *memoryless, scale=float(BIAS_UNIT * size // groups))
    members = (np.ones(size, np.int64), np.arange(size), np.arange(0, size + 1, size // groups))
    source, delays = program.last, program.delays
    name = program.grow(layer, kind, (groups,), ZERO)
    program.join(source, name, Sparse(csr_array(members, shape=(groups, size))), ONE_EACH, delays)
    program.decode = "membrane"


def _feed(
    program: Program, layer: RawLayer, shape: Shape, weights: Ints, connect: Callable[[Ints], Connectivity]
) -> None:
    """Add the neurons of ``layer`` and the synapses into them, which ``connect`` makes of the weights as stored."""
    kind, source = _kind(program, layer, shape), program.last
    if is_sigma_delta(layer) and source not in program.payloads and program.populations[source].model == "input":
        program.payloads.add(source)
        program.encode = "values"
    form, (arriving, leaving) = fit(layer, "weight", weights, kind.weight_exp), _delays(program, layer, shape)
    name = program.grow(layer, kind, shape, integers(layer, "bias") if "bias" in layer.fields else ZERO)
    program.join(source, name, connect(form.of(weights)), form, arriving)
    program.delays = leaving


def _kind(program: Program, layer: RawLayer, shape: Shape) -> NeuronKind:
    kind = neuron_kind(layer, shape)
    program.findings += neuron_findings(layer, kind)
    return kind


def _delays(program: Program, layer: RawLayer, shape: Shape) -> tuple[Ints, Ints]:
    """Steps on the way into the layer, per source neuron, and on the way out of it, per neuron of its own."""
    if "delay" not in layer.fields:
        return program.delays, ZERO
    values = integers(layer, "delay")
    if values.min() < 0:
        raise refuse(layer, f"delay = {int(values.min())} is negative")
    inputs = prod(program.shape)
    if values.size == inputs and values.size not in (1, shape[0], prod(shape)):
        return program.delays + values.reshape(-1), ZERO
    return program.delays, spread(layer, "delay", values, shape)


def _matrix(layer: RawLayer, key: str) -> Ints:
    """Weights (n_out, n_in) of a dense layer; they may lie flat."""
    if has(layer, "weight/imag"):
        raise UnsupportedNodeError(
            f"layer '{layer.name}': complex weights belong to resonate-and-fire neurons, which have no chip model here."
        )
    weights, outputs = integers(layer, key), prod(layer_shape(layer))
    if weights.ndim == 1 and weights.size % outputs == 0:
        weights = weights.reshape(outputs, -1)
    if weights.ndim != 2 or weights.shape[0] != outputs:
        raise refuse(layer, f"{key} of shape {weights.shape} for {outputs} neurons")
    return weights


_LAYERS: Mapping[str, Callable[[Program, RawLayer], None]] = {
    "input": _input,
    "dense": _dense,
    "dense_rec": _dense_rec,
    "conv": _conv,
    "pool": _pool,
    "flatten": _flatten,
    "average": _average,
}
_WEIGHTED = frozenset({"dense", "dense_rec", "conv", "pool"})
_DELAYED = frozenset({"delay"})
_SIZES = "inFeatures outFeatures inChannels outChannels kernelSize stride padding dilation groups"
_NEURON = "type iDecay vDecay vThMant refDelay gradedSpike activation sigma_output weight_exp wgtExp"
_TRAINING = "theta scaleRho tauRho messageBits"
_FIELDS = frozenset(f"shape weight weight_rec bias {_SIZES}".split()) | {
    f"neuron/{field}" for field in f"{_NEURON} {_TRAINING}".split()
}
"""What is read, and what is known to say nothing more: sizes that weights have, too, and constants of training."""
_UPWARD = "the chip has no form for it, and lava-dl's own reader none either; retrain without it"
_REFUSED = {
    "convT": f"a transposed convolution: {_UPWARD}",
    "unpool": f"unpooling: {_UPWARD}",
    "concat": "no release of lava-dl writes or reads it, so nothing says what it joins",
    "dense_comp": "complex weights belong to resonate-and-fire neurons, which have no chip model here",
}
