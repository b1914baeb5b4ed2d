"""What all tests of the running service share."""

import pytest


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """Tests of faults are elsewhere. One that wants the service to give up sets its own limit."""
