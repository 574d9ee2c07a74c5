"""One function per NIR node type, found in one table: a raw node and the shape that arrives become a `Node`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.findings import Finding
from spikeport.converters.network import Conv, Delay, Flatten, Input, Linear, Node, Output, Pool, Scale, Shape
from spikeport.converters.read.dialects import Dialect
from spikeport.converters.read.extensions import EXTENSION_FIELDS, EXTENSIONS
from spikeport.converters.read.fields import Fields, Numbers
from spikeport.converters.read.neurons import neuron_of, uniform
from spikeport.errors import DialectError, ModelError, UnsupportedNodeError

# A buffer of this many steps is already far beyond any chip; more is a wrong dt.
MAX_DELAY_STEPS = 100_000


@dataclass(frozen=True)
class Place:
    """What a node needs to know about its surroundings.

    Attributes:
        fields: its own fields.
        shape: what arrives; () for inputs.
        wanted: the shape that the nodes after it ask for (0: any length), or None where they take anything.
        dialect: with dt settled wherever a node needs it.
        recurrent: whether it feeds itself through linear nodes.
    """

    fields: Fields
    shape: Shape
    wanted: Shape | None
    dialect: Dialect
    recurrent: bool


Made = tuple[Node, tuple[Finding, ...]]


def make_node(place: Place) -> Made:
    """The node at this place.

    Raises:
        UnsupportedNodeError: a type that is not in the table.
        ModelError: fields that are missing or make no sense.
    """
    kind = place.fields.node.type
    if kind in EXTENSIONS:
        return EXTENSIONS[kind](place.fields, place.shape), ()
    if kind not in _MAKERS:
        raise UnsupportedNodeError(
            f"node '{place.fields.name}' has the type {kind}, which spikeport does not know. Known: "
            f"{', '.join(sorted(_MAKERS))}. Express it by these, or write it out as a subgraph of them."
        )
    return _MAKERS[kind](place)


def known_fields(kind: str) -> frozenset[str]:
    """Fields of a NIR type that have a meaning here."""
    return _KNOWN.get(kind) or EXTENSION_FIELDS.get(kind, frozenset())


def _input(place: Place) -> Made:
    """Leading axes of batch and time, which some exporters write, are dropped."""
    fields, wanted = place.fields, place.wanted
    if not fields.has("shape") and not fields.has("input_type.input"):
        if wanted is None or 0 in wanted:
            raise fields.refuse("its shape is missing and does not follow from the nodes after it. Add the shape.")
        return Input(wanted), (
            Finding("shape-inferred", "info", fields.name, f"shape {wanted} follows from the next node."),
        )
    shape = fields.shape("shape" if fields.has("shape") else "input_type.input")
    if wanted is None or len(shape) <= len(wanted):
        return Input(shape), ()
    kept = shape[len(shape) - len(wanted) :]
    message = f"shape {shape} has leading batch or time axes; one step of one sample is {kept}."
    return Input(kept), (Finding("leading-axes-dropped", "info", fields.name, message),)


def _output(place: Place) -> Made:
    """The shape that arrives is the shape that leaves; the file's own is compared, not believed."""
    fields = place.fields
    found: tuple[Finding, ...] = ()
    said = next((fields.shape(f) for f in ("shape", "output_type.output") if fields.has(f)), place.shape)
    if said[-len(place.shape) :] != place.shape:
        message = f"the file says shape {said}, but {place.shape} arrives; the latter is used."
        found = (Finding("output-shape-differs", "warning", fields.name, message, "Check the layers before it."),)
    return Output(place.shape), found


def _linear(place: Place) -> Made:
    return Linear(place.fields.weight(2), place.fields.bias()), ()


def _scale(place: Place) -> Made:
    fields = place.fields
    factor = fields.fit({"scale": fields.numbers("scale")}, place.shape)["scale"]
    return Scale(fields.float32("scale", uniform(factor))), ()


def _conv(rank: int) -> Callable[[Place], Made]:
    def make(place: Place) -> Made:
        fields = place.fields
        weight = fields.weight(rank + 2)
        stride = fields.integers("stride", rank, 1, default=1)
        dilation = fields.integers("dilation", rank, 1, default=1)
        (groups,) = fields.integers("groups", 1, 1, default=1)
        weight, padding = _padded(fields, weight, stride, dilation, rank)
        return Conv(weight, fields.bias(), stride, padding, dilation, groups), ()

    return make


