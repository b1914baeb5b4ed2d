"""What all tests of the running service share."""

import asyncio

import pytest

from myaccount.database import probe
from myaccount.listener import hold_sweeper

from ..conftest import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _never_away(never_away: None) -> None:
    """Tests of faults are elsewhere. One that wants the service to give up sets its own limit."""


@pytest.fixture
def unswept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sweeper ends holds in a service that is started after this."""

    async def sleep_for_ever(self: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(hold_sweeper.HoldSweeper, "_sweep", sleep_for_ever)


@pytest.fixture
def patient_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let probes wait, so that a service on a machine that stands still is ready."""
    monkeypatch.setattr(probe, "PROBE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(probe, "WAIT_SECONDS", PATIENCE_SECONDS)
