"""The networks and inputs on which engines are compared, by name; all from fixed seeds or from recordings."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from data_folder import cache_folder, data_file
from numpy.typing import NDArray
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.placement import Core, Placement, Slice

Ints = NDArray[np.int64]
NEURONS_PER_CORE = 1024
DECAY = 128  # of 4096: SANA-FE's leak of 0.96875
INPUT_RATE = 0.08


@dataclass(frozen=True)
class Case:
    """A program, where its neurons live, its input (B, T, *shape) and the populations to compare."""

    network: ChipNetwork
    placement: Placement
    inputs: Mapping[str, NDArray[Any]]
    outputs: tuple[str, ...]

    @property
    def batch(self) -> int:
        """Samples."""
        return len(next(iter(self.inputs.values())))


def build(name: str, data: Path) -> Case:
    """The case written ``family:T=steps:B=samples``, such as "mlp:T=25:B=64"."""
    family, *settings = name.split(":")
    values = {key: int(value) for key, value in (setting.split("=") for setting in settings)}
    return FAMILIES[family](data, **values)


def train_hashes(trains: NDArray[Any]) -> list[str]:
    """A short hash of each sample's train, of (B, T, n)."""
    return [hashlib.sha256(np.ascontiguousarray(t, np.int64)).hexdigest()[:12] for t in trains]


def mlp(data: Path, T: int, B: int) -> Case:
    """784-256-10, SANA-FE's rule, weights of 8 bits, 8 % of the inputs spiking; ../shared/bench `make_mlp`."""
    rng, sizes = np.random.default_rng(7), (784, 256, 10)
    first = rng.random((T, sizes[0])) < INPUT_RATE
    weights = [rng.integers(-96, 128, size=(a, b)) for a, b in pairwise(sizes)]
    others = [np.random.default_rng(1000 + b).random((T, sizes[0])) < INPUT_RATE for b in range(1, B)]
    populations = [_input("input", (784,)), _lif("hidden", (256,), 9000), _lif("output", (10,), 4000)]
    synapses = [_dense("input", "hidden", weights[0].T), _dense("hidden", "output", weights[1].T)]
    return _case(populations, synapses, np.stack([first, *others]), ("hidden", "output"))


def layer(data: Path, T: int, B: int, rate: int) -> Case:
    """1024 -> 1024 at ``rate`` per cent, for comparison with the machine's peak."""
    rng = np.random.default_rng(5)
    spikes = rng.random((B, T, 1024), dtype=np.float32) < rate / 100
    populations = [_input("input", (1024,)), _lif("output", (1024,), 12000)]
    return _case(populations, [_dense("input", "output", rng.integers(-96, 128, (1024, 1024)))], spikes, ("output",))


