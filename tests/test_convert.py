"""The passes that convert: each keeps what the network computes, or turns values into rates or changes of them."""

from dataclasses import replace

import numpy as np
import pytest
from ann_nets import POOL, branched, conv, images, linear, plain

from spikeport.converters.build import sequential
from spikeport.converters.network import Activation, Flatten, MaxPool, Network, Neuron, Pool, Scale
from spikeport.converters.passes.convert.ceilings import without_ceilings
from spikeport.converters.passes.convert.coding import Range, range_of, with_input_range
from spikeport.converters.passes.convert.levels import counted, empty, percentile, spread, tops
from spikeport.converters.passes.convert.max_pool import without_max_pools
from spikeport.converters.passes.convert.melt import melted
from spikeport.converters.passes.convert.rewire import in_units
from spikeport.converters.passes.convert.spiking import to_spiking
from spikeport.converters.passes.convert.swap import pools_behind_activations
from spikeport.converters.passes.infer import infer
from spikeport.deploy.backends.float import run_float
from spikeport.deploy.conversion.observe import answers
from spikeport.errors import DataError, ModelError, UnsupportedOnChipError


def same(a: Network, b: Network, inputs: np.ndarray) -> bool:
    return bool(np.allclose(answers(a, inputs), answers(b, inputs), rtol=1e-4, atol=1e-5))


# ---- levels ---------------------------------------------------------------------------------------------------------


def seen(values: np.ndarray, shape: tuple[int, ...]):  # type: ignore[no-untyped-def]
    return counted(empty(shape, tops(values)), values)


def test_percentile_is_that_of_the_values_above_zero() -> None:
    values = np.concatenate([np.zeros(500), np.arange(1, 1001)]).astype(np.float32).reshape(-1, 1)
    assert percentile(seen(values, (1,)), 0.99, per_channel=True)[0] == pytest.approx(990, abs=1.0)


def test_levels_are_per_channel_or_shared() -> None:
    values = np.stack([np.linspace(0, 1, 100), np.linspace(0, 4, 100)], 1).astype(np.float32)[:, :, None]
    levels = seen(values, (2, 1))
    assert percentile(levels, 1.0, per_channel=True).tolist() == pytest.approx([1, 4])
    assert percentile(levels, 1.0, per_channel=False).tolist() == pytest.approx([4, 4])


def test_a_hardly_seen_channel_is_not_believed() -> None:
    values = np.stack([np.full(50, 1e-4), np.linspace(0, 1, 50)], 1).astype(np.float32)
    assert percentile(seen(values, (2,)), 1.0, per_channel=True)[0] == pytest.approx(0.02, rel=0.01)


def test_a_silent_layer_has_a_level_of_one() -> None:
    assert percentile(seen(np.zeros((9, 3), np.float32), (3,)), 0.999, per_channel=True).tolist() == [1, 1, 1]


def test_batches_add_up() -> None:
    values = np.random.default_rng(0).uniform(0, 1, (60, 3)).astype(np.float32)
    once, top = seen(values, (3,)), tops(values)
    twice = counted(counted(empty((3,), top), values[:20]), values[20:])
    assert np.array_equal(once.counts, twice.counts)
    assert (once.samples, once.active.tolist()) == (twice.samples, twice.active.tolist()) == (60, [60, 60, 60])
    assert np.allclose(once.total, values.sum(0))


# ---- exact rewriting ------------------------------------------------------------------------------------------------


def test_factors_melt_into_weights() -> None:
    network = plain()
    result = melted(network)
    assert not any(isinstance(node, Scale) for node in result.nodes.values())
    assert same(network, result, images())


def test_a_factor_passes_pools_and_flattening() -> None:
    rng = np.random.default_rng(0)
    factor = Scale(rng.uniform(1, 2, (2, 1, 1)).astype(np.float32))
    nodes = [("scale", factor), ("pool", Pool("average", (2, 2), (2, 2), (0, 0))), ("flat", Flatten(0, 2))]
    network = sequential([*nodes, ("fc", linear(rng, 18, 3))], (2, 6, 6), 1.0, "nir")
    result = melted(network)
    assert "scale" not in result.nodes
    assert same(network, result, images())


