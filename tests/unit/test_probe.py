"""Probes: shared by all callers, bounded in time, and cached for a moment."""

import asyncio

import pytest

from myaccount.database import probe as probe_module
from myaccount.database.probe import Probe


async def test_callers_within_the_time_of_the_cache_share_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "CACHE_SECONDS", 3600)
    runs = 0

    async def run() -> int:
        nonlocal runs
        runs += 1
        return runs

    probe = Probe("it", run, 0)
    assert [await probe.result() for _ in range(5)] == [1] * 5
    assert await asyncio.gather(*[probe.result() for _ in range(5)]) == [1] * 5


async def test_an_old_result_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "CACHE_SECONDS", -1)
    results = iter((1, 2))

    async def run() -> int:
        return next(results)

    probe = Probe("it", run, 0)
    assert (await probe.result(), await probe.result()) == (1, 2)


async def test_a_probe_that_hangs_is_cancelled_and_the_next_one_is_a_new_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe_module, "PROBE_SECONDS", 0.01)
    monkeypatch.setattr(probe_module, "CACHE_SECONDS", -1)
    hangs = [True, False]
    cancelled = asyncio.Event()

    async def run() -> str:
        if hangs.pop(0):
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        return "well"

    probe = Probe("It", run, "away")
    assert await probe.result() == "away"
    assert cancelled.is_set()
    assert "It did not answer" in caplog.text
    assert await probe.result() == "well"
