"""The reference executor against a slow oracle: loops over neurons and synapses, Python ints, nothing shared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.placement import Core, Placement, Slice
from spikeport.deploy.backends.simulator.reference import simulate

M = 2**23


def unrolled(s: Synapses) -> list[tuple[int, int, int]]:
    """(source, target, weight) of every synapse."""
    match s.connectivity:
        case Dense(weight):
            return [(j, i, int(weight[i, j])) for i in range(weight.shape[0]) for j in range(weight.shape[1])]
        case Sparse(matrix):
            coo = matrix.tocoo()
            return [(int(j), int(i), int(w)) for i, j, w in zip(*coo.coords, coo.data, strict=True)]
        case Conv2d() as c:
            return list(_conv_synapses(c))


def _conv_synapses(c: Conv2d):
    (_, h, w), (k_out, oh, ow) = c.source_shape, c.target_shape
    _, c_in, kh, kw = c.weight.shape
    for k, y, x, ci, dy, dx in np.ndindex(k_out, oh, ow, c_in, kh, kw):
        iy, ix = (
            y * c.stride[0] - c.padding[0] + dy * c.dilation[0],
            x * c.stride[1] - c.padding[1] + dx * c.dilation[1],
        )
        if 0 <= iy < h and 0 <= ix < w:
            channel = k // (k_out // c.groups) * c_in + ci
            yield (channel * h + iy) * w + ix, (k * oh + y) * ow + x, int(c.weight[k, ci, dy, dx])


@dataclass
class Oracle:
    spikes: dict[str, list[list[int]]]
    u: dict[str, list[list[int]]]
    v: dict[str, list[list[int]]]
    synops: int


def oracle(net: ChipNetwork, inputs: dict[str, np.ndarray], steps: int) -> Oracle:
    get = lambda p, field, i: int(np.broadcast_to(getattr(p, field), (p.size,))[i])  # noqa: E731
    out = Oracle(
        {n: [] for n in net.populations}, {n: [] for n in net.populations}, {n: [] for n in net.populations}, 0
    )
    u = {n: [get(p, "u_init", i) for i in range(p.size)] for n, p in net.populations.items()}
    v = {n: [get(p, "v_init", i) for i in range(p.size)] for n, p in net.populations.items()}
    hold = {n: [0] * p.size for n, p in net.populations.items()}
    wires = {s.name: unrolled(s) for s in net.synapses.values()}
    for c in range(steps):
        a = {n: [0] * p.size for n, p in net.populations.items()}
        for s in net.synapses.values():
            sums: dict[tuple[int, int], int] = {}
            for j, i, w in wires[s.name]:
                d = int(np.broadcast_to(s.delay, (net.populations[s.source].size,))[j])
                sent = out.spikes[s.source][c - 1 - d][j] if c - 1 - d >= 0 else 0
                sums[i, d] = sums.get((i, d), 0) + w * (sent if s.graded else int(sent != 0))
                out.synops += int(sent != 0)
            for (i, _), total in sums.items():
                a[s.target][i] += total * 2**s.weight_exp if s.weight_exp >= 0 else total // 2**-s.weight_exp
        for n, p in net.populations.items():
            if p.model == "input":
                data = inputs[n].reshape(len(inputs[n]), -1)
                out.spikes[n].append([int(x) for x in data[c]] if c < len(data) else [0] * p.size)
                continue
            fired = []
            for i in range(p.size):
                x = u[n][i] * (4096 - get(p, "du", i) - 1)
                d = (abs(x) // 4096) * (1 if x >= 0 else -1) + a[n][i] * 64
                u[n][i] = d - 2 * M if d > M else d + 2 * M if d <= -M else d
                x = v[n][i] * (4096 - get(p, "dv", i))
                w = (abs(x) // 4096) * (1 if x >= 0 else -1) + u[n][i]
                w += get(p, "bias_mant", i) * 2 ** get(p, "bias_exp", i)
                w = max(min(w, M - 1), 1 - M)
                w = 0 if hold[n][i] else w
                count = 0
                if p.model == "lif":
                    count = int(w > get(p, "vth", i) * 64)
                    w = 0 if count else w
                elif p.model == "lif_subtract":
                    while w > get(p, "vth", i) * 64 and count < p.max_spikes:
                        w, count = w - get(p, "reset", i) * 64, count + 1
                hold[n][i] = p.refractory if count else max(hold[n][i] - 1, 0)
                v[n][i] = w
                fired.append(count)
            out.spikes[n].append(fired)
            out.u[n].append(list(u[n]))
            out.v[n].append(list(v[n]))
    return out


def random_population(rng: np.random.Generator, name: str, size: int, shift: int) -> Population:
    def ints(low: int, high: int) -> np.ndarray:
        shape = (size,) if rng.random() < 0.5 else ()
        return np.asarray(rng.integers(low, high, shape), dtype=np.int64)

    return Population(
        name, (size,), str(rng.choice(["lif", "lif_subtract", "integrator"])), ints(-1, 4096), ints(0, 4097),
        ints(0, int(rng.choice([40, 4000, 2**17]))), ints(1, 3000), ints(-4096, 4096), ints(0, 8),
        ints(-M, M), ints(-M, M),
        max_spikes=int(rng.choice([1, 1, 7])), refractory=int(rng.choice([0, 0, 2])), shift=shift,
    )  # fmt: skip


def random_synapses(rng: np.random.Generator, source: Population, target: Population) -> Synapses:
    name = f"{source.name}->{target.name}"
    weight = rng.integers(-256, 255, (target.size, source.size)) // 2 * 2
    mask = rng.random(weight.shape) < 0.5
    kind = Dense(weight) if rng.random() < 0.5 else Sparse(csr_array(weight * mask))
    delay = int(rng.integers(0, 4)) if rng.random() < 0.5 else rng.integers(0, 4, source.size)
    graded = bool(rng.random() < 0.5)
    return Synapses(name, source.name, target.name, kind, int(rng.integers(-8, 8)), 8, "mixed", delay, graded)


def random_network(seed: int) -> ChipNetwork:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, 3)
    zero = np.zeros((), np.int64)
    source = Population("in", (int(sizes[0]),), "input", zero, zero, zero, zero, zero, zero, zero, zero)
    layers = [random_population(rng, f"p{k}", int(n), k + 1) for k, n in enumerate(sizes[1:])]
    pairs = [(source, layers[0]), (layers[0], layers[1]), (layers[1], layers[0]), (layers[0], layers[0])]
    synapses = [random_synapses(rng, a, b) for a, b in pairs]
    populations = {p.name: p for p in (source, *layers)}
    return ChipNetwork(populations, {s.name: s for s in synapses}, ("in",), ("p1",), 1e-3)


def one_core(net: ChipNetwork) -> Placement:
    slices = tuple(Slice(n, 0, p.size) for n, p in net.populations.items() if p.model != "input")
    return Placement((Core(slices, {}),), ((0, 0, 0, 0),), {})


def assert_equal_to_oracle(net: ChipNetwork, data: np.ndarray) -> None:
    batch, length = data.shape[:2]
    names = [n for n in net.populations if n not in net.inputs]
    sim = simulate(net, {"in": data}, one_core(net), record=names, record_states=names)
    for b in range(batch):
        truth = oracle(net, {"in": data[b]}, length + net.depth)
        for n in names:
            window = slice(net.populations[n].shift, net.populations[n].shift + length)
            assert sim.spikes[n][b].tolist() == truth.spikes[n][window]
            assert sim.u[n][b].tolist() == truth.u[n][window]
            assert sim.v[n][b].tolist() == truth.v[n][window]
        assert sum(int(s[b].sum()) for s in sim.activity.synops.values()) == truth.synops


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_networks_equal_the_oracle_in_every_spike_and_state(seed: int) -> None:
    net = random_network(seed)
    rng = np.random.default_rng(seed + 1)
    data = rng.integers(0, 4, (2, 6, net.populations["in"].size)) * (rng.random((2, 6, 1)) < 0.7)
    assert_equal_to_oracle(net, data)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_convolutions_equal_the_oracle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, stride, padding, dilation = (
        int(rng.integers(1, 3)),
        *(tuple(rng.integers(lo, 3, 2).tolist()) for lo in (1, 0, 1)),
    )
    kernel, image = rng.integers(1, 4, 2), rng.integers(5, 8, 2)
    out = [(image[k] + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
    source_shape, target_shape = (2 * groups, *image.tolist()), (groups * 2, *map(int, out))
    weight = rng.integers(-128, 127, (groups * 2, 2, *kernel)) * 2
    conv = Conv2d(weight, source_shape, target_shape, stride, padding, dilation, groups)
    zero = np.zeros((), np.int64)
    source = Population("in", source_shape, "input", zero, zero, zero, zero, zero, zero, zero, zero)
    target = random_population(rng, "p0", int(np.prod(target_shape)), 1)
    synapses = Synapses("c", "in", "p0", conv, int(rng.integers(-2, 3)))
    net = ChipNetwork({"in": source, "p0": target}, {"c": synapses}, ("in",), ("p0",), 1e-3)
    assert_equal_to_oracle(net, (rng.random((1, 3, *source_shape)) < 0.3).astype(np.int64))


def test_a_spike_takes_one_step_per_synapse() -> None:
    zero, top = np.zeros((), np.int64), np.array(4095)
    source = Population("in", (1,), "input", zero, zero, zero, zero, zero, zero, zero, zero)
    chain = [
        Population(f"p{k}", (1,), "lif", top, np.array(4096), zero, zero, zero, zero, zero, zero, shift=0)
        for k in range(3)
    ]
    links = [("in", "p0"), ("p0", "p1"), ("p1", "p2")]
    synapses = {b: Synapses(b, a, b, Dense(np.array([[2]]))) for a, b in links}
    net = ChipNetwork({p.name: p for p in (source, *chain)}, synapses, ("in",), ("p2",), 1e-3)
    data = np.zeros((1, 6, 1), np.int64)
    data[0, 0] = 1
    sim = simulate(net, {"in": data}, one_core(net), record=["p0", "p1", "p2"])
    assert [sim.spikes[n][0, :, 0].argmax() for n in ("p0", "p1", "p2")] == [1, 2, 3]
    assert sim.activity.traffic.sum() == 3