def test_a_constant_does_not_pass_padding() -> None:
    shift = Scale(np.ones((), np.float32), np.array(0.5, np.float32))
    network = sequential([("shift", shift), ("conv", conv(np.random.default_rng(0), 2, 3))], (2, 6, 6), 1.0, "nir")
    assert "shift" in melted(network).nodes


def test_factor_of_a_sum_goes_onto_its_summands() -> None:
    network = branched()
    bare = infer(replace(network, shapes={})).result
    scaled = infer(in_units(bare, "relu3", np.array(2.0, np.float32))).result
    result = melted(scaled)
    halves = [node for node in result.nodes.values() if isinstance(node, Scale)]
    # On the identity branch: the only summand without weights of its own.
    assert any(float(node.factor.reshape(-1)[0]) == 0.5 for node in halves)
    assert same(scaled, result, images())


@pytest.mark.parametrize(
    "pool", [POOL, MaxPool((3, 3), (2, 2), (1, 1)), MaxPool((1, 5), (1, 1), (0, 0)), MaxPool((3, 2), (3, 2), (0, 1))]
)
def test_exact_maximum_is_the_maximum(pool: MaxPool) -> None:
    rng = np.random.default_rng(3)
    network = sequential([("conv", conv(rng, 2, 3)), ("relu", Activation()), ("pool", pool)], (2, 6, 6), 1.0, "nir")
    exact = without_max_pools(network, "exact")
    assert not any(isinstance(node, MaxPool) for node in exact.result.nodes.values())
    assert same(network, exact.result, images(8))
    rectifiers = sum(isinstance(node, Activation) for node in exact.result.nodes.values()) - 1
    assert rectifiers == int(np.prod(pool.kernel)) - 1


def test_exact_maximum_along_one_axis() -> None:
    along = MaxPool((1, 3), (1, 2), (0, 0))
    network = sequential([("relu", Activation()), ("pool", along)], (4, 9), 1.0, "nir")
    x = np.random.default_rng(0).normal(size=(8, 4, 9)).astype(np.float32)
    assert same(network, without_max_pools(network, "exact").result, x)


def test_exact_maximum_holds_below_zero_without_padding() -> None:
    network = sequential([("conv", conv(np.random.default_rng(3), 2, 3)), ("pool", POOL)], (2, 6, 6), 1.0, "nir")
    assert same(network, without_max_pools(network, "exact").result, images(8))


def test_padded_maximum_below_zero_is_refused_with_a_way_out() -> None:
    padded = MaxPool((3, 3), (1, 1), (1, 1))
    network = sequential([("conv", conv(np.random.default_rng(3), 2, 3)), ("pool", padded)], (2, 6, 6), 1.0, "nir")
    with pytest.raises(UnsupportedOnChipError, match=r"pool: .*Put the activation before the pool"):
        without_max_pools(network, "exact")


def test_average_in_place_of_the_maximum_is_a_warning() -> None:
    outcome = without_max_pools(plain(middle=POOL), "average")
    assert [(f.code, f.where) for f in outcome.findings] == [("max-pool-average", "pool")]
    assert isinstance(outcome.result.nodes["pool"], Pool)


def test_a_pool_before_its_activation_goes_behind_it() -> None:
    rng = np.random.default_rng(0)
    layers = [("conv", conv(rng, 2, 3)), ("pool", MaxPool((2, 2), (2, 2), (1, 1))), ("relu", Activation())]
    network = sequential(layers, (2, 6, 6), 1.0, "nir")
    result = pools_behind_activations(network)
    assert list(result.nodes).index("relu") < list(result.nodes).index("pool")
    assert same(network, result, images())


def test_a_ceiling_as_two_rectifiers_is_the_ceiling() -> None:
    rng = np.random.default_rng(0)
    layers = [("conv", conv(rng, 2, 3)), ("relu", Activation(np.array(0.4, np.float32))), ("c2", conv(rng, 3, 2))]
    network = sequential(layers, (2, 6, 6), 1.0, "nir")
    split, dropped = without_ceilings(network, ["relu"]), without_ceilings(network, [])
    assert same(network, split.result, images())
    assert [f.code for f in (*split.findings, *dropped.findings)] == ["ceiling-split", "ceiling-dropped"]


