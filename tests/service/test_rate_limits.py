"""A key that sends more than it may is told to wait; processes count together, by Redis if there is one."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from myaccount.access import shared_counts
from myaccount.access.rates import Granted, Rate
from myaccount.access.shared_counts import SharedCounts
from myaccount.database.database import Database
from myaccount.errors import Unavailable
from myaccount.observability.slots import WORKERS_VARIABLE
from myaccount.settings.schema import CONFIGURATION
from myaccount.settings.servers import RedisConfig

from ..conftest import PATIENCE_SECONDS, Client, Section, eventually
from ..helpers.callers import bearer, new_key
from ..helpers.servers import Redis

SHOP = Rate("shop", 100)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests wait for Redis: on a machine that stands still, it is not taken to be away."""
    monkeypatch.setattr(shared_counts, "PATIENCE_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(params=["alone", "redis"])
def queue(request: pytest.FixtureRequest) -> Section:
    if request.param == "alone":
        return {"access": "keys"}
    return {"access": "keys", "redis": request.getfixturevalue("redis_section")}


async def test_beyond_its_rate_a_key_is_told_to_wait(
    client: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else a second could end meanwhile.
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.5)
    limited = bearer(await new_key(database, "limited", "orders:read", rate=3))
    free = bearer(await new_key(database, "free", "orders:read"))

    async def statuses(headers: dict[str, str], count: int) -> list[int]:
        found = []
        for _ in range(count):
            async with client.post("/querorder", data={"orderId": "o1"}, headers=headers) as response:
                found.append(response.status)
        return found

    assert await statuses(limited, 5) == [404, 404, 404, 429, 429]
    assert await statuses(free, 9) == [404] * 9
    async with client.post("/querorder", data={"orderId": "o1"}, headers=limited) as response:
        body = await response.json(content_type=None)
        assert (response.headers["Retry-After"], body["code"]) == ("1", "rate_limited")
        assert body["detail"] == "This key may send 3 requests a second."
    monkeypatch.setattr(time, "time", lambda: 1_800_000_001.0)
    assert await statuses(limited, 4) == [404, 404, 404, 429]


@pytest.fixture
def settings(redis_section: Section) -> RedisConfig:
    checked: RedisConfig = CONFIGURATION.check({"redis": redis_section})["redis"]
    return checked


async def _name() -> str:
    return "myaccount:test:rates"


@asynccontextmanager
async def _processes(settings: RedisConfig, count: int) -> AsyncIterator[list[SharedCounts]]:
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(SharedCounts(settings, _name)) for _ in range(count)]
        for number, process in enumerate(processes):
            process._me = f"process {number}"
        yield processes


async def _take_all(counts: SharedCounts, second: int) -> int:
    total = 0
    while (granted := await counts.take(SHOP, second)).more:
        total += granted.requests
    return total + granted.requests


async def test_processes_share_a_second_and_get_no_more_than_the_rate(
    settings: RedisConfig, redis_server: Redis
) -> None:
    async with _processes(settings, 2) as (first, second):
        assert await first.take(SHOP, 7) == Granted(5, more=True)
        assert sum(await asyncio.gather(_take_all(first, 7), _take_all(second, 7))) == 95
        assert await second.take(SHOP, 7) == Granted(0)
        assert await _take_all(second, 8) == 100
        # A rate that is no multiple of what is taken at once.
        odd = Rate("odd", 45)
        assert [(await first.take(odd, 7)).requests for _ in range(24)][-3:] == [2, 1, 0]
    with redis_server.client() as client:
        # Nothing stays there.
        assert all(0 < client.ttl(key) <= 120 for key in client.keys("myaccount:test:*"))


async def test_while_redis_is_away_each_process_takes_its_share_once_a_second(
    settings: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "PRESENCE_SECONDS", 0.02)
    monkeypatch.setattr(shared_counts, "AWAY_SECONDS", 3600)
    async with _processes(settings, 3) as processes:
        first = processes[0]
        # By itself, also if no key with a rate is used.
        await eventually(lambda: first._processes == 3)
        async with SharedCounts(settings | {"port": 1}, _name) as nowhere:
            there, first._client = first._client, nowhere._client
            assert await first.take(SHOP, 8) == Granted(34)
            first._client = there
        # For a while Redis is not asked.
        assert await first.take(SHOP, 9) == Granted(34)
        first._away_until = 0.0
        assert await first.take(SHOP, 9) == Granted(5, more=True)


async def test_requests_do_not_wait_long_for_a_redis_or_a_database_that_hangs(
    settings: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "PATIENCE_SECONDS", 0.01)

    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    async def fail() -> str:
        raise Unavailable("The database is away.")

    for find_name in (hang, fail):
        async with SharedCounts(settings, find_name) as counts:
            assert await counts.take(SHOP, 7) == Granted(100)


async def test_if_redis_is_away_from_the_start_gunicorn_s_workers_share_the_rate(
    settings: RedisConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WORKERS_VARIABLE, "3")
    async with SharedCounts(settings | {"port": 1}, _name) as counts:
        assert await counts.take(SHOP, 7) == Granted(34)
