"""What all tests of faults share."""

import pytest


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """A service in this process waits a minute for its database. One in its own has its usual limits."""
