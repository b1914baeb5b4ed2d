"""The counts of requests in Redis, which all processes share.

The library `limits` has a round trip for each request, and its releases do not take redis-py 8.
"""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Self

from redis.exceptions import RedisError

from ..database.redis_client import redis_client
from ..errors import RequestError
from ..observability.slots import count_workers
from ..settings.servers import RedisConfig
from ..system.cancellation import raise_if_cancelled
from .rates import Granted, Rate

_logger: Final = logging.getLogger(__name__)

# A process takes this part of a key's rate at once.
PARTS: Final = 20
# Requests wait so long for Redis. If it does not answer, they do not ask it again for a while.
PATIENCE_SECONDS: Final = 0.25
AWAY_SECONDS: Final = 1.0
# How often a process says that it is there, and how long that is remembered at least.
PRESENCE_SECONDS: Final = 10
PERIOD_SECONDS: Final = 60


class SharedCounts:
    """Counts in Redis; `find_name` returns how the names of the counts begin, which depends on the database.

    While Redis is away, each process takes its share of each rate, by the number of processes of late. That of
    gunicorn's workers is known from the start.
    """

    def __init__(self, config: RedisConfig, find_name: Callable[[], Awaitable[str]]) -> None:
        self._client = redis_client(config, config["maxsize"])
        self._find_name = find_name
        self._name = ""
        self._me = f"{socket.gethostname()}:{os.getpid()}"
        self._processes = count_workers()
        self._away_until = 0.0

    async def __aenter__(self) -> Self:
        self._presence = asyncio.create_task(self._tell_presence_for_ever(), name="telling presence")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._presence.cancel()
        await asyncio.wait([self._presence])
        await self._client.aclose()

    async def take(self, rate: Rate, second: int) -> Granted:
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await self._take(rate, second)
            except (RedisError, OSError, RequestError) as error:
                _logger.warning("Requests are counted in each process alone: %s", type(error).__name__)
                self._away_until = time.monotonic() + AWAY_SECONDS
        # Rounded up.
        return Granted(-(-rate.per_second // self._processes))

    async def _take(self, rate: Rate, second: int) -> Granted:
        await self._learn_name()
        wanted = max(1, rate.per_second // PARTS)
        key = f"{self._name}:{rate.name}:{second}"
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.incrby(key, wanted)
            pipeline.expire(key, PERIOD_SECONDS)
            taken, _ = await pipeline.execute()
        # Of the last part there may be less.
        granted = max(0, min(wanted, rate.per_second - (taken - wanted)))
        return Granted(granted, more=granted > 0)

    async def _learn_name(self) -> None:
        if not self._name:
            self._name = await self._find_name()

    async def _tell_presence_for_ever(self) -> None:
        while True:
            # Requests say it if they cannot be counted.
            with suppress(RedisError, OSError, RequestError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._tell_presence()
            raise_if_cancelled()
            await asyncio.sleep(PRESENCE_SECONDS)

    async def _tell_presence(self) -> None:
        """Say that this process is there, and learn how many are."""
        await self._learn_name()
        period = int(time.time()) // PERIOD_SECONDS
        now, before = (f"{self._name}-processes:{number}" for number in (period, period - 1))
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.sadd(now, self._me)
            pipeline.expire(now, 2 * PERIOD_SECONDS)
            pipeline.scard(now)
            pipeline.scard(before)
            *_, count, count_before = await pipeline.execute()
        self._processes = max(count, count_before, count_workers())
