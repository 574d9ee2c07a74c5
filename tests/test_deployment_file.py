import hashlib
import json
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import numpy as tensors
from scipy.sparse import csr_array

from spikeport.converters.chip_network import ChipNetwork, Conv2d, Dense, Population, Sparse, Synapses
from spikeport.converters.findings import Finding
from spikeport.converters.placement import Core, Placement, Slice, Usage
from spikeport.converters.quantization import PopulationError, QuantizationReport, SynapseError
from spikeport.deploy.codec import Codec
from spikeport.deploy.decode import Decoder
from spikeport.deploy.deployment import Deployment, Provenance
from spikeport.deploy.deployment_file import HEADER, MAGIC, VERSION, from_bytes, load, save, to_bytes
from spikeport.deploy.encode import Current
from spikeport.errors import DeploymentFileError
from spikeport.hw_profiles.profile import load_profile


def ints(*values):
    return np.array(values[0] if len(values) == 1 else values, dtype=np.int64)


def population(name, shape, model, **registers):
    zero = dict.fromkeys(("du", "dv", "reset", "bias_mant", "bias_exp", "u_init", "v_init"), ints(0))
    return Population(name, shape, model, **{**zero, "vth": ints(100), **registers})


def tiny() -> Deployment:
    """Every kind of connectivity, per-neuron registers and delays, a split group, an integrator output."""
    populations = {
        "in": population("in", (1, 4, 4), "input"),
        "conv/ä": population("conv/ä", (2, 3, 3), "lif", dv=ints(4096), v_min=ints(-70000), refractory=2),
        "hid": population("hid", (5,), "lif_subtract", du=ints(-1, 0, 9, 4095, 7), offset=np.arange(5) / 3, scale=0.1),
        "sd": population("sd", (1,), "sigma_delta", spike_exp=6, state_exp=3, rectified=False),
        "out": population("out", (3,), "integrator", bias_mant=ints(-4096, 0, 4095), bias_exp=ints(0, 7, 1), shift=2),
    }
    rng = np.random.default_rng(0)
    kernel = 2 * rng.integers(-128, 128, (2, 1, 2, 2))
    sparse = csr_array(([2, 0, -254], ([0, 1, 4], [17, 0, 3])), shape=(5, 18), dtype=np.int64)
    groups = [
        Synapses("a", "in", "conv/ä", Conv2d(kernel, (1, 4, 4), (2, 3, 3), (1, 1), (0, 0), (1, 1), 1), weight_exp=-8),
        Synapses("b/fine", "conv/ä", "hid", Sparse(sparse), delay=ints(list(range(18)))),
        Synapses("c", "hid", "out", Dense(rng.integers(0, 256, (3, 5))), sign_mode="excitatory", graded=True),
        Synapses("e", "hid", "sd", Dense(2 * rng.integers(-15, 1, (1, 5))), graded=True),
        Synapses("d", "hid", "hid", Dense(16 * rng.integers(-15, 1, (5, 5))), 7, 4, "inhibitory", 1),
    ]
    network = ChipNetwork(populations, {s.name: s for s in groups}, ("in",), ("out",), 1e-4)
    cores = (
        Core((Slice("conv/ä", 0, 18), Slice("hid", 0, 2)), {"neurons": Usage(20, 1024, "compartments")}),
        Core((Slice("hid", 2, 5), Slice("out", 0, 3), Slice("sd", 0, 1)), {}),
    )
    return Deployment(
        network=network,
        placement=Placement(cores, ((0, 0, 0, 0), (1, 7, 3, 2)), {"hid": "neurons"}),
        profile=load_profile("loihi2"),
        codec=Codec(Current(steps=16, high=0.1 + 0.2), Decoder("membrane")),
        provenance=Provenance(
            "ab" * 32, "snntorch:dt=0.0001", "", {"search": 8, "seed": None, "ok": True}, {"numpy": "2"}
        ),
        findings=(Finding("decay-rounded", "warning", "hid", "by 1e-3"),),
        quantization=QuantizationReport(
            {"c": SynapseError(("c",), 1 / 3, 0.0, (0,), "mixed")},
            {"hid": PopulationError(12.5, 1e-17, 0.0, 0.1, 0.0, 0.5, 0.25, 1.0)},
        ),
    )


