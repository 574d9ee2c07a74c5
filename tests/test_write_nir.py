"""A Network written as NIR reads back equal, the nir package reads it too, and a failed write leaves nothing."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import (
    Activation,
    Conv,
    Delay,
    Edge,
    Flatten,
    Linear,
    Network,
    Neuron,
    Node,
    Pool,
    Scale,
    SparseMap,
)
from spikeport.converters.passes.infer import infer
from spikeport.converters.read.nir import read_nir
from spikeport.converters.write.nir import write_nir
from spikeport.errors import OutputError, UnsupportedNodeError


def equal_nodes(a: Node, b: Node) -> bool:
    def same(x: Any, y: Any) -> bool:
        if isinstance(x, (np.ndarray, np.generic)):
            return y is not None and bool(np.array_equal(*np.broadcast_arrays(x, y)))
        return bool(x == y)

    return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def assert_equal(a: Network, b: Network) -> None:
    assert list(a.nodes) == list(b.nodes)
    assert a.edges == b.edges
    assert a.shapes == b.shapes
    assert (a.dt, a.dialect) == (b.dt, b.dialect)
    assert not [name for name in a.nodes if not equal_nodes(a.nodes[name], b.nodes[name])]


def conv_net() -> Network:
    rng = np.random.default_rng(0)
    layers: list[tuple[str, Node]] = [
        ("conv", Conv(rng.normal(size=(4, 2, 3, 3)).astype(np.float32), None, (1, 1), (1, 1), (1, 1))),
        ("lif1", leaky(0.9, threshold=rng.uniform(0.5, 1, (4, 8, 8)).astype(np.float32))),
        ("pool", Pool("average", (2, 2), (2, 2), (0, 0))),
        ("scale", Scale(np.float32(0.5).reshape(()))),
        ("flat", Flatten(0, -1)),
        ("delay", Delay(np.array(2))),
        ("fc", Linear(rng.normal(size=(3, 64)).astype(np.float32), np.ones(3, np.float32))),
        ("lif2", leaky(0.8, alpha=0.5, reset="zero")),
    ]
    rec = Linear(rng.normal(size=(3, 3)).astype(np.float32))
    return sequential(layers, (2, 8, 8), 1e-3, "snntorch:reset_delay=0", recurrent=[("lif2", "rec", rec)])


def test_written_network_reads_back_equal_without_naming_anything(tmp_path: Path) -> None:
    network = conv_net()
    assert write_nir(network, tmp_path / "a.nir") == ()
    assert_equal(network, read_nir(tmp_path / "a.nir"))


@pytest.mark.parametrize(
    ("shape", "first"),
    [((5, 4), Linear(np.ones((3, 4), np.float32))), ((1, 4, 4), Scale(np.array(0.5, np.float32)))],
)
def test_leading_axes_of_a_sample_are_not_taken_for_batch_or_time(
    tmp_path: Path, shape: tuple[int, ...], first: Node
) -> None:
    network = sequential([("map", first), ("lif", leaky(0.9))], shape, 1e-3, "snntorch")
    write_nir(network, tmp_path / "a.nir")
    assert_equal(read_nir(tmp_path / "a.nir"), network)


def test_nir_package_reads_it_with_its_type_checks(tmp_path: Path) -> None:
    write_nir(conv_net(), tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    assert set(graph.nodes) == set(conv_net().nodes)
    lif = graph.nodes["lif2"]
    np.testing.assert_allclose(lif.tau_mem, 1e-3 / 0.2, rtol=1e-6)
    np.testing.assert_allclose(lif.r * 1e-3 / lif.tau_mem, 1.0, rtol=1e-6)
    np.testing.assert_allclose(lif.w_in * 1e-3 / lif.tau_syn, 1.0, rtol=1e-6)


def test_fields_alone_give_the_same_dynamics_under_the_dialect(tmp_path: Path) -> None:
    network = conv_net()
    write_nir(network, tmp_path / "a.nir")
    named = read_nir(tmp_path / "a.nir", "snntorch:reset=zero,reset_delay=0", dt=1e-3)
    assert equal_nodes(named.nodes["lif2"], network.nodes["lif2"])
    assert named.edges == network.edges


decays = st.floats(1 / 64, 63 / 64, width=32)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dialect=st.sampled_from(["snntorch", "norse", "sinabs", "spikingjelly", "rockpool", "nir", "spyx"]),
    b=decays,
    a=st.none() | decays,
    dt=st.sampled_from([1e-4, 1e-3, 1.0]),
    v_min=st.none() | st.just(-1.0),
    delay=st.integers(0, 3),
)
def test_any_neuron_survives_the_round_trip(
    tmp_path: Path, dialect: str, b: float, a: float | None, dt: float, v_min: float | None, delay: int
) -> None:
    node = leaky(b, alpha=a)
    floor = None if v_min is None else np.asarray(v_min, np.float32)
    node = replace(node, v_min=floor, bias=np.asarray(0.125, np.float32), max_spikes=3, comparison=">=")
    network = sequential([("n", node)], (2,), dt, dialect)
    network = infer(replace(network, edges=(Edge("input", "n", delay), Edge("n", "output")))).result
    write_nir(network, tmp_path / "a.nir")
    assert_equal(network, read_nir(tmp_path / "a.nir"))


def test_what_others_will_not_see_is_said(tmp_path: Path) -> None:
    odd = replace(leaky(0.9), current_gain=np.asarray(0.3, np.float32))
    network = sequential([("n", odd)], (2,), 1e-3, "sinabs")
    network = infer(replace(network, edges=(Edge("input", "n", 2), Edge("n", "output")))).result
    assert [f.code for f in write_nir(network, tmp_path / "a.nir")] == ["neuron-in-metadata", "delays-in-metadata"]


def test_scale_with_a_bias_reads_back_equal_and_others_are_said_to_refuse_it(tmp_path: Path) -> None:
    scale = Scale(np.array([[2.0], [3.0]], np.float32), np.array([[0.5], [0.0]], np.float32))
    network = sequential([("norm", scale), ("n", leaky(0.9))], (2, 3), 1e-3)
    (finding,) = write_nir(network, tmp_path / "a.nir")
    assert (finding.code, finding.where) == ("nir-extension", "norm")
    again = read_nir(tmp_path / "a.nir").nodes["norm"]
    assert isinstance(again, Scale)
    np.testing.assert_array_equal(again.factor, scale.factor)
    np.testing.assert_array_equal(again.bias, scale.bias)


def test_record_beside_changed_fields_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    write_nir(sequential([("n", leaky(0.9))], (2,), 1e-4), path)
    with h5py.File(path, "r+") as file:
        file["node/nodes/n/v_threshold"][...] = 2.0
    changed = read_nir(path)
    node = changed.nodes["n"]
    assert isinstance(node, Neuron)
    assert node.threshold == 2
    assert "own-record-ignored" in {f.code for f in changed.findings}


def test_bytes_do_not_depend_on_when_they_were_written(tmp_path: Path) -> None:
    for name in ("a.nir", "b.nir"):
        write_nir(conv_net(), tmp_path / name)
    assert (tmp_path / "a.nir").read_bytes() == (tmp_path / "b.nir").read_bytes()


def test_unwritable_place_is_one_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*there is no folder"):
        write_nir(conv_net(), tmp_path / "absent" / "a.nir")
    (tmp_path / "taken.nir").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*it is a folder"):
        write_nir(conv_net(), tmp_path / "taken.nir")
    assert [p.name for p in tmp_path.iterdir()] == ["taken.nir"]


def test_name_that_hdf5_would_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"'a/b'.*Rename"):
        write_nir(sequential([("a/b", leaky(0.9))], (2,), 1e-3), tmp_path / "a.nir")


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (Activation(), r"'node' is a Activation, .* Convert the network to a spiking one"),
        (SparseMap(csr_array(np.eye(4)), None, (4,)), r"'node' is a SparseMap, .* before fold"),
    ],
)
def test_what_nir_has_no_word_for_is_refused_with_a_way_out(tmp_path: Path, node: Node, reason: str) -> None:
    with pytest.raises(UnsupportedNodeError, match=reason):
        write_nir(sequential([("node", node)], (4,), 1e-3), tmp_path / "a.nir")
    assert not list(tmp_path.iterdir())
