"""lower: from the trained network's vocabulary to the chip's. Network (folded) in, Circuit out.

Each neuron's discrete form becomes one of the chip's neuron models by exact changes of variable:

* reset to a value r: v is measured from r (``offset``), so that the reset is to zero; with reset by subtraction from
  where it starts, so that it starts at zero;
* reset by subtraction one step late: b·v - θ = b·(v - θ/b), a same-step subtraction of θ/b;
* gains before and after the synaptic current move into the weights;
* a constant that enters before a current becomes one on v (`spikeport.converters.passes.lower_connections`).

What has no exact word on the chip is an error or a warning that names the neuron.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spikeport.converters.circuit import (
    PLAIN_SPIKES,
    Circuit,
    Connection,
    FloatPopulation,
    InputCode,
    Model,
    memoryless,
)  # fmt: skip
from spikeport.converters.findings import Finding, Outcome
from spikeport.converters.network import (
    Activation,
    Input,
    MaxPool,
    Network,
    Neuron,
    Output,
    Shape,
    SigmaDelta,
)  # fmt: skip
from spikeport.converters.passes.lower_connections import (
    as_double,
    connections_into,
    from_input,
    gain_of,
    with_constant,
)
from spikeport.converters.passes.lower_sigma_delta import refuse_loops_of_units, unit_population, with_bias_source
from spikeport.errors import ModelError, UnsupportedOnChipError
from spikeport.hw_profiles.profile import Profile

Findings = list[Finding]
MOST_SPIKES = 1 << 17
"""More thresholds than this do not fit into 24 bits."""
MOST_REFUSALS = 20
"""So many refused neurons are named in one message."""
ZERO = np.zeros(())


def lower(network: Network, profile: Profile, code: InputCode = PLAIN_SPIKES) -> Outcome[Circuit]:
    """Express a folded network in the neuron models that ``profile`` offers.

    ``code``: what the input populations send.

    Raises:
        UnsupportedOnChipError: neurons whose behaviour the chip cannot be given, all of them at once.
        ModelError: a graph that `fold` should not have passed on.
    """
    refuse_conventional(network)
    refuse_loops_of_units(network)
    findings: Findings = []
    populations: dict[str, FloatPopulation] = {}
    connections: dict[str, Connection] = {}
    refused: list[str] = []
    for name in (*network.inputs, *network.neurons, *network.units, *_readouts(network)):
        try:
            populations[name] = _population(name, network, profile, code, findings)
        except UnsupportedOnChipError as error:
            refused.append(str(error))
    if refused:
        raise UnsupportedOnChipError(_all_of(refused))
    for name, population in populations.items():
        if population.model != "input":
            arriving, constant = connections_into(name, network, population)
            connections.update({n: from_input(c, network, code.unit, population.size) for n, c in arriving.items()})
            populations[name] = with_constant(name, population, gain_of(network.nodes[name], population), constant)
    populations, connections = with_bias_source(populations, connections)
    outputs = tuple(_output_population(name, network) for name in network.outputs)
    circuit = Circuit(populations, connections, network.inputs, outputs, network.dt)
    return Outcome(circuit, tuple(findings))


def _all_of(refused: list[str]) -> str:
    """Every refusal at once; each already begins with its neuron's name."""
    more = [f"... and {len(refused) - MOST_REFUSALS} more"] if len(refused) > MOST_REFUSALS else []
    return "\n  ".join([*refused[:MOST_REFUSALS], *more])


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
    if len(into) == 1 and into[0].delay == 0 and isinstance(network.nodes[into[0].source], Neuron | SigmaDelta):
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
        case SigmaDelta() as unit:
            return unit_population(name, unit, network, profile)
        case other:
            raise ModelError(f"{name}: a {type(other).__name__} cannot be a population; run the pass fold first.")


# ---- neurons ------------------------------------------------------------------------------------------------------


def _neuron(
    name: str, neuron: Neuron, shape: Shape, network: Network, profile: Profile, findings: Findings
) -> FloatPopulation:
    model = _model(name, neuron, network)
    offset = as_double(neuron.v_reset) if model == "lif" else _start(neuron, model)
    decay = as_double(neuron.membrane_decay)
    population = FloatPopulation(
        shape,
        model,
        current_decay=ZERO if neuron.current_decay is None else as_double(neuron.current_decay),
        membrane_decay=decay,
        threshold=as_double(neuron.threshold) - offset,
        comparison=neuron.comparison,
        reset_amount=_reset_amount(name, neuron, model),
        bias=as_double(neuron.bias) - (1 - decay) * offset,
        max_spikes=_max_spikes(name, neuron, model, profile, findings),
        refractory=int(neuron.reset_delay == 1 and neuron.reset_discards_input and model == "lif"),
        v_min=None if neuron.v_min is None else as_double(neuron.v_min) - offset,
        u_init=as_double(neuron.current_gain) * as_double(neuron.u_init),
        v_init=as_double(neuron.v_init) - offset,
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


def _start(neuron: Neuron, model: Model) -> NDArray[np.float64]:
    """Where v is measured from: with reset by subtraction any level will do, and from its start it begins at zero."""
    start = as_double(neuron.v_init)
    usable = model == "lif_subtract" and neuron.reset_delay == 0 and np.all(start < as_double(neuron.threshold))
    return start if usable else ZERO


def _model(name: str, neuron: Neuron, network: Network) -> Model:
    if not neuron.spiking:
        _refuse_analog_use(name, network)
        return "integrator"
    if neuron.reset == "subtract":
        return "lif_subtract"
    if neuron.reset == "none" and np.any(as_double(neuron.membrane_decay) != 0):
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
    threshold, decay = as_double(neuron.threshold), as_double(neuron.membrane_decay)
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
