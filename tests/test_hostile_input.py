"""Malformed and hostile input through the real command line.

Each case ends in one message on stderr that names what is wrong, the documented exit code, no traceback, and no file
where the result would have been.
"""

import hashlib
import io
import json
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from spikeport.deploy.cli.main import main
from spikeport.deploy.deployment_file import MAGIC, VERSION

DIALECT = "snntorch:reset=zero,reset_delay=0,dt=1e-3"
ONES = np.ones(3, dtype=np.float32)


def lif(**changes):
    fields = {"tau": 0.01 * ONES, "r": 10 * ONES, "v_leak": 0 * ONES, "v_threshold": ONES, "v_reset": 0 * ONES}
    return {"type": "LIF", **fields, **changes}


def linear(weight):
    return {"type": "Linear", "weight": np.asarray(weight, dtype=np.float32)}


WEIGHT = np.random.default_rng(1).normal(0.2, 0.5, (3, 8)).astype(np.float32)
NODES = {
    "in": {"type": "Input", "shape": np.array([8])},
    "fc": linear(WEIGHT),
    "lif": lif(),
    "out": {"type": "Output", "shape": np.array([3])},
}
EDGES = [("in", "fc"), ("fc", "lif"), ("lif", "out")]


def write_nir(path, nodes=NODES, edges=EDGES):
    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
        file["node/type"] = "NIRGraph"
        file.create_group("node/nodes")
        for name, fields in nodes.items():
            for key, value in fields.items():
                file[f"node/nodes/{name}/{key}"] = value
        file.create_dataset("node/edges", data=np.array(edges, dtype=h5py.string_dtype()).reshape(-1, 2))


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A model, data and a deployment that work."""
    folder = tmp_path_factory.mktemp("good")
    write_nir(folder / "model.nir")
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", input=rng.integers(0, 2, (4, 20, 8), dtype=np.uint8), label=rng.integers(0, 3, 4))
    arguments = [
        "compile",
        "model.nir",
        "--target",
        "loihi1",
        "--data",
        "data.npz",
        "-o",
        "model.spk",
        "--dialect",
        DIALECT,
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(arguments) == 0
    return folder


@pytest.fixture
def folder(good, tmp_path, monkeypatch):
    """A copy of the good files as the current folder."""
    for path in good.iterdir():
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, line, *parts, code=2):
    """Run ``line``; check the exit code, the message and that no file was added."""
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    assert main(line.split()) == code
    said = capsys.readouterr()
    message = " ".join(said.err.split())
    assert "Traceback" not in said.err
    assert "report this" not in said.err
    assert message.lower().count("error") >= 1
    for part in parts:
        assert part in message
    assert sorted(Path().rglob("*")) == before
    assert said.out == ""


def without(name):
    return {key: node for key, node in NODES.items() if key != name}


def changed(name, node):
    return {**NODES, name: node}


GRAPHS = {
    "nan weight": (changed("fc", linear(np.where(WEIGHT > 0.5, np.nan, WEIGHT))), EDGES, "fc"),
    "infinite weight": (changed("fc", linear(np.where(WEIGHT > 0.5, np.inf, WEIGHT))), EDGES, "fc"),
    "zero tau": (changed("lif", lif(tau=0 * ONES)), EDGES, "lif"),
    "negative tau": (changed("lif", lif(tau=-0.01 * ONES)), EDGES, "lif"),
    "nan threshold": (changed("lif", lif(v_threshold=np.nan * ONES)), EDGES, "lif"),
    "tau below dt": (changed("lif", lif(tau=1e-5 * ONES)), EDGES, "lif"),
    "tau of another size": (changed("lif", lif(tau=0.01 * np.ones(7))), EDGES, "lif"),
    "tau missing": (changed("lif", {k: v for k, v in lif().items() if k != "tau"}), EDGES, "lif"),
    "tau is text": (changed("lif", lif(tau="slow")), EDGES, "lif"),
    "weight of other size": (changed("fc", linear(WEIGHT[:, :5])), EDGES, "fc"),
    "weight has three axes": (changed("fc", linear(WEIGHT[None])), EDGES, "fc"),
    "empty weight": (changed("fc", linear(np.zeros((0, 8)))), EDGES, "fc"),
    "edge to a missing node": (without("lif"), EDGES, "lif"),
    "duplicate edge": (NODES, [*EDGES, EDGES[1]], "lif"),
    "cycle without a delay": (
        changed("fc2", linear(np.eye(8, 3))),
        [*EDGES[:1], ("fc", "fc2"), ("fc2", "fc"), *EDGES[1:]],
        "fc",
    ),
    "unknown node type": (changed("lif", {"type": "Transformer"}), EDGES, "Transformer"),
    "no type": (changed("lif", {"tau": ONES}), EDGES, "lif"),
    "no nodes": ({}, [], ""),
    "no edges": (NODES, [], ""),
    "negative shape": (changed("in", {"type": "Input", "shape": np.array([-8])}), EDGES, "in"),
    "absurd shape": (changed("in", {"type": "Input", "shape": np.array([2**40])}), EDGES, "in"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graph_without_a_meaning(folder, capsys, case):
    nodes, edges, part = GRAPHS[case]
    write_nir(folder / "bad.nir", nodes, edges)
    refused(capsys, f"inspect bad.nir --dialect {DIALECT}", part)
    refused(capsys, f"compile bad.nir --target loihi1 --dialect {DIALECT} -o out.spk", part)


def cut(content, share):
    return content[: int(len(content) * share)]


def flipped(content, share):
    position = int(len(content) * share)
    return content[:position] + bytes([content[position] ^ 0x10]) + content[position + 1 :]


BROKEN = {
    "empty": b"",
    "text": b"not a model, not data, not anything\n" * 10,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "elf": b"\x7fELF" + bytes(100),
    "pickle": b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "hdf5 of nothing": b"\x89HDF\r\n\x1a\n" + bytes(500),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(
    "line", ["inspect bad.nir --dt 1e-3", "inspect bad.spk", "run model.spk --data bad.npz --save o.npz"]
)
def test_files_of_another_kind(folder, capsys, kind, line):
    for suffix in ("nir", "spk", "npz"):
        (folder / f"bad.{suffix}").write_bytes(BROKEN[kind])
    refused(capsys, line, "bad.")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.999])
def test_truncated_files(folder, capsys, share):
    for suffix, line in LINES.items():
        source = "data.npz" if suffix == "npz" else f"model.{suffix}"
        (folder / f"bad.{suffix}").write_bytes(cut((folder / source).read_bytes(), share))
        refused(capsys, line, "bad.")


LINES = {
    "nir": f"inspect bad.nir --dialect {DIALECT}",
    "spk": "run bad.spk --data data.npz --save out.npz",
    "npz": "run model.spk --data bad.npz --save out.npz",
}


@pytest.mark.parametrize("share", np.linspace(0.0, 0.99, 12))
def test_a_flipped_bit_in_a_deployment_is_always_noticed(folder, capsys, share):
    (folder / "bad.spk").write_bytes(flipped((folder / "model.spk").read_bytes(), share))
    refused(capsys, LINES["spk"], "bad.spk")


@pytest.mark.parametrize("suffix", ["nir", "npz"])
def test_a_flipped_bit_in_a_model_or_in_data_is_refused_or_harmless(folder, capsys, suffix):
    content = (folder / ("data.npz" if suffix == "npz" else "model.nir")).read_bytes()
    for share in np.linspace(0.0, 0.99, 60):
        (folder / f"bad.{suffix}").write_bytes(flipped(content, share))
        code = main(LINES[suffix].split())
        said = capsys.readouterr().err
        assert code in (0, 2), said
        assert "report this" not in said
        assert (folder / "out.npz").exists() == (code == 0 and suffix == "npz")
        (folder / "out.npz").unlink(missing_ok=True)


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy_header(shape):
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


SPIKES = np.ones((4, 20, 8), dtype=np.uint8)
FILES = {
    "nan": (npz(input=np.full((4, 20, 8), np.nan)), "NaN"),
    "infinite": (npz(input=np.full((4, 20, 8), np.inf)), "infinite"),
    "negative": (npz(input=-SPIKES.astype(int)), "negative"),
    "fractions": (npz(input=0.5 * SPIKES), "fractions"),
    "too many spikes": (npz(input=9 * SPIKES), "up to 9 spikes in one step"),
    "wrong shape": (npz(input=SPIKES[:, :, :7]), "(4, 20, 7)"),
    "no time axis": (npz(input=SPIKES[:, 0]), "(4, 8)"),
    "no samples": (npz(input=SPIKES[:0]), "(0, 20, 8)"),
    "no steps": (npz(input=SPIKES[:, :0]), "(4, 0, 8)"),
    "no arrays": (zipped(), "no input array"),
    "objects": (npz(input=np.array([[{"a": 1}]], dtype=object)), "Python objects"),
    "text": (npz(input=np.array([["a"]])), "takes numbers"),
    "complex": (npz(input=SPIKES * 1j), "takes numbers"),
    "few labels": (npz(input=SPIKES, label=np.arange(3)), "3 labels for 4 samples"),
    "object labels": (npz(input=SPIKES, label=np.array([None] * 4)), "Python objects"),
    "negative labels": (npz(input=SPIKES, label=-np.arange(4)), "labels must lie"),
    "absurd size": (zipped(input=npy_header((2**50,)) + bytes(8)), "declares shape"),
    "negative size": (zipped(input=npy_header((-4, 20)) + bytes(8)), "declares shape"),
    "header is code": (zipped(input=npy_header("__import__('os').abort()") + bytes(8)), "input"),
    "events without offsets": (npz(events=np.zeros(3, dtype="u1,u1,u1,u4")), "offsets"),
}


@pytest.mark.parametrize("case", FILES)
def test_data_that_cannot_be_run(folder, capsys, case):
    content, part = FILES[case]
    (folder / "bad.npz").write_bytes(content)
    refused(capsys, "run model.spk --data bad.npz --save out.npz --json out.json", part)
    refused(capsys, "estimate model.spk --data bad.npz --json out.json", part)


def test_zip_bomb_is_not_unpacked(folder, capsys, monkeypatch):
    monkeypatch.setattr("spikeport.models.data.npz.MAX_BYTES", 1 << 20)
    monkeypatch.setattr("numpy.lib.format.read_array", lambda *_, **__: pytest.fail("it was unpacked"))
    bomb = zipped(input=npy_header((1 << 10, 1 << 10)) + bytes(8 << 20))
    assert len(bomb) < 1 << 14
    (folder / "bad.npz").write_bytes(bomb)
    refused(capsys, "run model.spk --data bad.npz --save out.npz", "8388608 bytes, more than the limit")


def sealed(version, rest):
    body = version.to_bytes(4, "little") + rest
    return MAGIC + hashlib.sha256(body).digest() + body


def safetensors_header(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


DEPLOYMENTS = {
    "newer version": (sealed(VERSION + 1, b"later"), f"version {VERSION + 1}"),
    "version zero": (sealed(0, b""), "version 0"),
    "no body": (sealed(1, b""), "not a usable deployment"),
    "absurd header": (sealed(1, (2**63).to_bytes(8, "little")), "not a usable deployment"),
    "no manifest": (sealed(1, safetensors_header({})), "not a usable deployment"),
    "manifest is a list": (sealed(1, safetensors_header({"__metadata__": {"manifest": "[]"}})), "no Deployment"),
    "manifest is deep": (sealed(1, safetensors_header({"__metadata__": {"manifest": "[" * 10**5}})), "not a usable"),
    "tensor beyond the end": (
        sealed(1, safetensors_header({"a": {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]},
                                      "__metadata__": {"manifest": "{}"}})), "not a usable"),
}  # fmt: skip


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_crafted_deployments(folder, capsys, case):
    content, part = DEPLOYMENTS[case]
    (folder / "bad.spk").write_bytes(content)
    refused(capsys, "run bad.spk --data data.npz --save out.npz", part)


OPTIONS = {
    "missing model": ("inspect nowhere.nir", "does not exist"),
    "model is a folder": ("inspect .", "not a file"),
    "missing deployment": ("run nowhere.spk --data data.npz", "does not exist"),
    "missing data": ("run model.spk --data nowhere.npz", "nowhere.npz"),
    "data is a folder": ("run model.spk --data .", "cannot be read"),
    "unknown profile": ("compile model.nir --target loihi9 -o out.spk", "loihi9"),
    "profile is no toml": ("compile model.nir --target data.npz -o out.spk", "data.npz"),
    "missing profile file": ("compile model.nir --target mine.toml -o out.spk", "mine.toml"),
    "unknown profile shown": ("profiles show loihi9", "loihi9"),
    "unknown price list": ("estimate model.spk --data data.npz --profile tpu", "tpu"),
    "unknown lender": ("estimate model.spk --data data.npz --assume-prices tpu", "tpu"),
    "rate of zero": ("estimate model.spk --data data.npz --rate 0", "--rate 0"),
    "rate is nan": ("estimate model.spk --data data.npz --rate nan", "--rate nan"),
    "unknown dialect": ("inspect model.nir --dialect pynn", "pynn"),
    "unknown dialect key": ("inspect model.nir --dialect snntorch:rest=zero", "rest"),
    "dialect value": ("inspect model.nir --dialect snntorch:reset=never", "never"),
    "dt of zero": ("inspect model.nir --dt 0", "dt"),
    "negative dt": ("inspect model.nir --dt=-1e-3", "dt"),
    "dt is nan": ("inspect model.nir --dt nan", "dt"),
    "unknown encoder": ("run model.nir --backend float --data data.npz --encode morse", "morse"),
    "encoder option": ("run model.nir --backend float --data data.npz --encode rate:step=3", "step"),
    "absurd steps": ("run model.nir --backend float --data data.npz --encode rate:steps=99999999999", "steps"),
    "unknown decoder": ("run model.nir --backend float --data data.npz --decode vote", "vote"),
    "unknown backend": ("run model.spk --data data.npz --backend fpga", "fpga"),
    "float needs a model": ("run model.spk --data data.npz --backend float", "compiled deployment"),
    "chip needs a deployment": ("run model.nir --data data.npz", "compile it first"),
    "dialect for a deployment": ("run model.spk --data data.npz --dialect snntorch", "--dialect"),
    "unknown layer": ("run model.spk --data data.npz --record lif,conv9", "conv9"),
    "unknown float layer": (
        f"run model.nir --backend float --dialect {DIALECT} --data data.npz --record conv9",
        "conv9",
    ),
    "unknown split": ("run model.spk --data data.npz --split validation", "validation"),
    "sensor": ("run model.spk --data data.npz --sensor 34x34", "2x34x34"),
    "bin of zero": ("run model.spk --data data.npz --bin 0", "above 0"),
    "negative samples": ("run model.spk --data data.npz --samples -3", "--samples"),
    "no such option": ("run model.spk --data data.npz --fast", "--fast"),
    "no such command": ("simulate model.spk", "simulate"),
    "option missing": ("run model.spk", "--data"),
    "split weights": ("compile model.nir --target loihi1 -o out.spk --split-weights maybe", "maybe"),
    "output in no folder": (
        f"compile model.nir --target loihi1 --dialect {DIALECT} -o no/where.spk",
        "there is no folder no",
    ),
    "output below a file": (
        f"compile model.nir --target loihi1 --dialect {DIALECT} -o data.npz/x.spk",
        "no folder data.npz",
    ),
    "output is a folder": (f"compile model.nir --target loihi1 --dialect {DIALECT} -o .", "is a folder"),
    "json below a file": ("run model.spk --data data.npz --json data.npz/x.json", "no folder data.npz"),
    "save is a folder": ("run model.spk --data data.npz --save .", "is a folder"),
    "demo below a file": ("demo -o data.npz/demo", "cannot make the folder"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_make_no_sense(folder, capsys, case):
    line, part = OPTIONS[case]
    refused(capsys, line, part)


def test_graded_input_does_not_fit_a_chip_with_plain_spikes(folder, capsys):
    line = f"compile model.nir --target loihi1 --dialect {DIALECT} --encode graded:levels=100 -o out.spk"
    refused(capsys, line, "payloads up to 100", code=3)


def test_an_existing_result_survives_a_failed_run(folder):
    (folder / "out.npz").write_bytes(b"precious")
    (folder / "bad.npz").write_bytes(npz(input=SPIKES[:, :, :7]))
    assert main(["run", "model.spk", "--data", "bad.npz", "--save", "out.npz"]) == 2
    assert (folder / "out.npz").read_bytes() == b"precious"
