"""What a ChipNetwork becomes in Lava: a list of Processes with their arguments, and the wires between them.

A plan is plain data. `build` makes Processes of it, `export` makes Python text of it; so both make the same graph.

Images: Lava's Conv wants (width, height, channels). A population that a convolution touches is laid out so; weights
of other groups from and to it are permuted to match. All other populations are flat, in C order.
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Ints, Population, Sparse, Synapses
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.errors import BackendError

Kind: TypeAlias = Literal[
    "RingBuffer", "LIF", "GeneralLIF", "Integrator", "Dense", "DelayDense", "Sparse", "DelaySparse", "Conv",
    "ShiftedConv", "SpikeDelay", "Delta", "SigmaDelta", "Sigma",
]  # fmt: skip
HOMES: Mapping[Kind, str] = {
    "RingBuffer": "lava.proc.io.source",
    "LIF": "lava.proc.lif.process",
    "GeneralLIF": "spikeport.deploy.backends.lava.processes.neurons",
    "Integrator": "spikeport.deploy.backends.lava.processes.neurons",
    "Dense": "lava.proc.dense.process",
    "DelayDense": "lava.proc.dense.process",
    "Sparse": "lava.proc.sparse.process",
    "DelaySparse": "lava.proc.sparse.process",
    "Conv": "lava.proc.conv.process",
    "ShiftedConv": "spikeport.deploy.backends.lava.processes.convolution",
    "SpikeDelay": "spikeport.deploy.backends.lava.processes.delay",
    "Delta": "lava.proc.sdn.process",
    "SigmaDelta": "lava.proc.sdn.process",
    "Sigma": "lava.proc.sdn.process",
}
"""The module of each Process; imported when it is needed, since Lava's convolution alone takes a second."""
NAMELESS: frozenset[Kind] = frozenset({"RingBuffer", "Delta", "Sigma"})
"""Processes of Lava's that take no name."""
ENUMS: Mapping[str, tuple[str, str]] = {
    "sign_mode": ("lava.utils.weightutils", "SignMode"),
    "act_mode": ("lava.proc.sdn.process", "ActivationMode"),
}
"""Arguments that are members of an enumeration of Lava's, by its module and name; a plan holds their names."""
MESSAGE_BITS = 24
"""What a graded group declares; Lava's CPU models only ask whether it is above 0."""
MAX_DELAY = 63
"""`PyDelayDenseModelBitAcc` and Loihi 2 hold 6 bits of delay."""


@dataclass(frozen=True)
class View:
    """How a population lies in Lava.

    Attributes:
        shape: (W, H, C) or (n,).
        order: (n,); Lava's flat neuron i is the population's neuron order[i].
    """

    shape: tuple[int, ...]
    order: NDArray[np.intp]


@dataclass(frozen=True)
class Part:
    """One Process: its Python identifier, its class, its arguments, and the user's name for what it is."""

    name: str
    kind: Kind
    arguments: Mapping[str, Any]
    origin: str


@dataclass(frozen=True)
class Wire:
    """source.out_port → (reshape, if not None) → target.in_port; parts by name."""

    source: str
    out_port: str
    reshape: tuple[int, ...] | None
    target: str
    in_port: str


@dataclass(frozen=True)
class Plan:
    """Processes and wires.

    Attributes:
        parts: populations first, by the network's order.
        wires: between them.
        views: by population name.
        names: population name to part name.
    """

    parts: tuple[Part, ...]
    wires: tuple[Wire, ...]
    views: Mapping[str, View]
    names: Mapping[str, str]


def plan(network: ChipNetwork) -> Plan:
    """Lay ``network`` out in Lava's words.

    Raises:
        BackendError: a delay too long for Lava, or a population that two convolutions see as different images.
    """
    views = {name: _view(network, population) for name, population in network.populations.items()}
    names = _identifiers([*network.populations, *network.synapses])
    parts = [_population(p, names[n], views[n]) for n, p in network.populations.items()]
    wires: list[Wire] = []
    for synapses in network.synapses.values():
        chain = _synapses(synapses, names[synapses.name], views[synapses.source], views[synapses.target])
        for group in chain:
            parts += group
            wires += _wires(group, names[synapses.source], names[synapses.target], views, synapses)
    return Plan(tuple(parts), tuple(wires), views, {n: names[n] for n in network.populations})


