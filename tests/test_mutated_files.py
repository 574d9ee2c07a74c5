"""Damaged ONNX, NIR and lava-dl files through ``spikeport inspect``: one message each, bounded memory and time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import hdf5_mutants
import net_files
import numpy as np
import onnx_mutants
import pytest
from onnx_models import built, exported

from spikeport.converters.build import leaky, sequential
from spikeport.converters.network import Conv, Flatten, Linear, Pool
from spikeport.converters.write.nir import write_nir

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded as Linux does it")

WORKER = Path(__file__).with_name("mutation_worker.py")
MEMORY = 1 << 30
SECONDS = 60


def nir_base(folder: Path) -> bytes:
    rng = np.random.default_rng(0)
    layers = [
        ("conv", Conv(rng.normal(0, 1, (3, 2, 3, 3)).astype(np.float32), None, (1, 1), (1, 1), (1, 1))),
        ("lif1", leaky(0.9)),
        ("pool", Pool("average", (2, 2), (2, 2), (0, 0))),
        ("flat", Flatten(0, -1)),
        ("fc", Linear(rng.normal(0, 1, (4, 27)).astype(np.float32), np.ones(4, np.float32))),
        ("lif2", leaky(0.8, alpha=0.5)),
    ]
    loop = [("lif2", "rec", Linear(rng.normal(0, 1, (4, 4)).astype(np.float32)))]
    write_nir(sequential(layers, (2, 6, 6), 1e-3, "snntorch:reset=zero,reset_delay=0", loop), folder / "base.nir")
    return (folder / "base.nir").read_bytes()


def net_base(folder: Path) -> bytes:
    rng = np.random.default_rng(0)
    kernel, weight = rng.integers(-20, 20, (3, 2, 3, 3)) * 2, rng.integers(-20, 20, (4, 48)) * 2
    layers = [
        net_files.plain_input(2, 6, 6),
        net_files.conv(kernel, (3, 4, 4), delay=np.array(2)),
        {"type": "flatten", "shape": np.array([48])},
        net_files.dense(weight, bias=np.arange(4)),
    ]
    return net_files.write_net(folder / "base.net", layers).read_bytes()


def onnx_base(folder: Path) -> bytes:
    model, x = built("lenet")
    return exported(model, x[:1], folder / "base.onnx", dynamo=False).read_bytes()


BASES = {"nir": nir_base, "net": net_base, "onnx": onnx_base}


def mutants(kind: str, data: bytes, count: int) -> Iterator[tuple[str, bytes]]:
    return (onnx_mutants if kind == "onnx" else hdf5_mutants).mutants(data, count, seed=3)


Result = tuple[str, object, str]
"""What was changed, the exit code, and what was said on stderr."""


def inspected(folder: Path, bases: Mapping[str, bytes], count: int) -> dict[str, list[Result]]:
    """Mutants of each format, all in one bounded process; the sound file goes first."""
    changes: dict[str, str] = {}
    for kind, data in bases.items():
        for k, (change, damaged) in enumerate([("nothing", data), *mutants(kind, data, count)]):
            changes[f"m{k}.{kind}"] = change
            (folder / f"m{k}.{kind}").write_bytes(damaged)
    command = [sys.executable, str(WORKER), str(MEMORY), str(SECONDS), *changes]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["file"] for line in lines] == list(changes)
    found: dict[str, list[Result]] = {kind: [] for kind in bases}
    for line in lines:
        found[line["file"].rpartition(".")[2]].append((changes[line["file"]], line["code"], line["said"]))
    return found


def check(results: list[Result], least_refused: float) -> None:
    (_, sound, said), *damaged = results
    assert sound == 0, said
    for change, code, said in damaged:
        words = " ".join(said.split())
        assert code in (0, 2, 3), (change, code, words[-300:])
        for sign in ("Traceback", "report this", "not enough memory", "Error:"):
            assert sign not in said, (change, words[-300:])
        messages = [line for line in said.splitlines() if line.startswith("error:")]
        assert len(messages) == (code != 0), (change, words[-300:])
        assert code == 0 or 20 < len(messages[0]) < 12_000
    assert sum(code != 0 for _, code, _ in damaged) >= least_refused * len(damaged)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Result]]:
    folder = tmp_path_factory.mktemp("mutants")
    return inspected(folder, {kind: base(folder) for kind, base in BASES.items()}, 24)


@pytest.mark.parametrize("kind", BASES)
def test_damaged_files_get_one_clear_message_each(kind: str, few: dict[str, list[Result]]) -> None:
    check(few[kind], least_refused=0.4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", BASES)
def test_a_hundred_damaged_files_of_each_format(kind: str, tmp_path: Path) -> None:
    check(inspected(tmp_path, {kind: BASES[kind](tmp_path)}, 100)[kind], least_refused=0.4)


PUBLISHED = {
    "nir": "nir_paper/03_rnn/braille_noDelay_bias_zero.nir",
    "net": "lava_dl/tiny.net",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PUBLISHED)
def test_a_hundred_damaged_versions_of_published_networks(kind: str, tmp_path: Path, shared_data: Path) -> None:
    check(inspected(tmp_path, {kind: (shared_data / PUBLISHED[kind]).read_bytes()}, 100)[kind], least_refused=0.4)
