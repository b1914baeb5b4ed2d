"""A cancellation that a library loses is not lost."""

import asyncio
from typing import Any

import pytest
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from myaccount.access import authentication
from myaccount.access.authentication import Authenticator
from myaccount.access.rates import Rates
from myaccount.access.shared_counts import SharedCounts
from myaccount.database.database import Database
from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.listener.redis_queue import RedisQueue
from myaccount.settings.schema import CONFIGURATION

from ..conftest import PATIENCE_SECONDS, Section


class Losing:
    """Stands for a method that is cancelled the first time, and raises something else instead, or nothing."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self._lost = False
        self.called = asyncio.Event()

    async def __call__(self, *arguments: Any, **options: Any) -> None:
        self.called.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if self._lost:
                raise
            self._lost = True
            if self._error is not None:
                raise self._error from None


async def _name() -> str:
    return "name"


lost = pytest.mark.parametrize("error", [RedisConnectionError(), None], ids=["raises", "goes on"])


@lost
async def test_queue_and_notifications_end_when_they_are_cancelled(
    redis_section: Section, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    config = CONFIGURATION.check({"redis": redis_section})["redis"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with RedisQueue(config, _name) as queue, RedisLiveNotifications(config, _name) as live:
            add, publish = Losing(error), Losing(error)
            monkeypatch.setattr(Pipeline, "execute", add)
            monkeypatch.setattr(live._client, "publish", publish)
            queue.announce(1)
            with live.subscribe("u1"):
                await add.called.wait()
                await publish.called.wait()


@lost
async def test_counts_of_requests_end_when_they_are_cancelled(
    redis_section: Section, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    config = CONFIGURATION.check({"redis": redis_section})["redis"]
    presence = Losing(error)
    monkeypatch.setattr(Pipeline, "execute", presence)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async with SharedCounts(config, _name):
            await presence.called.wait()


@lost
@pytest.mark.usefixtures("never_away")
async def test_the_keeping_of_the_time_ends_when_it_is_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    following = Losing(error)
    monkeypatch.setattr(authentication, "follow_time", following)
    authenticator = Authenticator(database, Rates())
    async with asyncio.timeout(PATIENCE_SECONDS):
        authenticator.keep_time()
        await following.called.wait()
        await authenticator.close()
