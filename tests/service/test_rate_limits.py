"""A key that sends more than it may is told to wait; processes count together, by Redis if there is one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as RedisClient

from myaccount.access import shared_counts
from myaccount.access.rates import Granted, Rate
from myaccount.access.shared_counts import SharedCounts
from myaccount.database.database import Database
from myaccount.errors import Unavailable
from myaccount.listener.redis_queue import redis_client

from ..conftest import Client, Section
from ..helpers.callers import bearer, new_key

SHOP = Rate("shop", 100)


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
async def redis(redis_section: Section) -> AsyncIterator[RedisClient]:
    async with redis_client(redis_section | {"db": 0}, 5) as client:  # type: ignore[arg-type]
        yield client


async def _name() -> str:
    return "myaccount:test:rates"


def _counts(redis: RedisClient, process: int) -> SharedCounts:
    counts = SharedCounts(redis, _name)
    counts._me = f"process {process}"
    return counts


async def _take_all(counts: SharedCounts, second: int) -> int:
    total = 0
    while (granted := await counts.take(SHOP, second)).more:
        total += granted.requests
    return total + granted.requests


async def test_processes_share_a_second_and_get_no_more_than_the_rate(redis: RedisClient) -> None:
    first, second = (_counts(redis, n) for n in range(2))
    assert await first.take(SHOP, 7) == Granted(5, more=True)
    assert sum(await asyncio.gather(_take_all(first, 7), _take_all(second, 7))) == 95
    assert await second.take(SHOP, 7) == Granted(0)
    assert await _take_all(second, 8) == 100
    # A rate that is no multiple of what is taken at once.
    odd = Rate("odd", 45)
    assert [(await first.take(odd, 7)).requests for _ in range(24)][-3:] == [2, 1, 0]
    # Nothing stays in Redis.
    assert all([0 < await redis.ttl(key) <= 120 for key in await redis.keys("myaccount:test:*")])


async def test_while_redis_is_away_each_process_takes_its_share_once_a_second(redis: RedisClient) -> None:
    processes = [_counts(redis, n) for n in range(3)]
    for counts in processes:
        await counts.take(SHOP, 7)
    first = processes[0]
    first._next_presence = 0.0
    await first.take(SHOP, 7)
    assert first._processes == 3
    nowhere = RedisClient(port=1)
    first._client = nowhere
    assert await first.take(SHOP, 8) == Granted(34)
    first._client = redis
    # For a while Redis is not asked.
    assert await first.take(SHOP, 9) == Granted(34)
    first._away_until = 0.0
    assert await first.take(SHOP, 9) == Granted(5, more=True)
    await nowhere.aclose()


async def test_requests_do_not_wait_long_for_a_redis_or_a_database_that_hangs(
    redis: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "PATIENCE_SECONDS", 0.01)

    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    async def fail() -> str:
        raise Unavailable("The database is away.")

    for find_name in (hang, fail):
        assert await SharedCounts(redis, find_name).take(SHOP, 7) == Granted(100)
