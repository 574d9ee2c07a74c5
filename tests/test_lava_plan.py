"""What a program becomes in Lava's words; none of this needs Lava."""

from __future__ import annotations

import ast
import io

import numpy as np
import pytest
from random_networks import ZERO, random_case
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Connectivity, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.deploy.backends.lava.export import export
from spikeport.deploy.backends.lava.plan import Part, islands, plan
from spikeport.errors import BackendError


def population(name: str, shape: tuple[int, ...], model: str = "lif", **fields: object) -> Population:
    return Population(name, shape, model, *[ZERO] * 8, **fields)


def network(*populations: Population, **synapses: tuple[str, str, Connectivity, dict]) -> ChipNetwork:
    groups = {name: Synapses(name, a, b, kind, **more) for name, (a, b, kind, more) in synapses.items()}
    return ChipNetwork({p.name: p for p in populations}, groups, (populations[0].name,), (populations[-1].name,), 1e-3)


def two_layers(kind: Connectivity, **more: object) -> list[Part]:
    net = network(population("in", (2,), "input"), population("out", (2,)), s=("in", "out", kind, more))
    return [part for part in plan(net).parts if part.origin == "s"]


def conv(exponent: int = 0, delay: object = 0) -> list[Part]:
    kind = Conv2d(np.arange(24).reshape(2, 3, 2, 2), (3, 4, 5), (2, 3, 4), (1, 1), (0, 0), (1, 1), 1)
    source, target = population("in", (3, 4, 5), "input"), population("out", (2, 3, 4))
    net = network(source, target, s=("in", "out", kind, {"weight_exp": exponent, "delay": delay}))
    return [part for part in plan(net).parts if part.origin == "s"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"model": "lif"}, "LIF"),
        ({"model": "lif", "refractory": 1}, "GeneralLIF"),
        ({"model": "lif", "v_min": ZERO}, "GeneralLIF"),
        ({"model": "lif_subtract"}, "GeneralLIF"),
        ({"model": "integrator"}, "Integrator"),
        ({"model": "input"}, "RingBuffer"),
    ],
)
def test_neurons_become_lavas_where_lava_has_them(fields: dict, kind: str) -> None:
    assert plan(network(population("p", (2,), **fields))).parts[0].kind == kind


def test_delays_choose_the_delayed_process() -> None:
    dense, sparse = Dense(np.ones((2, 2), int)), Sparse(csr_array(np.ones((2, 2), int)))
    kinds = [two_layers(kind, delay=delay)[0].kind for kind in (dense, sparse) for delay in (0, 3)]
    assert kinds == ["Dense", "DelayDense", "Sparse", "DelaySparse"]


def test_delay_per_source_reaches_every_synapse_of_its_column() -> None:
    (part,) = two_layers(Dense(np.ones((2, 2), int)), delay=np.array([1, 4]))
    assert part.arguments["delays"].tolist() == [[1, 4], [1, 4]]


def test_delay_that_lava_cannot_hold_is_refused_by_name() -> None:
    with pytest.raises(BackendError, match=r"^s: a delay of 64 steps is longer than Lava's 63"):
        two_layers(Dense(np.ones((2, 2), int)), delay=64)


def test_convolution_is_flipped_and_laid_out_in_width_height_channels() -> None:
    (part,) = conv()
    assert part.arguments["weight"].shape == (2, 2, 2, 3)
    assert part.arguments["weight"][1, 0, 1, 2] == 12 + 2 * 4 + 0 * 2 + 1  # kernel 1, channel 2, y 1 - 1, x 1 - 0
    assert part.arguments["input_shape"] == (5, 4, 3)


def test_weights_of_a_convolution_carry_a_positive_exponent_and_its_process_a_negative_one() -> None:
    ((plain,), (raised,), (lowered,)) = conv(0), conv(3), conv(-3)
    assert np.array_equal(raised.arguments["weight"], plain.arguments["weight"] * 8)
    assert [p.kind for p in (plain, raised, lowered)] == ["Conv", "Conv", "ShiftedConv"]
    assert (raised.arguments["weight_exp"], lowered.arguments["weight_exp"]) == (0, -3)


def test_delayed_convolution_gets_one_chain_per_delay() -> None:
    delays = np.where(np.arange(60) < 7, 2, 5)
    kinds = [(part.kind, part.arguments.get("delay")) for part in conv(delay=delays)]
    assert kinds == [("SpikeDelay", 2), ("Conv", None), ("SpikeDelay", 5), ("Conv", None)]
    assert [int(part.arguments["mask"].sum()) for part in conv(delay=delays) if "mask" in part.arguments] == [7, 53]


def test_population_seen_as_two_different_images_is_refused() -> None:
    first = Conv2d(np.ones((1, 1, 1, 1), int), (1, 2, 3), (1, 2, 3), (1, 1), (0, 0), (1, 1), 1)
    second = Conv2d(np.ones((1, 1, 1, 1), int), (1, 3, 2), (1, 3, 2), (1, 1), (0, 0), (1, 1), 1)
    source, target, other = population("in", (6,), "input"), population("a", (6,)), population("b", (6,))
    with pytest.raises(BackendError, match="in: its convolutions see it as images of different shape"):
        plan(network(source, target, other, s=("in", "a", first, {}), t=("in", "b", second, {})))


def test_what_is_not_connected_runs_apart_and_idle_inputs_not_at_all() -> None:
    one = Dense(np.ones((1, 1), int))
    parts = [
        population("idle", (1,), "input"),
        population("in", (1,), "input"),
        population("a", (1,)),
        population("b", (1,)),
    ]
    assert islands(plan(network(*parts, s=("in", "a", one, {})))) == [["n_in", "a", "s"], ["b"]]


HOSTILE = ["import os", "class", "", "1st", "a'\"]); evil(", "a->b", "größe", 'x"""\nevil()', "np", "a_b", "a b"]


def test_names_become_distinct_identifiers_and_cannot_break_out_of_the_module() -> None:
    net = network(*(population(name, (1,)) for name in HOSTILE))
    exported = export(net, 'model"""\nevil()', "arrays.npz")
    names = [part.name for part in exported.plan.parts]
    assert all(name.isidentifier() for name in names)
    assert len(set(names)) == len(names)
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(exported.text))
        if isinstance(node, ast.Call) and hasattr(node.func, "id")
    }
    assert calls == {"LIF", "prepare", "dict", "Path"}


def test_exported_modules_are_python_and_their_arrays_complete() -> None:
    for seed in range(30):
        exported = export(random_case(seed).network, "model.spk", "arrays.npz")
        tree = ast.parse(exported.text)
        file = io.BytesIO()
        exported.write_arrays(file)
        stored = np.load(io.BytesIO(file.getvalue()), allow_pickle=False)
        wanted = {
            n.slice.value for n in ast.walk(tree) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Constant)
        }
        assert wanted - set(stored) <= {exported.plan.names[n] for n in random_case(seed).network.inputs}
        assert set(exported.arrays) == set(stored)
