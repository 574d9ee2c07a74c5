"""The examples in docs/ are code that runs."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeport import errors
from spikeport.converters.read.dialects import DIALECTS, KEYS
from spikeport.converters.read.onnx.operators import REFUSED, RULES
from spikeport.deploy.cli.main import EXIT_CODES, main

DOCS = Path(__file__).resolve().parents[1] / "docs"


def run_examples(page: str) -> dict[str, Any]:
    """Every Python block of a page, executed in order in one namespace."""
    names: dict[str, Any] = {"np": np, "pytest": pytest, "Path": Path, "__name__": page}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.M | re.S):
        exec(compile(block, page, "exec"), names)
    return names


def test_example_pass_passes_its_own_test() -> None:
    run_examples("how-to-write-a-pass.md")["test_small_weights_become_zero_and_are_counted"]()


def test_example_reader_passes_its_own_test(tmp_path: Path) -> None:
    run_examples("how-to-add-a-reader.md")["test_reader_gives_names_shapes_and_decay"](tmp_path)


def test_example_network_of_the_zoo_becomes_a_network() -> None:
    names = run_examples("zoo.md")
    assert names["outputs"].shape == (4, 6, 10)
    assert names["network"].shapes["output"] == (10,)


def test_page_on_dialects_has_a_row_for_each_name_and_key() -> None:
    rows = set(re.findall(r"^\| `(\w+)`", (DOCS / "dialects.md").read_text(encoding="utf-8"), re.M))
    assert rows == set(DIALECTS) | set(KEYS)


def test_page_on_exit_codes_has_those_of_the_command_and_of_the_errors() -> None:
    rows = set(re.findall(r"^\| (\d+) ", (DOCS / "exit-codes.md").read_text(encoding="utf-8"), re.M))
    codes = {str(cls.exit_code) for cls in vars(errors).values() if isinstance(cls, type)}
    assert rows == set(re.findall(r"\d+", EXIT_CODES))
    assert codes < rows


def test_example_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_examples("../README.md")
    assert names["right"] > 0.97
    assert names["estimate"].energy_j > 0
    assert (tmp_path / "digits.spk").is_file()


def test_commands_in_the_readme_name_options_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```\w*\n(.*?)^```$", readme, re.M | re.S))
    lines = [line.partition("#")[0].split() for line in re.findall(r"^spikeport (.*)$", blocks, re.M)]
    assert {line[0] for line in lines} >= {"inspect", "compile", "run", "estimate", "profiles", "verify", "export-lava"}
    for line in lines:
        inner = line[1:2] if line[0] in ("profiles", "zoo") else []
        assert main([line[0], *inner, "--help"]) == 0
        shown = capsys.readouterr().out
        assert [option for option in line if re.match(r"--?[a-z]", option) and option not in shown] == []


def test_page_on_onnx_has_a_row_for_each_operator() -> None:
    page = (DOCS / "onnx.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|$", page, re.M)
    told = {name: treatment for names, treatment in rows for name in re.findall(r"`(\w+)`", names)}
    # QCFS is what Floor and Round may be part of; it is in no file.
    assert set(told) == (set(RULES) - {"QCFS"}) | set(REFUSED)
    assert [name for name in set(REFUSED) - set(RULES) if "refused" not in told[name]] == []
