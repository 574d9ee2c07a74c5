"""The nets of tests/framework_cases/snntorch_cases.py give snntorch's own spikes, or are refused with the reason."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from framework_cases.case import Case, assert_case

# Frameworks warn of much that is not ours, on import already.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("snntorch", reason="not installed; benchmarks/framework_table.py makes an environment")
    from framework_cases.snntorch_cases import CASES

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.layer}, {case.name}")
def test_layers_give_the_frameworks_own_spikes(case: Case) -> None:
    assert_case(case)


def test_example_in_the_docs_runs() -> None:
    torch.manual_seed(0)
    page = (Path(__file__).resolve().parents[1] / "docs" / "frameworks.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names: dict[str, Any] = {"__name__": "frameworks.md"}
    exec(compile(block, "frameworks.md", "exec"), names)
    assert names["spikes"].shape == (8, 25, 10)
    assert list(names["network"].nodes)[:3] == ["input", "fc1", "lif1"]
