"""lower: from the trained network's vocabulary to the chip's. Network (folded) in, Circuit out.

Each neuron's discrete form becomes one of the chip's neuron models by exact changes of variable:

* reset to a value r: v is measured from r (``offset``), so that the reset is to zero;
* reset by subtraction one step late: b·v - θ = b·(v - θ/b), a same-step subtraction of θ/b;
* gains before and after the synaptic current move into the weights;
* a constant c that enters before a current of decay a is c/(1 - a) on v together with an initial u of -c/(1 - a).

What has no exact word on the chip is an error or a warning that names the neuron.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array

from spikeport.converters.circuit import (
    PLAIN_SPIKES,
    Circuit,
    Connection,
    ConvMap,
    DenseMap,
    FloatMap,
    FloatPopulation,
    InputCode,
    Model,
    SparseWeights,
    memoryless,
)  # fmt: skip
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import (
    Activation,
    Array,
    Conv,
    Delay,
    Edge,
    Input,
    Linear,
    MaxPool,
    Network,
    Neuron,
    Node,
    Output,
    Shape,
    SparseMap,
)  # fmt: skip
from spikeport.errors import ModelError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile

Findings = list[Finding]
MOST_SPIKES = 1 << 17
"""More thresholds than this do not fit into 24 bits."""
ZERO = np.zeros(())


def lower(network: Network, profile: Profile, code: InputCode = PLAIN_SPIKES) -> Outcome[Circuit]:
    """Express a folded network in the neuron models that ``profile`` offers.

    ``code``: what the input populations send.

    Raises:
        UnsupportedOnChipError: a neuron whose behaviour the chip cannot be given.
        ModelError: a graph that `fold` should not have passed on.
    """
    refuse_conventional(network)
    findings: Findings = []
    populations: dict[str, FloatPopulation] = {}
    connections: dict[str, Connection] = {}
    for name in (*network.inputs, *network.neurons, *_readouts(network)):
        populations[name] = _population(name, network, profile, code, findings)
    for name, population in populations.items():
        if population.model != "input":
            arriving, constant = _connections(name, network, population)
            connections.update({n: _from_input(c, network, code.unit, population.size) for n, c in arriving.items()})
            populations[name] = _with_constant(name, population, _gain(network.nodes[name], population), constant)
    outputs = tuple(_output_population(name, network) for name in network.outputs)
    circuit = Circuit(populations, connections, network.inputs, outputs, network.dt)
    return Outcome(circuit, tuple(findings))


def refuse_conventional(network: Network, model: str = "MODEL") -> None:
    """Refuse a network of values; ``model`` is how the message calls its file.

    Raises:
        UnsupportedOnChipError: naming the first nodes that do not spike.
    """
    found = [f"{name} ({type(n).__name__})" for name, n in network.nodes.items() if isinstance(n, Activation | MaxPool)]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UnsupportedOnChipError(
            f"{', '.join(found[:3])}{more}: a conventional network's values are not spikes. Convert the network first: "
            f"spikeport convert {model} --to spiking --data CALIBRATION.npz -o model.nir (or --to sigma-delta)."
        )


# ---- which populations there are --------------------------------------------------------------------------------


def _direct_neuron(output: str, network: Network) -> str | None:
    """The neuron that an Output shows unchanged, if it shows one."""
    into = network.into(output) if isinstance(network.nodes[output], Output) else ()
    if len(into) == 1 and into[0].delay == 0 and isinstance(network.nodes[into[0].source], Neuron):
        return into[0].source
    return None


def _readouts(network: Network) -> tuple[str, ...]:
    """Outputs that show a weighted sum: each becomes a memoryless integrator."""
    return tuple(name for name in network.outputs if _direct_neuron(name, network) is None)


def _output_population(output: str, network: Network) -> str:
    return _direct_neuron(output, network) or output


def _population(name: str, network: Network, profile: Profile, code: InputCode, findings: Findings) -> FloatPopulation:
    shape = network.shapes[name]
    match network.nodes[name]:
        case Input():
            return replace(memoryless("input", shape), max_spikes=code.largest)
        case Output():
            return memoryless("integrator", shape)
        case Neuron() as neuron:
            return _neuron(name, neuron, shape, network, profile, findings)
        case other:
            raise ModelError(f"{name}: a {type(other).__name__} cannot be a population; run the pass fold first.")


# ---- neurons ------------------------------------------------------------------------------------------------------


def _neuron(
    name: str, neuron: Neuron, shape: Shape, network: Network, profile: Profile, findings: Findings
) -> FloatPopulation:
    model = _model(name, neuron, network)
    offset = _double(neuron.v_reset) if model == "lif" else ZERO
    decay = _double(neuron.membrane_decay)
    population = FloatPopulation(
        shape,
        model,
        current_decay=ZERO if neuron.current_decay is None else _double(neuron.current_decay),
        membrane_decay=decay,
        threshold=_double(neuron.threshold) - offset,
        comparison=neuron.comparison,
        reset_amount=_reset_amount(name, neuron, model),
        bias=_double(neuron.bias) - (1 - decay) * offset,
        max_spikes=_max_spikes(name, neuron, model, profile, findings),
        refractory=int(neuron.reset_delay == 1 and neuron.reset_discards_input and model == "lif"),
        v_min=None if neuron.v_min is None else _double(neuron.v_min) - offset,
        u_init=_double(neuron.current_gain) * _double(neuron.u_init),
        v_init=_double(neuron.v_init) - offset,
        offset=offset,
    )
    _check_decays(name, population)
    _check_levels(name, population)
    if neuron.reset_carries:
        message = (
            "after a membrane worth two spikes the trained neuron decides its next step one threshold lower; the chip "
            "fires again. Only inputs above one threshold per step can show the difference."
        )
        findings.append(_warn("reset-carry-dropped", name, message))
    return _what_the_chip_offers(name, population, profile, findings)


def _double(x: Array) -> NDArray[np.float64]:
    return np.asarray(x, dtype=np.float64)


def _model(name: str, neuron: Neuron, network: Network) -> Model:
    if not neuron.spiking:
        _refuse_analog_use(name, network)
        return "integrator"
    if neuron.reset == "subtract":
        return "lif_subtract"
    if neuron.reset == "none" and np.any(_double(neuron.membrane_decay) != 0):
        raise UnsupportedOnChipError(
            f"{name}: spikes without any reset; the chip's neurons reset to zero or by subtraction. "
            "Name the reset with --dialect name:reset=zero, or retrain with one."
        )
    return "lif"


def _refuse_analog_use(name: str, network: Network) -> None:
    users = [e.target for e in network.out_of(name) if _direct_neuron(e.target, network) != name]
    if users:
        raise UnsupportedOnChipError(
            f"{name}: its membrane potential feeds {', '.join(users)}, but only spikes travel between cores, and a "
            "membrane is read out alone and undelayed. Make it a spiking neuron, or end the network there."
        )


def _reset_amount(name: str, neuron: Neuron, model: Model) -> NDArray[np.float64]:
    if model != "lif_subtract":
        return ZERO
    threshold, decay = _double(neuron.threshold), _double(neuron.membrane_decay)
    if neuron.reset_delay == 0:
        return threshold
    if np.any(decay == 0):
        raise UnsupportedOnChipError(
            f"{name}: subtracts its threshold one step after the spike but keeps nothing of v (membrane decay 0). "
            "Use reset_delay=0."
        )
    return threshold / decay


def _check_decays(name: str, population: FloatPopulation) -> None:
    for what, decay in (("current", population.current_decay), ("membrane", population.membrane_decay)):
        if np.any(decay < 0) or np.any(decay > 1):
            raise UnsupportedOnChipError(
                f"{name}: {what} decay {float(decay.min()):.4g} .. {float(decay.max()):.4g} per step; the chip holds "
                "0 .. 1. A time constant shorter than the time step gives this: check --dt."
            )


def _check_levels(name: str, population: FloatPopulation) -> None:
    """The chip's threshold is not negative, and v must pass it."""
    lowest = float(np.min(population.threshold))
    if population.model == "integrator":
        return
    if lowest < 0 or (lowest == 0 and population.comparison == ">="):
        raise UnsupportedOnChipError(
            f"{name}: fires from {lowest:.4g} above its reset value on, so without any input; the chip's thresholds "
            "start at 0. Raise the threshold above v_reset."
        )
    if population.v_min is not None and np.max(population.v_min) > 0:
        raise UnsupportedOnChipError(
            f"{name}: its lower bound lies {float(np.max(population.v_min)):.4g} above its reset value. Lower v_min."
        )