def islands(plan: Plan) -> list[list[str]]:
    """Part names grouped by what is connected, populations first; a Lava runtime runs only what is connected.

    Input populations that feed nothing are left out.
    """
    groups = {part.name: [part.name] for part in plan.parts}
    for wire in plan.wires:
        one, other = groups[wire.source], groups[wire.target]
        if one is not other:
            one += other
            groups |= dict.fromkeys(other, one)
    rank = {part.name: k for k, part in enumerate(plan.parts)}
    distinct = {id(group): sorted(group, key=rank.__getitem__) for group in groups.values()}
    idle = {part.name for part in plan.parts if part.kind == "RingBuffer"}
    return [group for group in distinct.values() if not idle.issuperset(group)]


def _view(network: ChipNetwork, population: Population) -> View:
    flat = np.arange(population.size)
    images = {
        shape
        for s in network.synapses.values()
        if isinstance(s.connectivity, Conv2d)
        for name, shape in ((s.source, s.connectivity.source_shape), (s.target, s.connectivity.target_shape))
        if name == population.name
    }
    if not images:
        return View((population.size,), flat)
    if len(images) > 1:
        raise BackendError(
            f"{population.name}: its convolutions see it as images of different shape {sorted(images)}; "
            "Lava lays a population out once. Use the simulator (--backend reference)."
        )
    (image,) = images
    return View(image[::-1], flat.reshape(image).transpose(2, 1, 0).reshape(-1))


def _population(population: Population, name: str, view: View) -> Part:
    p = population

    def laid_out(value: Ints) -> int | NDArray[np.int32]:
        return int(value) if value.ndim == 0 else value[view.order].reshape(view.shape).astype(np.int32)

    if p.model in SIGMA_DELTA:
        return _sigma_delta(p, name, view, laid_out)
    if p.model == "input":
        return Part(name, "RingBuffer", {"data": np.zeros((*view.shape, 1), np.int32)}, p.name)
    fields = ("u_init", "v_init", "du", "dv", "vth", "bias_mant", "bias_exp")
    values = {field.removesuffix("_init"): laid_out(getattr(p, field)) for field in fields}
    arguments: dict[str, Any] = {"shape": view.shape, **values}
    if p.model == "lif" and not p.holds and p.v_min is None:
        return Part(name, "LIF", arguments, p.name)
    if p.v_min is not None:
        arguments["v_min"] = laid_out(p.v_min)
    if p.hold_init:
        arguments["hold"] = p.hold_init
    if p.model == "integrator":
        return Part(name, "Integrator", arguments, p.name)
    if p.model == "lif_subtract":
        arguments |= {"reset": laid_out(p.reset), "max_spikes": p.max_spikes}
    return Part(name, "GeneralLIF", arguments | {"refractory": p.refractory}, p.name)


def _sigma_delta(p: Population, name: str, view: View, laid_out: Callable[[Ints], Any]) -> Part:
    """Lava's own units; their one threshold is shared by the whole Process."""
    if p.model == "sigma":
        return Part(name, "Sigma", {"shape": view.shape}, p.name)
    if (threshold := np.unique(p.vth)).size > 1:
        raise BackendError(
            f"{p.name}: its units have {threshold.size} different thresholds, Lava's {p.model} Process has one. "
            "Use the simulator (--backend reference)."
        )
    arguments = {"shape": view.shape, "vth": int(threshold[0]), "spike_exp": p.spike_exp, "state_exp": p.state_exp}
    if p.model == "delta":
        return Part(name, "Delta", arguments, p.name)
    mode = "RELU" if p.rectified else "UNIT"
    shifted = laid_out(p.bias_mant << p.bias_exp)
    return Part(name, "SigmaDelta", arguments | {"bias": shifted, "act_mode": mode}, p.name)