def assert_same(a, b, path="deployment"):
    """Field by field, types included."""
    assert type(a) is type(b), path
    if isinstance(a, np.ndarray):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), path
        assert np.array_equal(a, b), path
    elif isinstance(a, csr_array):
        assert a.shape == b.shape, path
        for part in ("data", "indices", "indptr"):
            assert_same(getattr(a, part), getattr(b, part), f"{path}.{part}")
    elif is_dataclass(a):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name), f"{path}.{field.name}")
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            assert_same(a[key], b[key], f"{path}[{key}]")
    else:
        assert a == b, path


def sealed(body: bytes) -> bytes:
    """A file with a valid checksum around any body (version included)."""
    return MAGIC + hashlib.sha256(body).digest() + body


def edited(change, arrays=None) -> bytes:
    """The tiny deployment's file with its manifest changed and a valid checksum."""
    body = to_bytes(tiny())[HEADER:]
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    manifest = json.loads(header["__metadata__"]["manifest"])
    change(manifest)
    stored = tensors.load(body) | (arrays or {})
    packed = tensors.save(stored, metadata={"manifest": json.dumps(manifest)})
    return sealed(VERSION.to_bytes(4, "little") + packed)


def test_what_is_saved_is_what_is_loaded(tmp_path):
    deployment = tiny()
    save(deployment, tmp_path / "tiny.spk")
    assert_same(load(tmp_path / "tiny.spk"), deployment)


def test_registers_given_as_numpy_scalars_come_back_as_arrays():
    deployment = tiny()
    scalars = replace(deployment.network.populations["in"], vth=np.int64(7), v_min=np.int64(-9), offset=np.float64(0.1))
    network = replace(deployment.network, populations={**deployment.network.populations, "in": scalars})
    loaded = from_bytes(to_bytes(replace(deployment, network=network))).network.populations["in"]
    assert (loaded.vth.shape, loaded.vth, loaded.v_min, loaded.offset) == ((), 7, -9, 0.1)


def test_same_deployment_gives_the_same_bytes_also_after_loading():
    content = to_bytes(tiny())
    assert to_bytes(tiny()) == content
    assert to_bytes(from_bytes(content)) == content


def test_integers_are_stored_in_the_smallest_type_that_holds_them():
    stored = tensors.load(to_bytes(tiny())[HEADER:])
    weights = {key: a.dtype.name for key, a in stored.items() if key.endswith("weight")}
    assert set(weights.values()) == {"int8", "int16", "uint8"}
    assert stored["deployment/network/synapses/b/fine/connectivity/matrix/indices"].dtype == np.int8


def test_shipped_profiles_survive():
    for name in ("loihi1", "loihi1-sanafe", "loihi2"):
        deployment = replace(tiny(), profile=load_profile(name))
        content = to_bytes(replace(deployment, network=shorten_delays(deployment.network)))
        assert from_bytes(content).profile == load_profile(name)


def shorten_delays(network):
    synapses = {name: replace(s, delay=0) for name, s in network.synapses.items()}
    return replace(network, synapses=synapses)


@pytest.mark.parametrize("position", [0, 8, 39, 40, 44, 60, 1000, -1])
def test_one_flipped_bit_is_noticed_anywhere(position):
    content = bytearray(to_bytes(tiny()))
    content[position] ^= 1
    with pytest.raises(DeploymentFileError, match=r"is damaged \(checksum\)|is not a spikeport deployment"):
        from_bytes(bytes(content))


@pytest.mark.parametrize("length", [0, 4, 8, 30, 43, 44, 500])
def test_a_cut_file_is_noticed(length):
    with pytest.raises(DeploymentFileError, match=r"damaged|not a spikeport deployment"):
        from_bytes(to_bytes(tiny())[:length])


def test_newer_version_says_which_versions():
    body = (VERSION + 1).to_bytes(4, "little") + b"whatever a later version holds"
    with pytest.raises(DeploymentFileError, match="has format version 3, this spikeport reads up to version 2"):
        from_bytes(sealed(body))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 8,
        (2**62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (40).to_bytes(8, "little") + b'{"__metadata__":{"manifest":"[[[[[[[[["}}',
        (30000).to_bytes(8, "little") + b"[" * 30000,
    ],
)
def test_nonsense_with_a_valid_checksum_is_refused(body):
    with pytest.raises(DeploymentFileError, match="not a usable deployment"):
        from_bytes(sealed(VERSION.to_bytes(4, "little") + body))


