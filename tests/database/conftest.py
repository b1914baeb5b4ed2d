"""What all tests of the database share."""

import pytest


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """A database on a slow machine is not away. A test that wants us to give up sets its own limit."""
