"""Replay: what the passes make of fixed networks, as a hash. A change that calls itself a refactor may not move one.

Weights and decays are multiples of 1/64 and the calibration input is drawn from integers, so that no float sum
depends on the machine. When a hash moves on purpose, say in the commit what became better, and by how much.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields

import numpy as np
import pytest

from spikeport.converters.build import leaky, sequential
from spikeport.converters.chip_network import ChipNetwork, Sparse
from spikeport.converters.network import Conv, Flatten, Linear, Network, Pool
from spikeport.deploy.compile import CompileOptions, compile_network

DIALECT = "snntorch:reset=zero,reset_delay=0"


def grid(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.integers(-48, 65, shape) / 64).astype(np.float32)


def conv_network() -> Network:
    rng = np.random.default_rng(0)
    layers = [
        ("conv", Conv(grid(rng, 3, 2, 3, 3), grid(rng, 3) / 4, (1, 1), (1, 1), (1, 1))),
        ("lif1", leaky(0.875)),
        ("pool", Pool("average", (2, 2), (2, 2), (0, 0))),
        ("flat", Flatten(0, -1)),
        ("fc", Linear(grid(rng, 5, 27), grid(rng, 5) / 8)),
        ("lif2", leaky(0.75, alpha=0.5)),
    ]
    return sequential(layers, (2, 6, 6), 1e-3, DIALECT)


def recurrent_network() -> Network:
    rng = np.random.default_rng(1)
    layers = [("fc", Linear(grid(rng, 8, 72))), ("hid", leaky(0.9375, alpha=0.25)), ("out", Linear(grid(rng, 4, 8)))]
    loop = [("hid", "rec", Linear(grid(rng, 8, 8), grid(rng, 8) / 8))]
    flat = [("flat", Flatten(0, -1)), *layers, ("li", leaky(0.5, spiking=False))]
    return sequential(flat, (2, 6, 6), 1e-3, DIALECT, loop)


LATER = {"hold_init": 0, "spike_exp": 0, "state_exp": 0, "rectified": True}
"""Registers that came after the hashes: they count where they are set, so that adding one moves no hash."""


def digest(network: ChipNetwork) -> str:
    """Every integer of the program, in a fixed order."""
    sha = hashlib.sha256()
    for part in (*network.populations.values(), *network.synapses.values()):
        for f in fields(part):
            value = getattr(part, f.name)
            if f.name in LATER and value == LATER[f.name]:
                continue
            if f.name == "connectivity":
                weights = value.matrix.toarray() if isinstance(value, Sparse) else value.weight
                value = (type(value).__name__, weights.tolist())
            sha.update(f"{f.name}={value.tolist() if isinstance(value, np.ndarray) else value};".encode())
    return sha.hexdigest()[:16]


@pytest.mark.parametrize(
    ("make", "target", "split", "expected"),
    [
        (conv_network, "loihi1", "never", "09b351a7f04f1f03"),
        (conv_network, "loihi2", "always", "68fa7e5707df539b"),
        (recurrent_network, "loihi1", "always", "fee923c87f551a8c"),
        (recurrent_network, "loihi2", "never", "7889ec6d9259906d"),
    ],
)
def test_the_program_has_not_moved(make, target: str, split: str, expected: str) -> None:  # type: ignore[no-untyped-def]
    data = (np.random.default_rng(2).integers(0, 4, (4, 24, 2, 6, 6)) == 0).astype(np.uint8)
    deployment = compile_network(make(), target, data, options=CompileOptions(split=split, scales=4))  # type: ignore[arg-type]
    assert digest(deployment.network) == expected
