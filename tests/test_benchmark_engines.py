"""The engine benchmark's networks are SANA-FE's own, and its table says who is equal and who is not."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikeport.deploy.backends.simulator.engines import run_on

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def module(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(path.parent))
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None
    assert found.loader is not None
    loaded = importlib.util.module_from_spec(found)
    monkeypatch.setitem(sys.modules, path.stem, loaded)  # dataclasses look their module up
    found.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize(
    ("name", "make", "steps"), [("mlp:T=25:B=2", "make_mlp", 25), ("recurrent:N=1024:T=20", "", 20)]
)
def test_networks_spike_as_often_as_sana_fe_says(
    name: str, make: str, steps: int, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = module(shared_data.parent / "bench" / "sanafe_nets.py", monkeypatch)
    case = module(BENCHMARKS / "cases.py", monkeypatch).build(name, shared_data)
    run = run_on("events", case.network, case.inputs, case.placement)
    fired = sum(int(p.spikes[0].sum()) for p in run.activity.populations.values())
    if make:
        expected = theirs.ref_mlp(theirs.make_mlp(steps), steps)[0]
    else:
        expected = theirs.ref_rec(theirs.make_rec(1024, steps), steps)[0]
    assert fired == expected


def test_table_says_equal_differ_and_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    table = module(BENCHMARKS / "table.py", monkeypatch)
    ours = {"wall_s": [1e-3, 2e-3, 4e-3], "cpu_s": [1e-3, 2e-3, 4e-3], "samples": 2, "peak_mb": 9.0, "synops": 6e6}
    ours |= {"spikes": {"in": 3, "out": 5}, "trains": {"out": ["a", "b"]}, "operations": 8e6, "weight_bytes": 3e6}
    slow = {"wall_s": [2.0], "cpu_s": [1.0], "samples": 2, "peak_mb": 9.0}
    rows = [
        table.Row("c", "reference", 0, {**ours, **slow}),
        table.Row("c", "auto", 0, ours),
        table.Row(
            "c", "dense", 0, {**ours, "trains": {"out": ["a", "c"]}, "engines": {"out": "dense (int8 products)"}}
        ),
        table.Row("c", "lava", 0, {**slow, "trains": {"out": ["a"]}}),
        table.Row("c", "sanafe", 0, {**slow, "fired": 8}),
        table.Row("c", "snntorch", 0, {**slow, "spikes": {"out": 4.0}}),
        table.Row("c", "brian2loihi", 0, {"failed": "not installed: no such package"}),
    ]
    machine = [{"threads": 1, "int8 to int32": 1.2e10, "float32 product": 8e9, "int8 product": 3.2e10, "copy": 3e10}]
    found = dict(line.split(" | ", 1) for line in table.markdown(rows, machine, {}).splitlines() if " | " in line)
    assert found["| auto"].endswith(
        "| 6 | 50.0% (int8 to int32), 10.0% (copy) | 9 | equal, train by train (2 of 2 samples) |"
    )
    assert found["| dense"].endswith("| 100.0% (float32 product), 25.0% (int8 product) | 9 | DIFFER |")
    assert found["| lava"].startswith(
        "1e+03 / 1e+03 / 1e+03 | 500 / 500 / 500 | 1e+03 / 1e+03 / 1e+03 | 500 / 500 / 500"
    )
    assert found["| lava"].endswith("| equal, train by train (1 of 2 samples) |")
    assert found["| sanafe"].endswith("equal in number (8) |")
    assert found["| snntorch"].endswith("4 instead of 5 |")
    assert found["| brian2loihi"].startswith("not installed: no such package")


def test_inputs_of_a_batch_begin_with_the_single_sample(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = module(BENCHMARKS / "cases.py", monkeypatch)
    one, many = (cases.build(f"mlp:T=25:B={b}", shared_data).inputs["input"] for b in (1, 3))
    assert np.array_equal(one[0], many[0])
    assert not np.array_equal(many[1], many[2])