def _what_the_chip_offers(
    name: str, population: FloatPopulation, profile: Profile, findings: Findings
) -> FloatPopulation:
    """Drop what the profile has no model for, saying so; refuse what cannot be dropped."""
    offered = profile.neuron_models
    if population.model not in offered:
        raise UnsupportedOnChipError(
            f"{name}: {profile.name} offers no neuron model {population.model!r}; it has {', '.join(offered)}."
        )
    if population.refractory and "lif_refractory" not in offered:
        findings.append(_warn("refractory-dropped", name, f"{profile.name} has no refractory period; the step after "
                              "a spike, which the trained network skips, integrates its input."))  # fmt: skip
        population = replace(population, refractory=0)
    if population.v_min is not None and "lif_v_min" not in offered:
        findings.append(_warn("v-min-dropped", name, f"{profile.name} has no lower bound for v; the trained network "
                              f"clamps v at {float(population.v_min.min()):.4g}."))  # fmt: skip
        population = replace(population, v_min=None)
    return population


def _max_spikes(name: str, neuron: Neuron, model: Model, profile: Profile, findings: Findings) -> int:
    """Spikes per step on the chip; several only where each takes its own threshold off v in the same step."""
    if neuron.max_spikes == 1 or not neuron.spiking:
        return 1
    bits = profile.limits.graded_spike_bits.value
    if bits > 0 and model == "lif_subtract" and neuron.reset_delay == 0:
        return min(neuron.max_spikes or MOST_SPIKES, (1 << bits) - 1, MOST_SPIKES)
    why = f"{profile.name} sends plain spikes" if bits == 0 else "its reset does not count them"
    most = "any number of" if neuron.max_spikes is None else f"up to {neuron.max_spikes}"
    findings.append(_warn("single-spike", name, f"the trained neuron may send {most} spikes per step; here it sends "
                          f"one, because {why}."))  # fmt: skip
    return 1