def _synapses(s: Synapses, name: str, source: View, target: View) -> list[list[Part]]:
    """Chains of parts, each from source to target."""
    match s.connectivity:
        case Conv2d() as conv:
            return _convolutions(s, conv, name, source)
        case Dense(weight):
            weights: Any = weight[np.ix_(target.order, source.order)].astype(np.int32)
            delays: Any = np.broadcast_to(s.delay, weights.shape[1:])[source.order] + np.zeros(weights.shape, int)
        case Sparse(matrix):
            rows = csr_array(matrix)[target.order][:, source.order]
            weights = csr_matrix((rows.data.astype(np.int32), rows.indices, rows.indptr), rows.shape)
            each = np.broadcast_to(s.delay, rows.shape[1:])[source.order][rows.indices]
            delays = csr_matrix((each.astype(int), rows.indices, rows.indptr), rows.shape)
    kind: Kind = "Dense" if isinstance(s.connectivity, Dense) else "Sparse"
    arguments = {"weights": weights, "weight_exp": s.weight_exp, "num_weight_bits": s.num_weight_bits}
    arguments |= {"sign_mode": s.sign_mode, "num_message_bits": MESSAGE_BITS if s.graded else 0}
    if s.max_delay == 0:
        return [[Part(name, kind, arguments, s.name)]]
    if s.max_delay > MAX_DELAY:
        raise BackendError(f"{s.name}: a delay of {s.max_delay} steps is longer than Lava's {MAX_DELAY}")
    delayed: Kind = "DelayDense" if kind == "Dense" else "DelaySparse"
    return [[Part(name, delayed, arguments | {"delays": delays}, s.name)]]


def _convolutions(s: Synapses, conv: Conv2d, name: str, source: View) -> list[list[Part]]:
    """One chain per delay: Conv has no delay of its own, and each delay's sum is shifted by itself."""
    # Lava convolves where torch correlates, in (K, W, H, C); PyConvModelFixed ignores weight_exp, so the weights carry
    # a positive one. A negative one floors the finished sum, which no weight can say.
    kernels = conv.weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1).astype(np.int32)
    kind: Kind = "ShiftedConv" if s.weight_exp < 0 else "Conv"
    arguments: dict[str, Any] = {
        "weight": np.ascontiguousarray(kernels << max(s.weight_exp, 0)),
        "weight_exp": min(s.weight_exp, 0),
        "input_shape": conv.source_shape[::-1],
        "stride": conv.stride[::-1],
        "padding": conv.padding[::-1],
        "dilation": conv.dilation[::-1],
        "groups": conv.groups,
        "num_message_bits": MESSAGE_BITS if s.graded else 0,
    }
    delays = np.unique(s.delay)
    chains = []
    for delay in delays.tolist():
        suffix = f"__{delay}" if len(delays) > 1 else ""
        chain = [Part(name + suffix, kind, arguments, s.name)]
        if delay or suffix:
            chain.insert(0, _delay(s, f"{name}{suffix}__delay", delay, source))
        chains.append(chain)
    return chains


def _delay(s: Synapses, name: str, delay: int, source: View) -> Part:
    mask = np.broadcast_to(np.asarray(s.delay) == delay, source.order.shape)[source.order]
    arguments = {"shape": source.shape, "delay": delay, "mask": mask.reshape(source.shape).astype(np.int32)}
    return Part(name, "SpikeDelay", arguments, s.name)


def _wires(
    group: list[Part], source: str, target: str, views: Mapping[str, View], synapses: Synapses
) -> Iterator[Wire]:
    """source → group → target. Flat groups see an image through a reshaped port."""
    image = isinstance(synapses.connectivity, Conv2d)
    before, after = views[synapses.source].shape, views[synapses.target].shape
    flat_before = None if image or len(before) == 1 else (int(np.prod(before)),)
    flat_after = None if image or len(after) == 1 else after
    yield Wire(source, "s_out", flat_before, group[0].name, "s_in")
    for here, there in itertools.pairwise(group):
        yield Wire(here.name, "s_out", None, there.name, "s_in")
    yield Wire(group[-1].name, "a_out", flat_after, target, "a_in")


def _identifiers(names: list[str]) -> dict[str, str]:
    """A distinct Python identifier for each of the user's names; none has two underscores in a row, parts' own have."""
    taken = {"np", "arrays", "build", "inputs", "run_config"}
    chosen = {}
    for name in names:
        wanted = re.sub(r"[\W_]+", "_", name.replace("->", "_to_"), flags=re.ASCII).strip("_").lower() or "part"
        wanted = f"n_{wanted}" if wanted[0].isdigit() or keyword.iskeyword(wanted) else wanted
        numbered = (f"{wanted}_{count}" for count in itertools.count(2))
        chosen[name] = next(n for n in itertools.chain([wanted], numbered) if n not in taken)
        taken.add(chosen[name])
    return chosen
