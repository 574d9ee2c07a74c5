"""The nets of tests/framework_cases/norse_cases.py give norse's own spikes, or are refused with the reason."""

import warnings

import pytest
from framework_cases.case import Case, assert_case

# Frameworks warn of much that is not ours, on import already.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("norse", reason="not installed; benchmarks/framework_table.py makes an environment")
    from framework_cases.norse_cases import CASES

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.layer}, {case.name}")
def test_layers_give_the_frameworks_own_spikes(case: Case) -> None:
    assert_case(case)