def _warn(code: str, name: str, message: str) -> Finding:
    return Finding(code, "warning", name, message, "Compare `spikeport run --backend float` with the chip run.")


# ---- connections --------------------------------------------------------------------------------------------------


Lag = int | NDArray[np.int64]


def _gain(node: Node, population: FloatPopulation) -> NDArray[np.float64]:
    """What the chip's weights take over from the neuron: input gain × current gain, flat (n,)."""
    gain = _double(node.input_gain) * _double(node.current_gain) if isinstance(node, Neuron) else np.ones(())
    return np.broadcast_to(gain, population.shape).reshape(-1)


def _connections(
    name: str, network: Network, population: FloatPopulation
) -> tuple[dict[str, Connection], NDArray[np.float64]]:
    """Connections into a population, weights times its gain, and the constant that biases add to its input."""
    gain = _gain(network.nodes[name], population)
    connections: dict[str, Connection] = {}
    constant = np.zeros(population.size)
    for edge in network.into(name):
        for key, source, lag, weights in _paths(edge, network, population):
            connections[key] = Connection(source, name, _scaled(name, weights, gain), lag)
        constant += _constant(edge.source, network, population)
    return connections, constant


def _from_input(connection: Connection, network: Network, unit: float, size: int) -> Connection:
    if unit == 1.0 or connection.source not in network.inputs:
        return connection
    return replace(connection, weights=_scaled(connection.target, connection.weights, np.full(size, unit)))


def _paths(edge: Edge, network: Network, target: FloatPopulation) -> Iterator[tuple[str, str, Lag, FloatMap]]:
    """(connection name, source population, lag, weights) for everything that arrives over ``edge``."""
    node = network.nodes[edge.source]
    if isinstance(node, Input | Neuron | Delay):
        source, lag = _through_delay(edge, network)
        yield f"{source}->{edge.target}", source, lag, SparseWeights(csr_array(eye_array(target.size)))
        return
    into = network.into(edge.source)
    for inner in into:
        source, lag = _through_delay(inner, network)
        key = edge.source if len(into) == 1 else f"{edge.source}({source})"
        yield (
            key,
            source,
            lag + edge.delay,
            _weights(edge.source, network, inner.source),
        )


