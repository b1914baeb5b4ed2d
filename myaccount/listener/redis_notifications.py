"""Live notifications between processes, over a Redis channel."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from ..database.redis_client import redis_client
from ..settings.servers import RedisConfig
from ..system.cancellation import raise_if_cancelled
from .live_notifications import LiveNotifications
from .redis_queue import AWAY, RECONNECT_SECONDS, FindName

_logger = logging.getLogger(__name__)

READERS_LIMIT: Final = 10_000
# After this long without a message, the channel is checked, for at most CHECK_SECONDS.
QUIET_SECONDS: Final = 2
CHECK_SECONDS: Final = 1
# How often streams read the database while no notification can come. The relay dispatches within 4 seconds
# without Redis, so messages reach the streams of every process within 5.
POLL_SECONDS: Final = 1


class RedisLiveNotifications(LiveNotifications):
    """Subscribers of one process, which other processes notify over Redis."""

    def __init__(self, config: RedisConfig, find_name: FindName) -> None:
        super().__init__()
        self._find_name = find_name
        # Empty until the database has answered once.
        self._channel = ""
        self._connected = False
        self._unsent: set[str] = set()
        self._has_unsent = asyncio.Event()
        self._client = redis_client(config, 1)
        self._receiving_client = redis_client(config, 1)

    def _steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {
            **super()._steps(),
            "sender of live notifications": self._send,
            "receiver of live notifications": self._receive,
            "polling of live streams": self._poll,
        }

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self._receiving_client.aclose()
        await self._client.aclose()

    def publish(self, reader_ids: Collection[str]) -> None:
        # Beyond the limit, subscribers wait for the regular notification.
        if len(self._unsent) < READERS_LIMIT:
            self._unsent.update(reader_ids)
            self._has_unsent.set()

    async def _send(self) -> None:
        """Send all that was published since the last time, as one message."""
        await self._has_unsent.wait()
        self._has_unsent.clear()
        readers, self._unsent = self._unsent, set()
        try:
            await self._find_channel()
            await self._client.publish(self._channel, json.dumps(list(readers), ensure_ascii=False))
        except Exception as error:
            # The subscribers of this process are notified without Redis.
            self.notify(readers)
            if not isinstance(error, AWAY):
                raise

    async def _receive(self) -> None:
        """Notify subscribers as the channel says. After an interruption notify all: messages may be lost."""
        self._connected = False
        await self._find_channel()
        with suppress(*AWAY):
            async with self._receiving_client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(self._channel)
                await self._check()
                self._connected = True
                self.notify_all()
                while True:
                    raise_if_cancelled()
                    if message := await channel.get_message(timeout=QUIET_SECONDS):
                        self._notify(message["data"])
                    else:
                        await self._check()
        await asyncio.sleep(RECONNECT_SECONDS)

    async def _check(self) -> None:
        """Publish a message for nobody. Raises RedisError or OSError if Redis does not take it in time."""
        async with asyncio.timeout(CHECK_SECONDS):
            await self._client.publish(self._channel, "[]")

    async def _poll(self) -> None:
        """Have the streams of this process read the database while no notification can come."""
        await asyncio.sleep(POLL_SECONDS)
        if not self._connected:
            self.notify_all()

    async def _find_channel(self) -> None:
        if not self._channel:
            self._channel = await self._find_name()

    def _notify(self, data: str) -> None:
        try:
            self.notify(json.loads(data))
        except (ValueError, TypeError):
            _logger.info("A message on the channel of live notifications is not one of ours.")
