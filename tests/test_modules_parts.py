"""The parts of the module reader: axes, spike rules, the tables of frameworks, nets of our own zoo."""

import re
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
from framework_cases.standin import Standin
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from spikeport.converters.network import Neuron, Shape
from spikeport.converters.read.modules.axes import MixedAxisError, fresh, learn, leaves, reshaped, step_shape
from spikeport.converters.read.modules.cells import Cell, spike_rule
from spikeport.converters.read.modules.frameworks import FRAMEWORKS, find_entry
from spikeport.converters.read.modules.leaf import with_start
from spikeport.converters.read.modules.read import read_module
from spikeport.deploy.backends.float import run_float
from spikeport.errors import UnsupportedNodeError
from spikeport.models.network import over_time
from spikeport.models.neurons import LIF, PLIF, CubaLIF, Integrator


def test_axes_are_found_again_after_flattening_and_folding() -> None:
    dims = fresh((7, 3, 2, 4, 4))
    learn(dims[0], "time")
    learn(dims[1], "batch")
    flat = reshaped(dims, (21, 32))
    assert step_shape(flat) == (32,)
    assert step_shape(reshaped(flat, (7, 3, 8, 4))) == (8, 4)


def test_one_axis_of_samples_times_steps_is_unfolded_into_both() -> None:
    dims = fresh((21, 5))
    batch, time, _ = reshaped(dims, (3, 7, 5))
    learn(batch, "batch")
    learn(time, "time")
    assert step_shape(dims) == (5,)


def test_mixing_batch_and_data_is_an_error_with_sizes() -> None:
    dims = fresh((3, 8))
    learn(dims[0], "batch")
    with pytest.raises(MixedAxisError, match=r"3 \(batch\) x 8 \(data\)"):
        step_shape(reshaped(dims, (24,)))
    with pytest.raises(MixedAxisError, match="is batch in one place and time in another"):
        learn(dims[0], "time")


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_reshaping_keeps_every_element_and_can_be_undone(shape: list[int], random: object) -> None:
    dims = fresh(shape)
    flat = reshaped(dims, (prod(shape),))
    assert [prod(a.size for a in leaves(axis)) for axis in reshaped(flat, tuple(shape))] == shape


@pytest.mark.parametrize(
    ("fire", "comparison", "most"),
    [
        (lambda v: (v > 1).float(), ">", 1),
        (lambda v: (v >= 1).float(), ">=", 1),
        (lambda v: torch.floor(v).clamp(min=0), ">=", None),
        (lambda v: torch.floor(v).clamp(0, 3), ">=", 3),
    ],
)
def test_spike_function_is_known_by_what_it_does(fire: object, comparison: str, most: int | None) -> None:
    rule = spike_rule("lif", fire)  # type: ignore[arg-type]
    assert (rule.comparison, rule.max_spikes) == (comparison, most)


@pytest.mark.parametrize("fire", [torch.sigmoid, lambda v: (torch.rand_like(v) < v).float(), lambda v: v.sign()])
def test_function_that_counts_no_thresholds_is_no_spike_function(fire: object) -> None:
    with pytest.raises(UnsupportedNodeError, match="module 'lif': its spike function counts no thresholds"):
        spike_rule("lif", fire)  # type: ignore[arg-type]


def cell() -> Cell:
    one = np.ones((), np.float32)
    return Cell(Neuron(one / 2, threshold=one, current_decay=one / 2), states={"mem": "v", "syn": "u", "spk": "s"})


def test_initial_state_of_the_first_call_is_the_neurons_own() -> None:
    start = {"mem": torch.full((3, 4), 0.25), "syn": torch.arange(4.0), "spk": torch.zeros(3, 4), "other": 1.0}
    neuron = with_start(cell(), start, (4,), "lif").neuron
    assert neuron.v_init == 0.25
    np.testing.assert_array_equal(neuron.u_init, np.arange(4))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ({"mem": torch.arange(12.0).reshape(3, 4)}, "its initial 'mem' differs from sample to sample"),
        ({"spk": torch.ones(3, 4)}, "starts from a 'spk' that is not silent"),
        ({"mem": torch.full((4,), 2.0)}, "it starts above its threshold"),
    ],
)
def test_initial_state_that_no_chip_could_start_from_is_refused(start: dict[str, Tensor], message: str) -> None:
    with pytest.raises(UnsupportedNodeError, match=message):
        with_start(cell(), start, (4,), "lif")


