"""A cancellation that a library loses is not lost."""

import asyncio
from typing import Any

import pytest
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as RedisConnectionError

from myaccount.listener.redis_notifications import RedisLiveNotifications
from myaccount.listener.redis_queue import RedisQueue
from myaccount.settings.schema import CONFIGURATION

from ..conftest import Section


class Losing:
    """Stands for a method of redis-py's that is broken off, and says something else of it, or nothing."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.called = asyncio.Event()

    async def __call__(self, *arguments: Any, **options: Any) -> None:
        self.called.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if self._error is not None:
                raise self._error from None


async def _name() -> str:
    return "name"


@pytest.mark.parametrize("error", [RedisConnectionError(), None], ids=["raises", "goes on"])
async def test_queue_and_notifications_end_when_they_are_cancelled(
    redis_section: Section, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    config = CONFIGURATION.check({"redis": redis_section})["redis"]
    async with asyncio.timeout(10):
        async with RedisQueue(config, _name) as queue, RedisLiveNotifications(config, _name) as live:
            add, publish = Losing(error), Losing(error)
            monkeypatch.setattr(Pipeline, "execute", add)
            monkeypatch.setattr(live._client, "publish", publish)
            queue.announce(1)
            live.publish(["u1"])
            await add.called.wait()
            await publish.called.wait()
