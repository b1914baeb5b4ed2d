"""What all tests of faults share."""

import pytest

# Not a measure: programs that start, and hundreds of orders, may take a slow machine long.
HANGING_SECONDS = 200


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """A service in this process waits a minute for its database. One in its own has its usual limits."""
