"""What all tests may lean on: the real recordings beside the repository, where this machine has them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real material (frameworks' recordings, published networks); skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real recordings in {SHARED}, which this machine does not have")
    return SHARED
