"""The nets of tests/framework_cases/snntorch_cases.py give snntorch's own spikes, or are refused with the reason."""

import pytest

pytest.importorskip("snntorch", reason="not installed; benchmarks/framework_table.py makes an environment")

from framework_cases.case import Case, assert_case
from framework_cases.snntorch_cases import CASES

# Frameworks warn of much that is not ours.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.layer}, {case.name}")
def test_layers_give_the_frameworks_own_spikes(case: Case) -> None:
    assert_case(case)