def class_of(module: str, name: str) -> type[nn.Module]:
    """A class that says it comes from a framework."""
    return type(name, (nn.Module,), {"__module__": module, "forward": lambda self, x: x, "step": lambda self: 1})


def test_framework_is_known_by_name_without_being_imported() -> None:
    found = find_entry("lif", class_of("snntorch._neurons.leaky", "Leaky")())
    assert found is not None
    assert (found.framework, found.name, found.entry.status) == ("snntorch", "Leaky", "exact")
    assert find_entry("lif", class_of("my_net.neurons", "Leaky")()) is None
    assert find_entry("lif", class_of("spikingjelly.activation_based.lynxi_exchange", "LIFNode")()) is None


def test_subclass_that_redefines_the_step_is_refused_and_one_that_does_not_is_taken() -> None:
    base = class_of("norse.torch.module.lif", "LIFCell")
    plain = type("Mine", (base,), {"__init__": lambda self: nn.Module.__init__(self)})
    assert find_entry("lif", plain()) is not None
    changed = type("Mine", (base,), {"step": lambda self: 2})
    with pytest.raises(UnsupportedNodeError, match=r"Mine derives from LIFCell and redefines step"):
        find_entry("lif", changed())


def test_neuron_that_cannot_be_read_is_refused_with_the_tables_reason() -> None:
    net = nn.Sequential(nn.Linear(4, 4), class_of("snntorch._neurons.alpha", "Alpha")())
    with pytest.raises(
        UnsupportedNodeError, match="module '1': it is snntorch's Alpha: its membrane is the difference"
    ):
        read_module(net, torch.zeros(2, 4))


def test_every_entry_says_what_it_covers_or_why_not() -> None:
    for entries in FRAMEWORKS.values():
        for name, entry in entries.items():
            assert entry.note, name
            assert (entry.read is None) == (entry.status == "refused"), name


@pytest.mark.parametrize(
    "neuron",
    [
        lambda: LIF(0.7, reset="subtract"),
        lambda: LIF(0.7, 0.5, reset="zero", threshold=0.4),
        lambda: PLIF(3.0),
        lambda: CubaLIF(0.5, 0.8, reset="none"),
    ],
)
def test_neurons_of_the_zoo_give_their_own_spikes(neuron: object) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 8), neuron(), nn.Linear(8, 4), Integrator(0.9))  # type: ignore[operator]
    with torch.no_grad():
        net[0].weight.mul_(3.0)
    frames = (torch.rand(3, 9, 6) < 0.5).float()
    network = read_module(net, frames[:, 0])
    run = run_float(network, frames.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(run.outputs["output"], over_time(net, frames).numpy(), rtol=1e-4, atol=1e-5)
    assert network.shapes["1"] == (8,)


def test_own_neuron_may_take_whole_batches_step_by_step() -> None:
    class Named(Standin):
        def to_neuron(self, name: str, shape: Shape) -> Neuron:
            assert (name, shape) == ("", (4,))
            return super().to_neuron(name, shape)

    assert read_module(Named(), torch.zeros(2, 4)).neurons == ("neuron",)


def test_page_on_frameworks_names_every_layer_as_the_tables_have_it() -> None:
    page = (Path(__file__).resolve().parents[1] / "docs" / "frameworks.md").read_text(encoding="utf-8")
    for framework, entries in FRAMEWORKS.items():
        (section,) = re.findall(rf"^## [^\n]*\n\nMeasured with {framework} (.*?)^## ", page, re.M | re.S)
        rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.M))
        refused = set(re.findall(r"`(\w+)`", section.partition("Refused:")[2]))
        for name, entry in entries.items():
            assert (name in refused) if entry.status == "refused" else (rows[name] == entry.status), name
    assert "**failed**" not in page
