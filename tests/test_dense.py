"""The dense engine's sums against the reference's, in every number type."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from random_networks import random_case
from scipy.sparse import csr_array

from spikeport.converters.accumulate import accumulator
from spikeport.converters.chip_network import Conv2d, Dense, Sparse, Synapses
from spikeport.deploy.backends.simulator.bounds import heaviest
from spikeport.deploy.backends.simulator.dense import exact, maps
from spikeport.deploy.backends.simulator.dense.exact import int8_adds_up, number
from spikeport.deploy.backends.simulator.dense.products import MOST_BYTES, Products
from spikeport.deploy.backends.simulator.engine import Tile
from spikeport.deploy.backends.simulator.reference import Fibre
from spikeport.deploy.backends.simulator.trains import Train

CPU = torch.device("cpu")
TILE = Tile(1, 2, 3)


def drawn(synapses: Synapses, neurons: int, most: int, rng: np.random.Generator) -> Train:
    history = 1 + synapses.max_delay
    train = Train(3, neurons, history, 6, graded=most > 1)
    size = train.dense().shape
    train.dense()[:] = (
        rng.integers(1, most + 1, size) * (rng.random(size) < 0.5) * rng.choice([1, 1 - 2 * (most > 1)], size)
    )
    train.drawn(history + 6, most)
    return train


def summed(synapses: Synapses, train: Train, targets: int) -> np.ndarray:
    """Two samples of TILE, in two parts that cut a sample in two."""
    products, sums = Products(synapses, CPU), np.full((6, targets), 7, np.int64)
    for span in ((0, 4), (4, 6)):
        products.add(train, TILE, span, fresh=False, sums=sums)
    return sums


def expected(synapses: Synapses, train: Train) -> np.ndarray:
    fibre, data = Fibre(synapses, accumulator(synapses.connectivity)), train.dense().astype(np.int64)
    steps = [train.history + TILE.s0 + k for k in range(TILE.steps)]
    sent = [[data[b, w - 1 - d][None] for d in range(synapses.max_delay + 1)] for b in (1, 2) for w in steps]
    return np.concatenate([fibre.deliver(s) for s in sent]) + 7  # type: ignore[arg-type]


@pytest.mark.parametrize("most", [1, 3, 255, 1 << 20])
@pytest.mark.parametrize("seed", range(12))
def test_sums_equal_the_reference(seed: int, most: int) -> None:
    network, rng = random_case(seed).network, np.random.default_rng(seed)
    for synapses in network.synapses.values():
        train = drawn(synapses, network.populations[synapses.source].size, most, rng)
        found = summed(synapses, train, network.populations[synapses.target].size)
        assert np.array_equal(found, expected(synapses, train)), synapses.name


@pytest.mark.parametrize(
    ("scale", "most", "types"),
    [
        (2, 1, ("int8",)),
        (2, 127, ("int8",)),
        (1, 1, ("float32",)),
        (2, 1 << 8, ("float32",)),
        (2, 1 << 20, ("float64",)),
        (2, 1 << 30, ("float64",)),
    ],
)
def test_the_number_type_follows_from_weights_fan_in_and_payloads(scale: int, most: int, types: tuple[str]) -> None:
    weight = np.full((9, 300), -128 * scale)
    weight[0] = 127 * scale
    weight[1, 1] = -254
    weight[1, 0] = -255 if scale == 1 else -256
    synapses = Synapses("a->b", "a", "b", Dense(weight), graded=True)
    train = drawn(synapses, 300, most, np.random.default_rng(0))
    products, sums = Products(synapses, CPU), np.zeros((6, 9), np.int64)
    products.add(train, TILE, (0, 6), fresh=True, sums=sums)
    assert products.types == (types if int8_adds_up(CPU) or types != ("int8",) else ("float32",))
    assert np.array_equal(sums, expected(synapses, train) - 7)


@pytest.mark.parametrize(("adds_up", "wanted"), [(True, torch.int8), (False, torch.float32)])
def test_int8_is_used_only_where_the_processor_adds_it_up(
    adds_up: bool, wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exact, "int8_adds_up", lambda device: adds_up)
    found = number((-128, 127), 128 * 100, 1, int8=True, device=CPU)
    assert found is not None
    assert found.dtype == wanted


def test_int8_is_refused_where_its_sums_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    def saturating(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """As AVX2 does it: unsigned bytes a + 128, pairs of products in 16 bits, and the 128 taken off at the end."""
        products = (a.long() + 128)[:, :, None] * b.long()[None]
        pairs = [pair.sum(1).clamp(-(2**15), 2**15 - 1) for pair in products.split(2, dim=1)]
        return (torch.stack(pairs).sum(0) - 128 * b.long().sum(0)).int()

    monkeypatch.setattr(torch, "_int_mm", saturating)
    int8_adds_up.cache_clear()
    try:
        assert not int8_adds_up(CPU)
    finally:
        int8_adds_up.cache_clear()


def test_float32_gives_way_where_torch_may_round_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    found = number((-128, 127), 1000, 1, int8=False, device=CPU)
    assert found is not None
    assert found.dtype == torch.float64


def test_float32_gives_way_when_torch_is_told_to_round_after_the_weights_were_laid_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    synapses = Synapses("a->b", "a", "b", Dense(np.arange(40).reshape(4, 10) * 29 - 500))
    products, sums = Products(synapses, CPU), np.zeros((6, 4), np.int64)
    assert products.types == ("float32",)
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    products.add(drawn(synapses, 10, 1, np.random.default_rng(0)), TILE, (0, 6), fresh=True, sums=sums)
    assert products.types == ("float64",)


@pytest.mark.parametrize("exponent", [0, -3])
def test_weights_up_to_128_are_int8_with_the_opposite_sign(exponent: int) -> None:
    rng = np.random.default_rng(1)
    synapses = Synapses("a->b", "a", "b", Dense(rng.integers(0, 129, (6, 50))), exponent)
    assert synapses.connectivity.weight.max() == 128  # type: ignore[union-attr]
    train = drawn(synapses, 50, 1, rng)
    assert Products(synapses, CPU).types == (("int8",) if int8_adds_up(CPU) else ("float32",))
    assert np.array_equal(summed(synapses, train, 6), expected(synapses, train))


def test_sums_beyond_every_fast_type_are_the_references_own() -> None:
    weight = np.full((2, 3), (1 << 22) - 1)
    synapses = Synapses("a->b", "a", "b", Dense(weight), graded=True)
    train = drawn(synapses, 3, (1 << 31) - 1, np.random.default_rng(0))
    assert number((0, 1 << 22), 3 << 22, (1 << 31) - 1, int8=False, device=CPU) is None
    assert np.array_equal(summed(synapses, train, 2), expected(synapses, train))


def test_a_train_without_payloads_and_a_group_that_ignores_them_give_the_same() -> None:
    synapses = Synapses("a->b", "a", "b", Dense(np.arange(40).reshape(4, 10) - 9))
    rng = np.random.default_rng(3)
    loud = drawn(synapses, 10, 9, rng)
    plain = drawn(synapses, 10, 1, rng)
    plain.dense()[:] = loud.dense() != 0
    assert np.array_equal(summed(synapses, loud, 4), summed(replace(synapses, graded=True), plain, 4))


def test_two_synapses_between_the_same_neurons_add_up_and_stay_two() -> None:
    rng = np.random.default_rng(0)
    sources, starts = rng.integers(0, 9, 80), np.arange(0, 81, 20)
    matrix = csr_array((rng.integers(-127, 128, 80) * 2, sources, starts), shape=(4, 9))
    synapses = Synapses("a->b", "a", "b", Sparse(matrix))
    train = drawn(synapses, 9, 1, rng)
    assert heaviest(synapses.connectivity) == np.abs(matrix.data).reshape(4, 20).sum(1).max()
    assert np.array_equal(summed(synapses, train, 4), expected(synapses, train))
    assert matrix.nnz == 80


@pytest.mark.parametrize("most", [1, 200, 1 << 14, 1 << 20])
@pytest.mark.parametrize("high", [128, 256])
def test_weights_are_kept_once_in_four_bytes_or_less(high: int, most: int) -> None:
    rng = np.random.default_rng(5)
    dense = Dense(rng.integers(0, high, (64, 32)))
    conv = Conv2d(rng.integers(0, high, (8, 4, 3, 3)), (4, 6, 6), (8, 4, 4), (1, 1), (0, 0), (1, 1), 1)
    for how, sources, targets in ((dense, 32, 64), (conv, 144, 128)):
        synapses = Synapses("a->b", "a", "b", how, graded=True)
        products, sums = Products(synapses, CPU), np.zeros((6, targets), np.int64)
        products.add(drawn(synapses, sources, most, rng), TILE, (0, 6), fresh=True, sums=sums)
        assert held(products) <= (8 if products.types == ("float64",) and how is conv else 4) * how.weight.size


def held(products: Products) -> int:
    """Bytes of the weights that the maps and the lags keep."""
    kept = [m.weight for m, _ in products._maps] + [torch.from_numpy(lag.connectivity.weight) for lag in products._lags]
    return sum({w.data_ptr(): w.untyped_storage().nbytes() for w in kept}.values())


def test_a_convolution_works_on_no_more_rows_at_once_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 channels onto one: each row's taps take 64 times its result."""
    conv = Conv2d(np.full((1, 64, 3, 3), 2), (64, 40, 40), (1, 38, 38), (1, 1), (0, 0), (1, 1), 1)
    synapses = Synapses("a->b", "a", "b", conv)
    seen: list[int] = []
    unfold = maps.patches
    monkeypatch.setattr(maps, "patches", lambda shape, rows: (seen.append(len(rows)), unfold(shape, rows))[1])
    train, products = Train(1, 64 * 1600, 1, 60, graded=False), Products(synapses, CPU)
    train.drawn(61)
    products.add(train, Tile(0, 0, 60), (0, 60), fresh=True, sums=np.zeros((60, 38 * 38), np.int32))
    row_bytes = products._maps[0][0].row_bytes
    assert sum(seen) == 60
    assert max(seen) == MOST_BYTES // row_bytes
