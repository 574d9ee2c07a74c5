"""Random integer programs with every feature at its edges, for tests that hold two executors against each other."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.circuit import SIGMA_DELTA
from spikeport.converters.placement import Core, Placement, Slice
from spikeport.deploy.backends.simulator.reference import simulate

M = 2**23
ZERO = np.zeros((), np.int64)
STEPS = 8
CORES = 3


@dataclass(frozen=True)
class Case:
    """A network, its inputs (2, STEPS, *shape), and a placement on one core."""

    network: ChipNetwork
    inputs: dict[str, np.ndarray]
    placement: Placement


def random_case(seed: int, sigma_delta: bool = False) -> Case:
    """One to three inputs, one to three populations, feed-forward and recurrent groups of every kind.

    Args:
        seed: of everything.
        sigma_delta: add a chain of sigma-delta units, fed by values with signs, that hears and is heard by the rest,
            and let some of the others hold at the start.
    """
    rng = np.random.default_rng(seed)
    populations = {f"in {k}": _input(rng, f"in {k}") for k in range(rng.integers(1, 4))}
    synapses: dict[str, Synapses] = {}
    for k in range(rng.integers(1, 4)):
        _grow(rng, populations, synapses, k)
    names = list(populations)
    for _ in range(rng.integers(0, 3)):
        source, target = populations[_choice(rng, names)], populations[names[-1]]
        _join(rng, synapses, source, target)
    if sigma_delta:
        for name in [n for n in names if populations[n].model != "input" and rng.random() < 0.3]:
            populations[name] = replace(populations[name], hold_init=int(rng.integers(1, 4)))
        _add_chain(rng, populations, synapses)
        names = list(populations)
    inputs = tuple(n for n in names if populations[n].model == "input")
    network = ChipNetwork(populations, synapses, inputs, (names[-1],), 1e-3)
    return _within_range(Case(network, {n: _data(rng, populations[n]) for n in inputs}, one_core(network)))


def _within_range(case: Case) -> Case:
    """The case with smaller exponents where u left 24 bits by more than its one wrap.

    The register holds what one wrap brings back; beyond that Lava's int32 overflows and no two models agree.
    """
    names = [name for name, p in case.network.populations.items() if p.model != "input"]
    run, populations = (
        simulate(case.network, case.inputs, case.placement, record_states=names),
        case.network.populations,
    )
    units = {name for name in names if populations[name].model in SIGMA_DELTA}
    wild = {name for name in names if name not in units and np.abs(run.u[name]).max() > M}
    wild |= {name for name in units if max(np.abs(run.u[name]).max(), np.abs(run.v[name]).max()) > M // 4}
    if not wild:
        return case
    calmed = {name: _calmed(s) if s.target in wild else s for name, s in case.network.synapses.items()}
    return _within_range(replace(case, network=replace(case.network, synapses=calmed)))


def _calmed(s: Synapses) -> Synapses:
    """With a smaller exponent; without weights where there is none, since loops of sigma-delta units can explode."""
    if s.weight_exp > -8:
        return replace(s, weight_exp=max(s.weight_exp - 2, -8))
    kind = s.connectivity
    silent = Dense(np.zeros(kind.matrix.shape, np.int64)) if isinstance(kind, Sparse) else None
    return replace(s, connectivity=silent or replace(kind, weight=kind.weight * 0))


def united(cases: list[Case]) -> Case:
    """Several networks side by side as one, so that one start of a slow runtime serves them all."""
    populations, synapses, inputs, outputs, data = {}, {}, [], [], {}
    for k, case in enumerate(cases):
        net = case.network
        populations |= {f"{k} {n}": replace(p, name=f"{k} {n}", shift=0) for n, p in net.populations.items()}
        synapses |= {
            f"{k} {n}": replace(s, name=f"{k} {n}", source=f"{k} {s.source}", target=f"{k} {s.target}")
            for n, s in net.synapses.items()
        }
        first = next(p for p in populations.values() if p.model != "input")
        for n in net.inputs:  # a link of weight 0, since a runtime runs only what is connected
            silent = Dense(np.zeros((first.size, net.populations[n].size), np.int64))
            synapses[f"link {k} {n}"] = Synapses(f"link {k} {n}", f"{k} {n}", first.name, silent)
        inputs += [f"{k} {n}" for n in net.inputs]
        outputs += [f"{k} {n}" for n in net.outputs]
        data |= {f"{k} {n}": d for n, d in case.inputs.items()}
    network = ChipNetwork(populations, synapses, tuple(inputs), tuple(outputs), 1e-3)
    return Case(network, data, one_core(network))


def one_core(network: ChipNetwork) -> Placement:
    slices = tuple(Slice(n, 0, p.size) for n, p in network.populations.items() if p.model != "input")
    return Placement((Core(slices, {}),), ((0, 0, 0, 0),), {})


def scattered(network: ChipNetwork, rng: np.random.Generator) -> Placement:
    """Every population cut at random, its parts on different cores; cores mix layers."""
    slices: list[list[Slice]] = [[] for _ in range(CORES)]
    for name, p in network.populations.items():
        if p.model != "input":
            edges = [0, *sorted(rng.integers(0, p.size + 1, CORES - 1).tolist()), p.size]
            for core, start, stop in zip(rng.permutation(CORES).tolist(), edges, edges[1:], strict=False):
                slices[core] += [Slice(name, start, stop)] * (stop > start)
    seats = tuple((0, k, 0, 0) for k in range(CORES))
    return Placement(tuple(Core(tuple(s), {}) for s in slices), seats, {})


def same(a: Any, b: Any) -> bool:
    """Equality through dataclasses and mappings down to arrays."""
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return np.array_equal(a, b)


def _choice(rng: np.random.Generator, options: list[Any]) -> Any:
    return options[rng.integers(len(options))]


def _input(rng: np.random.Generator, name: str) -> Population:
    shape = (int(rng.integers(1, 4)) * 2, *rng.integers(3, 7, 2).tolist()) if rng.random() < 0.4 else (5,)
    return Population(name, shape, "input", *[ZERO] * 8)


def _data(rng: np.random.Generator, p: Population) -> np.ndarray:
    if p.name == "values":
        return rng.integers(-128, 128, (2, STEPS, *p.shape)) * (rng.random((2, STEPS, *p.shape)) < 0.7)
    high = _choice(rng, [2, 2, 4, 256])
    return rng.integers(0, high, (2, STEPS, *p.shape)) * (rng.random((2, STEPS, *p.shape)) < 0.5)


def _grow(rng: np.random.Generator, populations: dict, synapses: dict, k: int) -> None:
    """A new population, fed by an older one; by a convolution where the older one is an image."""
    source = populations[_choice(rng, list(populations))]
    conv = _conv(rng, source.shape) if len(source.shape) == 3 and rng.random() < 0.8 else None
    shape = (int(rng.integers(1, 6)),) if conv is None else conv.target_shape
    target = populations[f"p {k}"] = _population(rng, f"p {k}", shape, k + 1)
    _join(rng, synapses, source, target, conv)
    if rng.random() < 0.4:
        _join(rng, synapses, target, target)
    if rng.random() < 0.4:
        _join(rng, synapses, populations[_choice(rng, list(populations))], target)


def _add_chain(rng: np.random.Generator, populations: dict, synapses: dict) -> None:
    """values -> delta -> sigma-delta units -> sigma, with links from and to what is there."""
    others = [p for p in populations.values() if p.model != "input"]
    shape = (2, *rng.integers(3, 6, 2).tolist()) if rng.random() < 0.5 else (4,)
    populations["values"] = Population("values", shape, "input", *[ZERO] * 8)
    delta = populations["delta"] = _unit(rng, "delta", shape, "delta", 1)
    one_each = Sparse(csr_array(np.eye(delta.size, dtype=np.int64)))
    synapses["values->delta"] = Synapses(
        "values->delta", "values", "delta", one_each, sign_mode="excitatory", graded=True
    )
    last = delta
    for k in range(rng.integers(1, 4)):
        conv = _conv(rng, last.shape) if len(last.shape) == 3 and rng.random() < 0.7 else None
        shape = (int(rng.integers(1, 5)),) if conv is None else conv.target_shape
        unit = populations[f"sd {k}"] = _unit(rng, f"sd {k}", shape, "sigma_delta", k + 2)
        _join(rng, synapses, last, unit, conv, graded=True)
        for link in ((_choice(rng, others), unit), (unit, _choice(rng, others)), (unit, unit)):
            if rng.random() < 0.3:
                _join(rng, synapses, *link)
        last = unit
    sigma = populations["sigma"] = _unit(rng, "sigma", (3,), "sigma", last.shift + 1)
    _join(rng, synapses, last, sigma, graded=True)


def _unit(rng: np.random.Generator, name: str, shape: tuple[int, ...], model: Any, shift: int) -> Population:
    biases = (int(np.prod(shape)),) if model == "sigma_delta" and rng.random() < 0.5 else ()
    return Population(
        name, shape, model, ZERO, ZERO, vth=np.asarray(_choice(rng, [0, 3, 40])), reset=ZERO,
        bias_mant=np.asarray(rng.integers(-60, 60, biases)) * (model == "sigma_delta"),
        bias_exp=np.asarray(rng.integers(0, 3)), u_init=ZERO, v_init=ZERO, shift=shift,
        spike_exp=int(rng.integers(0, 7)), state_exp=int(rng.integers(0, 7)), rectified=bool(rng.random() < 0.7),
    )  # fmt: skip


def _population(rng: np.random.Generator, name: str, shape: tuple[int, ...], shift: int) -> Population:
    size = int(np.prod(shape))

    def ints(low: int, high: int) -> np.ndarray:
        """Low .. high, both possible; a third of the time one of the two."""
        values = rng.integers(low, high + 1, (size,) if rng.random() < 0.5 else ())
        return np.asarray(_choice(rng, [values, values, np.where(values % 2, low, high)]), dtype=np.int64)

    return Population(
        name, shape, _choice(rng, ["lif", "lif", "lif_subtract", "integrator"]),
        du=ints(-1, 4095), dv=ints(0, 4096), vth=ints(0, _choice(rng, [40, 4000, 2**17 - 1])), reset=ints(1, 3000),
        bias_mant=ints(-4096, 4095), bias_exp=ints(0, 7), u_init=ints(1 - M, M - 1), v_init=ints(1 - M, M - 1),
        max_spikes=_choice(rng, [1, 1, 7, 300]), refractory=_choice(rng, [0, 0, 2]),
        v_min=_choice(rng, [None, None, ints(-M // 2, 0)]), shift=shift,
    )  # fmt: skip


def _conv(rng: np.random.Generator, source: tuple[int, ...]) -> Conv2d:
    groups = _choice(rng, [g for g in (1, 2, source[0]) if source[0] % g == 0])
    stride, padding, dilation = (tuple(rng.integers(low, 3, 2).tolist()) for low in (1, 0, 1))
    fits = [max(1, (source[1 + k] + 2 * padding[k] - 1) // dilation[k] + 1) for k in range(2)]
    kernel = [int(rng.integers(1, min(3, fit) + 1)) for fit in fits]
    out = [(source[1 + k] + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
    target = (groups * int(rng.integers(1, 3)), *out)
    weight = np.zeros((target[0], source[0] // groups, *kernel), np.int64)
    return Conv2d(weight, source, target, stride, padding, dilation, groups)


def _weights(rng: np.random.Generator, sign_mode: str, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """Weights in their format: mixed even and in [-256, 254], else a sign and 8 bits; low bits dropped."""
    drop = 8 - bits + (sign_mode == "mixed")
    if sign_mode == "mixed":
        return rng.integers(-256, 256, shape) >> drop << drop
    return (rng.integers(0, 256, shape) >> drop << drop) * (1 if sign_mode == "excitatory" else -1)


def _join(
    rng: np.random.Generator,
    synapses: dict,
    source: Population,
    target: Population,
    conv: Any = None,
    graded: bool | None = None,
) -> None:
    sign_mode, bits = _choice(rng, ["mixed", "mixed", "excitatory", "inhibitory"]), int(rng.integers(1, 9))
    weight = _weights(rng, sign_mode, bits, (target.size, source.size) if conv is None else conv.weight.shape)
    if conv is not None:
        kind: Any = replace(conv, weight=weight)
    elif rng.random() < 0.5:
        kind = Dense(weight)
    else:
        rows, columns = np.nonzero(rng.random(weight.shape) < 0.5)
        kind = Sparse(csr_array(coo_array((weight[rows, columns], (rows, columns)), weight.shape)))
    longest = _choice(rng, [1, 3, 5])
    delay = _choice(rng, [0, 0, int(rng.integers(1, longest + 1)), rng.integers(0, longest + 1, source.size)])
    name = f"{source.name}->{target.name}/{len(synapses)}"
    exponent, draw = int(rng.integers(-8, 8)), bool(rng.random() < 0.5)
    synapses[name] = Synapses(
        name, source.name, target.name, kind, exponent, bits, sign_mode, delay, draw if graded is None else graded
    )
