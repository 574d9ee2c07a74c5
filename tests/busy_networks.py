"""Random integer programs with more neurons, samples and steps than `random_networks`, for tests of fast engines."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from random_networks import Case, scattered
from scipy.sparse import random_array

from spikeport.converters.chip_network import (
    ChipNetwork,
    Connectivity,
    Conv2d,
    Dense,
    Population,
    Sparse,
    Synapses,
)

ZERO = np.zeros((), np.int64)


def busy_case(seed: int) -> Case:
    """Two inputs, an image and a vector; a convolution, a dense and a sparse layer, loops of one and of two layers.

    Up to 6 samples of 20 to 60 steps, silent stretches in between, delays up to 9 steps, payloads with signs.
    """
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(1, 4)) * 2, *rng.integers(6, 11, 2).tolist())
    conv = _conv(rng, image)
    first = [_input("image", image), _input("vector", (int(rng.integers(5, 60)),))]
    sizes = rng.integers(3, 70, 3).tolist()
    layers = [_lif(rng, "conv", conv.target_shape, 1), *(_lif(rng, f"p{k}", (n,), k + 2) for k, n in enumerate(sizes))]
    p = {x.name: x for x in (*first, *layers)}
    pairs = [("vector", "p0"), ("conv", "p0"), ("p0", "p1"), ("p1", "p2"), ("p2", "p1"), ("p1", "p1"), ("vector", "p2")]
    groups = [_group(rng, "image", "conv", conv, image)]
    groups += [_group(rng, a, b, _matrix(rng, p[b].size, p[a].size), (p[a].size,)) for a, b in pairs]
    network = ChipNetwork(p, {s.name: s for s in groups}, ("image", "vector"), ("p2",), 1e-3)
    batch, steps = int(rng.integers(1, 7)), int(rng.integers(20, 61))
    data = {x.name: _data(rng, (batch, steps, *x.shape)) for x in first}
    return Case(network, data, scattered(network, rng))


def _input(name: str, shape: tuple[int, ...]) -> Population:
    return Population(name, shape, "input", *[ZERO] * 8)


def _lif(rng: np.random.Generator, name: str, shape: tuple[int, ...], shift: int) -> Population:
    size = int(np.prod(shape))

    def ints(low: int, high: int) -> np.ndarray:
        return rng.integers(low, high, (size,) if rng.random() < 0.5 else ())

    return Population(
        name, shape, str(rng.choice(["lif", "lif", "lif_subtract", "integrator"])),
        du=ints(0, 4096), dv=ints(0, 4096), vth=ints(1, 3000), reset=ints(1, 3000), bias_mant=ints(-40, 40),
        bias_exp=ints(0, 8), u_init=ints(-900, 900), v_init=ints(-900, 900), max_spikes=int(rng.choice([1, 5])),
        refractory=int(rng.choice([0, 3])), v_min=ints(-9000, 0) if rng.random() < 0.3 else None, shift=shift,
    )  # fmt: skip


def _conv(rng: np.random.Generator, source: tuple[int, ...]) -> Conv2d:
    stride, padding, dilation = (tuple(rng.integers(low, high, 2).tolist()) for low, high in ((1, 4), (0, 3), (1, 3)))
    kernel = rng.integers(1, 4, 2).tolist()
    out = [(source[1 + k] + 2 * padding[k] - dilation[k] * (kernel[k] - 1) - 1) // stride[k] + 1 for k in range(2)]
    groups = int(rng.choice([1, 2, source[0]]))
    weight = rng.integers(-128, 128, (groups * int(rng.integers(1, 5)), source[0] // groups, *kernel)) * 2
    return Conv2d(weight, source, (weight.shape[0], *out), stride, padding, dilation, groups)  # type: ignore[arg-type]


def _matrix(rng: np.random.Generator, targets: int, sources: int) -> Connectivity:
    if rng.random() < 0.5:
        low, high = (-128, 128) if rng.random() < 0.7 else (0, 256)
        return Dense(rng.integers(low, high, (targets, sources)) * (1 if low == 0 else 2))
    wanted = random_array((targets, sources), density=0.3, format="csr", rng=rng, dtype=np.float64)
    wanted.data = rng.integers(-100, 101, wanted.nnz) * 2
    return Sparse(wanted.astype(np.int64))


def _group(rng: np.random.Generator, source: str, target: str, how: Connectivity, shape: tuple[int, ...]) -> Synapses:
    size = int(np.prod(shape))
    delay = [0, int(rng.integers(0, 10)), rng.integers(0, 10, size), rng.integers(2, 4, size)][int(rng.integers(4))]
    graded = bool(rng.random() < 0.5)
    return Synapses(f"{source}->{target}", source, target, how, int(rng.integers(-6, 3)), delay=delay, graded=graded)


def _data(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Spikes, or payloads with signs; as small a type as they need; sometimes a view that is not in order."""
    graded = rng.random() < 0.4
    values = rng.integers(-9, 100, shape) if graded else np.ones(shape, np.int64)
    spikes = (
        values * (rng.random(shape) < rng.choice([0.02, 0.3])) * (rng.random((*shape[:2], *[1] * len(shape[2:]))) < 0.7)
    )
    return spikes if graded else spikes.astype(rng.choice([np.uint8, np.int64, np.int16]))


def widened(case: Case, weight_exp: int) -> Case:
    """The case with exponents so large that registers leave 32 bits."""
    groups = {n: replace(s, weight_exp=weight_exp) for n, s in case.network.synapses.items()}
    return replace(case, network=replace(case.network, synapses=groups))