def test_steps_of_a_trained_activation_are_dropped_with_a_warning() -> None:
    network = sequential([("q", Activation(np.array(1, np.float32), 4))], (3,), 1.0, "nir")
    outcome = without_ceilings(network, ["q"])
    assert [(f.code, f.severity) for f in outcome.findings] == [
        ("levels-dropped", "warning"),
        ("ceiling-split", "info"),
    ]
    x = np.linspace(-1, 2, 9, dtype=np.float32).reshape(3, 3)
    assert np.allclose(answers(outcome.result, x), x.clip(0, 1))


# ---- input range ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "low"), [([0.01, 1.0], 0.0), ([0.5, 1.0], 0.5), ([-0.4, 2.8], -0.4)])
def test_the_range_starts_at_zero_where_data_nearly_do(values: list[float], low: float) -> None:
    assert range_of(np.array(values, np.float32)).low == pytest.approx(low)


def test_constant_data_have_no_range() -> None:
    with pytest.raises(DataError, match=r"range 3 \.\. 3"):
        range_of(np.full(4, 3.0))


@pytest.mark.parametrize("ends", [Range(0.0, 1.0), Range(0.0, 255.0), Range(-0.4, 2.8)])
def test_inputs_between_zero_and_one_stand_for_the_range(ends: Range) -> None:
    network, s = plain(), images()
    coded = infer(with_input_range(network, ends)).result
    wide = ends.low + (ends.high - ends.low) * s
    assert np.allclose(answers(network, wide), answers(coded, s), rtol=1e-4, atol=1e-3)


# ---- rates ----------------------------------------------------------------------------------------------------------


def test_one_neuron_is_the_trained_staircase() -> None:
    """QCFS: after as many steps as levels, spikes times level are the trained activation, everywhere."""
    ceiling, levels = np.array(2.0, np.float32), 8
    network = sequential([("q", Activation(ceiling, levels))], (401,), 1.0, "nir")
    x = np.linspace(-1, 3, 401, dtype=np.float32)[None]
    spiking = to_spiking(network, {"q": ceiling}, 1e-3).result
    output = run_float(spiking, np.repeat(x[:, None], levels, 1)).outputs["output"]
    assert np.allclose(output.mean(1), answers(network, x), atol=1e-6)


@pytest.mark.parametrize("network", [plain(), branched(), without_max_pools(plain(middle=POOL), "exact").result])
def test_rates_approach_the_activations(network: Network) -> None:
    ready, inputs = melted(network), images(10)
    levels = {n: np.array(8.0, np.float32) for n, node in ready.nodes.items() if isinstance(node, Activation)}
    spiking = to_spiking(ready, levels, 1e-3).result
    wanted = answers(network, inputs)

    def error(steps: int) -> float:
        output = run_float(spiking, np.repeat(inputs[:, None], steps, 1)).outputs["output"].mean(1)
        return float(np.abs(output - wanted).max() / np.abs(wanted).max())

    few, many = error(40), error(320)
    assert many < 0.12
    assert many < few / 3


def test_neurons_take_the_names_of_their_activations() -> None:
    ready = melted(plain())
    levels = {"relu1": spread(np.arange(1.0, 5.0), (4, 6, 6)), "relu2": np.array(2.0, np.float32)}
    spiking = to_spiking(ready, levels, 1e-3).result
    assert isinstance(spiking.nodes["relu1"], Neuron)
    assert not any(isinstance(node, Scale) for node in spiking.nodes.values())


def test_an_offset_that_borders_see_less_of_is_held_by_the_neurons() -> None:
    network, ends = plain(), Range(-0.5, 1.0)
    coded = melted(infer(with_input_range(network, ends)).result)
    levels = {"relu1": np.array(3.0, np.float32), "relu2": np.array(3.0, np.float32)}
    outcome = to_spiking(coded, levels, 1e-3)
    neuron = outcome.result.nodes["relu1"]
    assert isinstance(neuron, Neuron)
    # Corners hear the constant through four taps, the middle through nine.
    assert neuron.bias.shape == (4, 6, 6)
    assert {f.code for f in outcome.findings} == {"offset-in-neurons"}
    s = images(6)
    output = run_float(outcome.result, np.repeat(s[:, None], 600, 1)).outputs["output"].mean(1)
    assert np.allclose(output, answers(network, -0.5 + 1.5 * s), atol=0.05)


def test_a_maximum_pool_has_to_go_first() -> None:
    with pytest.raises(ModelError, match="pool: a maximum pool is left"):
        to_spiking(plain(middle=POOL), {}, 1e-3)
