"""A snapshot is read once a second for all requests, and none of them sees an older one."""

import asyncio
import time

import pytest

from myaccount.access import snapshots
from myaccount.access.snapshots import Snapshot
from myaccount.errors import Overloaded


class Source:
    """Returns the number of the read, when released; raises if told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.released = asyncio.Event()
        self.released.set()
        self.error: Exception | None = None

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return number


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves on."""
    times = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: times[0])
    return times


async def test_a_value_serves_all_requests_for_a_second(now: list[float]) -> None:
    source = Source()
    snapshot = Snapshot(source.read)
    assert snapshot.current() is None
    assert await asyncio.gather(*(snapshot.refreshed() for _ in range(9))) == [1] * 9
    now[0] += 0.999
    assert snapshot.current() == 1
    assert await snapshot.refreshed() == 1
    now[0] += 0.001
    assert snapshot.current() is None
    assert await snapshot.refreshed() == 2
    assert source.reads == 2


async def test_a_request_does_not_get_what_was_read_a_second_before_it_came(now: list[float]) -> None:
    source = Source()
    snapshot = Snapshot(source.read)
    source.released.clear()
    early = asyncio.create_task(snapshot.refreshed())
    await asyncio.sleep(0)
    now[0] += 0.5
    in_time = asyncio.create_task(snapshot.refreshed())
    await asyncio.sleep(0)
    now[0] += 1
    late = asyncio.create_task(snapshot.refreshed())
    await asyncio.sleep(0)
    assert source.reads == 1
    source.released.set()
    # However long the read took.
    assert [await early, await in_time, await late] == [1, 1, 2]


async def test_a_failed_read_fails_those_that_wait_and_those_that_come_soon(now: list[float]) -> None:
    source = Source()
    snapshot = Snapshot(source.read)
    source.error = ZeroDivisionError()
    results = await asyncio.gather(*(snapshot.refreshed() for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ZeroDivisionError] * 3
    assert len({id(result) for result in results}) == 3
    source.error = None
    now[0] += snapshots.PAUSE_SECONDS - 0.01
    with pytest.raises(ZeroDivisionError):
        await snapshot.refreshed()
    assert source.reads == 1
    now[0] += 0.01
    assert await snapshot.refreshed() == 2


async def test_the_next_read_begins_while_requests_still_see_the_last_value(now: list[float]) -> None:
    source = Source()
    snapshot = Snapshot(source.read)
    assert await snapshot.refreshed() == 1
    now[0] += snapshots.REFRESH_SECONDS - 0.01
    assert snapshot.current() == 1
    await asyncio.sleep(0)
    assert source.reads == 1
    now[0] += 0.01
    # None of these waits, and they cause one read.
    assert [snapshot.current() for _ in range(3)] == [1, 1, 1]
    await snapshot.close()
    assert snapshot.current() == 2
    now[0] += 0.99
    assert snapshot.current() == 2
    await snapshot.close()


async def test_a_failed_read_in_the_background_takes_away_nothing_and_is_tried_again_after_a_pause(
    now: list[float],
) -> None:
    source = Source()
    snapshot = Snapshot(source.read)
    assert await snapshot.refreshed() == 1
    source.error = ZeroDivisionError()
    now[0] += snapshots.REFRESH_SECONDS
    for _ in range(3):
        assert snapshot.current() == 1
        await snapshot.close()
    assert source.reads == 2
    now[0] += snapshots.PAUSE_SECONDS
    assert snapshot.current() == 1
    await snapshot.close()
    assert source.reads == 3


async def test_beyond_a_limit_no_request_waits(now: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "WAITING_LIMIT", 3)
    source = Source()
    snapshot = Snapshot(source.read)
    source.released.clear()
    waiting = [asyncio.create_task(snapshot.refreshed()) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await snapshot.refreshed()
    waiting.pop().cancel()
    await asyncio.sleep(0)
    # One that left makes room.
    waiting.append(asyncio.create_task(snapshot.refreshed()))
    await asyncio.sleep(0)
    source.released.set()
    assert await asyncio.gather(*waiting) == [1, 1, 1]


async def test_a_request_that_is_cancelled_does_not_end_the_read_of_the_others() -> None:
    source = Source()
    snapshot = Snapshot(source.read)
    source.released.clear()
    first, second = (asyncio.create_task(snapshot.refreshed()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.released.set()
    assert await second == 1
    await snapshot.close()
