"""What all tests of faults share."""

import pytest


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """What runs in this process has no fault. A service in its own process has its usual limits."""