def _through_delay(edge: Edge, network: Network) -> tuple[str, Lag]:
    """Where an edge's values come from and how late: a per-neuron Delay node may stand in between."""
    node = network.nodes[edge.source]
    if not isinstance(node, Delay):
        return edge.source, edge.delay
    (inner,) = network.into(edge.source)
    steps = np.broadcast_to(node.steps, network.shapes[edge.source]).reshape(-1).astype(np.int64)
    return inner.source, steps + inner.delay + edge.delay


def _weights(name: str, network: Network, source: str) -> FloatMap:
    match node := network.nodes[name]:
        case Linear(weight):
            return DenseMap(_double(weight))
        case Conv():
            return _conv_map(node, network.shapes[source], network.shapes[name])
        case SparseMap(matrix):
            return SparseWeights(csr_array(matrix.astype(np.float64)))
    raise ModelError(f"{name}: a {type(node).__name__} is still in the graph; run the pass fold first.")


def _constant(name: str, network: Network, target: FloatPopulation) -> NDArray[np.float64]:
    """The bias of a linear node for each target neuron, (n,)."""
    node = network.nodes[name]
    bias = node.bias if isinstance(node, Linear | Conv | SparseMap) else None
    if bias is None:
        return np.zeros(target.size)
    if not isinstance(node, Conv):
        return _double(bias).reshape(-1)
    shape = network.shapes[name]
    return np.broadcast_to(_double(bias).reshape(-1, *[1] * (len(shape) - 1)), shape).reshape(-1)


def _conv_map(conv: Conv, source: Shape, target: Shape) -> ConvMap:
    """A 1-d convolution is a 2-d one of height 1."""
    flat = conv.weight.ndim == 3

    def pair(sizes: Shape, fill: int) -> tuple[int, int]:
        return (fill, sizes[0]) if flat else (sizes[0], sizes[1])

    def image(shape: Shape) -> tuple[int, int, int]:
        return (shape[0], 1, shape[1]) if flat else (shape[0], shape[1], shape[2])

    weight = _double(conv.weight)
    return ConvMap(
        weight[:, :, None, :] if flat else weight, image(source), image(target),
        pair(conv.stride, 1), pair(conv.padding, 0), pair(conv.dilation, 1), conv.groups,
    )  # fmt: skip


def _scaled(name: str, weights: FloatMap, gain: NDArray[np.float64]) -> FloatMap:
    match weights:
        case DenseMap(weight):
            return DenseMap(weight * gain[:, None])
        case SparseWeights(matrix):
            return SparseWeights(csr_array(diags_array(gain) @ matrix))
        case ConvMap():
            per_channel = gain.reshape(weights.target_shape[0], -1)
            if np.ptp(per_channel, axis=1).any():
                raise UnsupportedOnChipError(
                    f"{name}: neurons of one channel differ in input gain, so the convolution's kernels cannot be "
                    "shared. Make the gain (r, w_in, tau) one value per channel."
                )
            return replace(weights, weight=weights.weight * per_channel[:, :1, None, None])


def _with_constant(
    name: str, population: FloatPopulation, gain: NDArray[np.float64], constant: NDArray[np.float64]
) -> FloatPopulation:
    """Move the constant part of the input into the bias, exactly (module docstring)."""
    entering = gain * constant
    if not entering.any():
        return population
    a = np.broadcast_to(population.current_decay, population.shape).reshape(-1)
    if np.any((a == 1) & (entering != 0)):
        raise UnsupportedOnChipError(
            f"{name}: a bias enters a synaptic current that never decays; it would grow without end. Remove the bias."
        )
    settled = np.divide(entering, 1 - a, out=np.zeros_like(entering), where=a < 1)
    flat = {
        "bias": np.broadcast_to(population.bias, population.shape).reshape(-1) + settled,
        "u_init": np.broadcast_to(population.u_init, population.shape).reshape(-1) - np.where(a > 0, settled, 0.0),
    }
    return replace(population, **{k: v.reshape(population.shape) for k, v in flat.items()})