def put(*path_and_value):
    *path, value = path_and_value

    def change(manifest):
        for step in path[:-1]:
            manifest = dict(manifest)[step] if isinstance(step, str) and isinstance(manifest, list) else manifest[step]
        manifest[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("network", "dt", "fast"), "network/dt: str 'fast' is no float"),
        (put("network", "dt", -1.0), "dt = -1.0 s must be above 0"),
        (put("network", "outputs", ["nobody"]), "'nobody'"),
        (put("network", "populations", "hid", "shape", [6]), "du has shape"),
        (put("network", "populations", "hid", "shape", [2**40]), "more than 2147483648"),
        (put("network", "populations", "hid", "model", "gru"), "'gru' is none of"),
        (put("network", "populations", "hid", "model", "input"), "inputs are"),
        (put("network", "populations", "hid", "name", "hit"), "is called 'hit' inside"),
        (put("network", "populations", "hid", "max_spikes", True), "bool 'True' is no int"),
        (put("network", "populations", "hid", "du", {"array": "nowhere"}), "its array is missing"),
        (put("network", "populations", "hid", "scale", float("nan")), "scale = nan"),
        (put("network", "synapses", "c", "source", "conv/ä"), "weights of shape"),
        (put("network", "synapses", "c", "target", "in"), "ends at the input"),
        (put("network", "synapses", "c", "sign_mode", "mixed"), "must be multiples of 2"),
        (put("network", "synapses", "c", "sign_mode", "inhibitory"), "must lie in -255 .. 0"),
        (put("network", "synapses", "c", "num_weight_bits", 7), "must be multiples of 2"),
        (put("network", "synapses", "c", "weight_exp", 8), "weight_exp = 8 must lie in -8 .. 7"),
        (put("network", "synapses", "c", "delay", 64), "delay = 64 .. 64 must lie in 0 .. 63"),
        (put("network", "synapses", "a", "connectivity", "stride", [2, 2]), "its output must have 2"),
        (put("network", "synapses", "a", "connectivity", "stride", [0, 1]), "must be positive"),
        (put("network", "synapses", "a", "connectivity", "kind", "pickle"), "is none of Dense, Sparse, Conv2d"),
        (put("network", "synapses", "b/fine", "connectivity", "matrix", "shape", [5, 2]), "column|indices"),
        (put("network", "populations", "sd", "state_exp", 8), "state_exp = 8 must lie in 0 .. 7"),
        (put("network", "populations", "sd", "v_init", 1), "start from zero"),
        (put("network", "populations", "hid", "hold_init", -1), "hold_init = -1 must lie in 0"),
        (put("placement", "seats", [[0, 0, 0, 0]]), "must seat every core"),
        (put("placement", "seats", [[0, 0, 0, 0], [0, 0, 0, 0]]), "two cores share a seat"),
        (put("placement", "cores", 1, "slices", 0, "stop", 4), "each neuron of hid once"),
        (put("codec", "encoder", {"kind": "pickle"}), "'pickle' does not exist"),
        (put("profile", "{}"), "profile is not valid"),
        (put("findings", 0, "severity", "fatal"), "'fatal' is none of"),
        (put("extra", 1), "a Deployment has"),
    ],
)
def test_crafted_files_are_refused_with_the_place(change, message):
    with pytest.raises(DeploymentFileError, match=message):
        from_bytes(edited(change), "crafted.spk")


@pytest.mark.parametrize("register", ["du", "dv", "vth", "bias_mant", "bias_exp", "u_init", "v_min"])
def test_registers_out_of_range_are_refused(register):
    arrays = {f"deployment/network/populations/conv/ä/{register}": ints(1 << 25)}
    with pytest.raises(DeploymentFileError, match=f"conv/ä: {register} = 33554432"):
        from_bytes(edited(lambda manifest: None, arrays))


def test_a_register_that_an_older_file_lacks_has_its_default():
    def younger(manifest):
        for _, entry in manifest["network"]["populations"]:
            del entry["rectified"]

    assert from_bytes(edited(younger)).network.populations["sd"].rectified


def test_float_weights_are_refused():
    arrays = {"deployment/network/synapses/c/connectivity/weight": np.ones((3, 5))}
    with pytest.raises(DeploymentFileError, match="an array of float64 instead of int64"):
        from_bytes(edited(lambda manifest: None, arrays))


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(DeploymentFileError, match="does not exist"):
        load(tmp_path / "no.spk")
    with pytest.raises(DeploymentFileError, match="is not a file"):
        load(Path(tmp_path))