def _padded(
    fields: Fields, weight: NDArray[np.float32], stride: Shape, dilation: Shape, rank: int
) -> tuple[NDArray[np.float32], Shape]:
    """Padding in pixels. 'same' pads d(k-1) in all, the odd pixel at the end, as torch.nn.Conv does.

    Padding here is symmetric: where the total is odd, a zero tap in front of the kernel moves the window instead.
    """
    word = fields.text("padding")
    if word is None:
        return weight, fields.integers("padding", rank, 0, default=0)
    if word == "valid":
        return weight, (0,) * rank
    if word != "same" or any(s != 1 for s in stride):
        raise fields.refuse(f"padding '{word}' with stride {stride}; known: 'valid', 'same' (stride 1), or numbers.")
    padding = []
    for axis, d in enumerate(dilation):
        total = d * (weight.shape[2 + axis] - 1)
        if total % 2:
            if d != 1:
                raise fields.refuse(
                    f"padding 'same' is asymmetric with kernel {weight.shape[2:]} and dilation {dilation}. "
                    "Use an odd kernel."
                )
            front = [(0, 0)] * weight.ndim
            front[2 + axis] = (1, 0)
            weight, total = np.pad(weight, front), total + 1
        padding.append(total // 2)
    return weight, tuple(padding)


def _sum_pool(place: Place) -> Made:
    return Pool("sum", *_pool_sizes(place.fields)), ()


def _average_pool(place: Place) -> Made:
    return Pool("average", *_pool_sizes(place.fields)), ()


def _pool_sizes(fields: Fields) -> tuple[Shape, Shape, Shape]:
    kernel = fields.integers("kernel_size", 2, 1)
    stride = fields.integers("stride", 2, 1) if fields.has("stride") else kernel
    return kernel, stride, fields.integers("padding", 2, 0, default=0)


def _flatten(place: Place) -> Made:
    """Axes are counted with the batch axis by some exporters and without it by others.

    The file's input_type tells where its rank differs from what arrives; otherwise the next node's own size does.
    """
    fields = place.fields
    start, end = (_axis(fields, f, d) for f, d in (("start_dim", 0), ("end_dim", -1)))
    without = Flatten(start, end)
    with_batch = Flatten(max(start - 1, 0) if start >= 0 else start, end - 1 if end > 0 else end)
    field = next((f for f in ("input_type", "input_type.input") if fields.has(f)), None)
    if field is not None and len(fields.shape(field)) == len(place.shape) + 1:
        return with_batch, ()
    fits = [node for node in (without, with_batch) if _flat(place.shape, node) == place.wanted]
    if start > 0 and fits == [with_batch]:
        message = f"start_dim {start} counts the batch axis, as the next node's {place.wanted} shows."
        return with_batch, (Finding("flatten-counts-batch", "info", fields.name, message),)
    return without, ()


def _axis(fields: Fields, field: str, default: int) -> int:
    return fields.integers(field, 1, -8)[0] if fields.has(field) else default


def _flat(shape: Shape, node: Flatten) -> Shape | None:
    rank = len(shape)
    start, end = (axis + rank if axis < 0 else axis for axis in (node.start, node.end))
    if not 0 <= start <= end < rank:
        return None
    return (*shape[:start], int(np.prod(shape[start : end + 1])), *shape[end + 1 :])


def _delay(place: Place) -> Made:
    """NIR's delay is a time; here it becomes whole steps."""
    fields, dialect = place.fields, place.dialect
    delay = fields.fit({"delay": fields.numbers("delay")}, place.shape)["delay"]
    if delay.min() < 0:
        raise fields.refuse(f"'delay' must not be negative, but its smallest value is {delay.min():.6g}.")
    exact = delay / step_length(fields.name, dialect)
    if exact.max() > MAX_DELAY_STEPS:
        raise fields.refuse(
            f"'delay' is {exact.max():.3g} steps of dt={dialect.dt} s, more than {MAX_DELAY_STEPS}. Check --dt."
        )
    steps = np.rint(exact).astype(np.int64)
    off = float(np.abs(exact - steps).max())
    message = f"delays are not whole steps of dt={dialect.dt} s; rounded by up to {off:.3f} steps."
    rounded = Finding("delay-rounded", "warning", fields.name, message, "Choose a dt that divides them.")
    return Delay(uniform(steps)), (rounded,) if off > 1e-3 else ()


def step_length(name: str, dialect: Dialect) -> float:
    """What one step counts in the file's unit of time.

    Raises:
        DialectError: dt is not known.
    """
    if dialect.tau_unit == "steps":
        return 1.0
    if dialect.dt is None:
        raise DialectError(f"node '{name}' needs the time step, which the file does not hold: give --dt.")
    return dialect.dt if dialect.tau_unit == "seconds" else dialect.dt**2


def neuron_values(fields: Fields, shape: Shape) -> dict[str, Numbers]:
    """A neuron's parameters, checked: finite, positive where they must be, without leading batch axes.

    Raises:
        ModelError: naming the node, the field and the value.
    """
    kind = fields.node.type
    values = {f: fields.numbers(f) for f in _REQUIRED[kind]}
    values |= {f: fields.numbers(f) for f in _OPTIONAL[kind] if fields.has(f)}
    for field in ("tau", "tau_mem", "tau_syn", *(("v_threshold",) if "v_threshold" in values else ())):
        if field in values:
            fields.positive(field)
    _refuse_early_snntorch(fields, values)
    return fields.fit(values, shape)


def _refuse_early_snntorch(fields: Fields, values: Mapping[str, Numbers]) -> None:
    """The first snnTorch exporter (nir 0.2.0) wrote tau_mem = 1/(1 - alpha), tau_syn = 1/(1 - beta) and r = beta."""
    if (
        fields.node.type == "CubaLIF"
        and "w_in" not in values
        and np.allclose(values["r"], 1 - 1 / values["tau_syn"], rtol=1e-4)
    ):
        raise fields.refuse(
            "r equals 1 - 1/tau_syn: an early snnTorch exporter wrote tau_mem and tau_syn exchanged, in steps, and the "
            "membrane decay as r. Its numbers do not mean what NIR says. Export the model with a later version."
        )


def _neuron(place: Place) -> Made:
    values = neuron_values(place.fields, place.shape)
    kind = place.fields.node.type
    try:
        return neuron_of(place.fields.name, kind, values, place.dialect, place.recurrent), _old_file(place, values)
    except DialectError:
        raise
    except ModelError as error:
        raise place.fields.refuse(str(error)) from error


def _old_file(place: Place, values: Mapping[str, Numbers]) -> tuple[Finding, ...]:
    """Files from before NIR had w_in (nir < 0.2)."""
    if place.fields.node.type not in ("CubaLIF", "CubaLI") or "w_in" in values:
        return ()
    meaning = "w_in = 1, NIR's default" if place.dialect.name == "nir" else "the current jumps by the weight itself"
    return (Finding("w-in-missing", "info", place.fields.name, f"the file is older than w_in; read as: {meaning}."),)


def _threshold(place: Place) -> Made:
    fields = place.fields
    values = fields.fit({"threshold": fields.numbers("threshold")}, place.shape)
    return neuron_of(fields.name, "Threshold", values, place.dialect, place.recurrent), ()


_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "LIF": ("tau", "v_threshold"),
    "LI": ("tau",),
    "CubaLIF": ("tau_mem", "tau_syn", "r", "v_threshold"),
    "CubaLI": ("tau_mem", "tau_syn"),
    "IF": ("v_threshold",),
    "I": (),
}
_OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "LIF": ("r", "v_leak", "v_reset"),
    "LI": ("r", "v_leak"),
    "CubaLIF": ("v_leak", "v_reset", "w_in"),
    "CubaLI": ("r", "v_leak", "w_in"),
    "IF": ("r", "v_reset"),
    "I": ("r",),
}
# Threshold keeps no state, but its spike closes a loop as any other.
NEURON_TYPES = frozenset({*_REQUIRED, "Threshold"})
_MAKERS: Mapping[str, Callable[[Place], Made]] = {
    "Input": _input,
    "Output": _output,
    "Linear": _linear,
    "Affine": _linear,
    "Scale": _scale,
    "Conv1d": _conv(1),
    "Conv2d": _conv(2),
    "SumPool2d": _sum_pool,
    "AvgPool2d": _average_pool,
    "Flatten": _flatten,
    "Delay": _delay,
    "Threshold": _threshold,
    **dict.fromkeys(_REQUIRED, _neuron),
}
_CONV_FIELDS = frozenset({"weight", "bias", "stride", "padding", "dilation", "groups", "input_shape"})
_KNOWN: Mapping[str, frozenset[str]] = {
    "Input": frozenset({"shape", "input_type.input"}),
    "Output": frozenset({"shape", "output_type.output"}),
    "Linear": frozenset({"weight"}),
    "Affine": frozenset({"weight", "bias"}),
    "Scale": frozenset({"scale"}),
    "Conv1d": _CONV_FIELDS,
    "Conv2d": _CONV_FIELDS,
    "SumPool2d": frozenset({"kernel_size", "stride", "padding"}),
    "AvgPool2d": frozenset({"kernel_size", "stride", "padding"}),
    "Flatten": frozenset({"start_dim", "end_dim", "input_type", "input_type.input"}),
    "Delay": frozenset({"delay"}),
    "Threshold": frozenset({"threshold"}),
    **{kind: frozenset({*_REQUIRED[kind], *_OPTIONAL[kind]}) for kind in _REQUIRED},
}