def recurrent(data: Path, N: int, T: int, B: int = 1) -> Case:
    """N recurrent neurons with a fan-out of 64 on up to 4 cores; ../shared/bench `make_rec`. No input but a bias."""
    rng = np.random.default_rng(11)
    cores = N // NEURONS_PER_CORE
    wide = min(4, cores)
    chosen = np.argsort(rng.random((N, cores)), axis=1)[:, :wide]
    offset = rng.integers(0, NEURONS_PER_CORE, size=(N, wide, 64 // wide))
    targets = (chosen[:, :, None] * NEURONS_PER_CORE + offset).reshape(N, -1)
    targets.sort(axis=1)
    weights = rng.integers(-24, 25, size=targets.shape)
    bias = rng.integers(52, 120, size=N)
    matrix = _by_target(targets, 2 * weights, N)
    synapses = Synapses("pop->pop", "pop", "pop", Sparse(matrix), weight_exp=-1)
    populations = [_input("input", (1,)), _lif("pop", (N,), 1000, bias)]
    return _case(populations, [synapses], np.zeros((B, T, 1), bool), ("pop",))


PILOTNET = (  # channels, stride, threshold: about one neuron in twenty spikes
    (24, (2, 2), 500), (36, (2, 2), 1900), (48, (2, 2), 2800), (64, (2, 1), 3900), (64, (1, 1), 4800),
)  # fmt: skip
PILOTNET_DENSE = ((100, 7800), (50, 500), (10, 10))


def pilotnet(data: Path, T: int, B: int) -> Case:
    """PilotNet's shapes as lava-dl trains it (3 × 66 × 200 video), random weights, a tenth of the pixels spiking."""
    rng = np.random.default_rng(3)
    populations: list[Population] = [_input("input", (3, 66, 200))]
    synapses = []
    for k, (channels, stride, threshold) in enumerate(PILOTNET):
        source = populations[-1]
        c, h, w = source.shape
        target = (channels, (h - 3) // stride[0] + 1, (w - 3) // stride[1] + 1)
        conv = Conv2d(2 * rng.integers(-96, 128, (channels, c, 3, 3)), (c, h, w), target, stride, (0, 0), (1, 1), 1)
        populations.append(_lif(f"conv {k + 1}", target, threshold))
        name = populations[-1].name
        synapses.append(Synapses(f"{source.name}->{name}", source.name, name, conv, weight_exp=-1))
    for k, (size, threshold) in enumerate(PILOTNET_DENSE):
        source = populations[-1]
        populations.append(_lif(f"dense {k + 1}", (size,), threshold))
        synapses.append(_dense(source.name, populations[-1].name, rng.integers(-96, 128, (size, source.size))))
    spikes = rng.random((B, T, 3, 66, 200), dtype=np.float32) < 0.1
    return _case(populations, synapses, spikes, (populations[-1].name,))


def nmnist(data: Path, B: int) -> Case:
    """The NIR paper's network on real recordings, 300 steps of 1 ms, compiled for Loihi 2."""
    from nmnist_cnn import load

    recordings = data_file(data, "nmnist/nmnist.npz")
    spikes = load(recordings, "test", range(min(B, 100))).spikes
    deployment = _compiled("nmnist", data, lambda: load(recordings, "train", range(0, 700, 43)).spikes)
    repeated = spikes[np.arange(B) % len(spikes)]
    return Case(
        deployment.network, deployment.placement, {deployment.network.inputs[0]: repeated}, deployment.network.outputs
    )


def braille(data: Path, B: int) -> Case:
    """The NIR paper's recurrent Braille network, 256 steps; further samples are the recording, later in time."""
    with np.load(data_file(data, "nir_paper/03_rnn/braille_test_sample0.npz")) as archive:
        sample = archive["spikes"]
    deployment = _compiled("braille", data, lambda: sample[None])
    spikes = np.stack([np.roll(sample, b, axis=0) for b in range(B)])
    return Case(
        deployment.network, deployment.placement, {deployment.network.inputs[0]: spikes}, deployment.network.outputs
    )


def _deployed(deployment: Any, spikes: NDArray[Any]) -> Case:
    network = deployment.network
    return Case(network, deployment.placement, {network.inputs[0]: spikes}, network.outputs)


SOURCES = {
    "nmnist": ("nir_paper/02_cnn/cnn_sinabs.nir", "sinabs:dt=0.001,reset=zero,spike=single"),
    "braille": ("nir_paper/03_rnn/braille_noDelay_bias_zero.nir", "snntorch:reset=zero,reset_delay=0"),
}


def _compiled(name: str, data: Path, calibration: Callable[[], NDArray[Any]]) -> Any:
    """The deployment, compiled once per machine."""
    from spikeport.converters.read.nir import read_nir
    from spikeport.deploy.compile import compile_network
    from spikeport.deploy.deployment import Deployment

    file, dialect = SOURCES[name]
    kept = cache_folder() / f"{name}.spk"
    if not kept.exists():
        compile_network(read_nir(data_file(data, file), dialect), "loihi2", calibration()).save(kept)
    return Deployment.load(kept)


FAMILIES: Mapping[str, Callable[..., Case]] = {
    "mlp": mlp, "layer": layer, "recurrent": recurrent, "pilotnet": pilotnet, "nmnist": nmnist, "braille": braille,
}  # fmt: skip


def _case(
    populations: list[Population], synapses: list[Synapses], spikes: NDArray[Any], outputs: tuple[str, ...]
) -> Case:
    named = {p.name: p for p in populations}
    network = ChipNetwork(named, {s.name: s for s in synapses}, ("input",), (populations[-1].name,), 1e-3)
    return Case(network, _placement(populations), {"input": spikes.astype(np.uint8)}, outputs)


def _placement(populations: list[Population]) -> Placement:
    """1,024 neurons of one population to a core, as in the SANA-FE runs; counting needs to know."""
    inside = [p for p in populations if p.model != "input"]
    cuts = [(p, start) for p in inside for start in range(0, p.size, NEURONS_PER_CORE)]
    cores = tuple(Core((Slice(p.name, a, min(a + NEURONS_PER_CORE, p.size)),), {}) for p, a in cuts)
    return Placement(cores, tuple((0, k, 0, 0) for k in range(len(cores))), {})


def _input(name: str, shape: tuple[int, ...]) -> Population:
    zero = np.zeros((), np.int64)
    return Population(name, shape, "input", *[zero] * 8)


def _lif(name: str, shape: tuple[int, ...], threshold: int, bias: Ints | int = 0) -> Population:
    """No synaptic current, SANA-FE's leak, hard reset; ``bias`` in units of weights."""
    zero = np.zeros((), np.int64)
    bias_mant, bias_exp = np.asarray(bias, np.int64), zero + 6
    return Population(
        name, shape, "lif", zero + 4095, zero + DECAY, zero + threshold, zero, bias_mant, bias_exp, zero, zero
    )


def _dense(source: str, target: str, weight: Ints) -> Synapses:
    """Mixed-sign weights are even on the chip: twice the weight, shifted back."""
    return Synapses(f"{source}->{target}", source, target, Dense(2 * weight), weight_exp=-1)


def _by_target(targets: Ints, weights: Ints, n: int) -> csr_array:
    """csr (n, n) by target; two synapses between the same neurons stay two."""
    order = np.argsort(targets.ravel(), kind="stable")
    sources = np.repeat(np.arange(n), targets.shape[1])[order]
    starts = np.concatenate([[0], np.cumsum(np.bincount(targets.ravel(), minlength=n))])
    return csr_array((weights.ravel()[order], sources, starts), shape=(n, n))
