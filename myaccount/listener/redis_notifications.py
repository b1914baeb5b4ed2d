"""Live notifications between processes, over a Redis channel.

A process with subscribers says so on the channel, again and again. The others publish only while one does: most
orders change inboxes that nobody follows. A process that hears of subscribers after a while without may have left
out changes, so it has every subscriber read its inbox.

While a process hears of subscribers, it says again and again that it is there, and at its end that it ends. If it
falls silent without that, it may have been killed between a commit and its notification, so the others have their
subscribers read their inboxes.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from ..database.redis_client import redis_client
from ..errors import RequestError
from ..settings.servers import RedisConfig
from ..system.cancellation import raise_if_cancelled
from .live_notifications import LAST_SECONDS, LiveNotifications
from .redis_queue import AWAY, RECONNECT_SECONDS, FindName

_logger = logging.getLogger(__name__)

# How often a process says whether it has subscribers, and how long the others remember that it has.
ANNOUNCED_SECONDS: Final = 1
FOLLOWED_SECONDS: Final = 5
# A process that says nothing for this long is lost. Its last messages then reach all streams within 5 seconds.
LOST_SECONDS: Final = 3
# After this long without a message, the channel is checked, for at most CHECK_SECONDS.
QUIET_SECONDS: Final = 2
CHECK_SECONDS: Final = 1
# How often streams read the database while no notification can come. Messages of events are written within 4
# seconds without Redis, so all messages reach the streams of every process within 5.
POLL_SECONDS: Final = 1


class RedisLiveNotifications(LiveNotifications):
    """Subscribers of one process, which other processes notify over Redis."""

    def __init__(self, config: RedisConfig, find_name: FindName) -> None:
        super().__init__()
        self._find_name = find_name
        # Empty until the database has answered once.
        self._channel = ""
        self._connected = False
        # What tells this process's messages from the others'.
        self._name = secrets.token_hex(8)
        # Until when other processes have subscribers, as far as this one knows, by the monotonic clock.
        self._followed_until = 0.0
        # When each other process was last heard, by its name.
        self._heard_at: dict[str, float] = {}
        # Whether all subscribers of other processes are to be notified.
        self._owes_all = False
        self._client = redis_client(config, 1)
        self._receiving_client = redis_client(config, 1)

    def _steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {
            **super()._steps(),
            "announcement of live streams": self._announce,
            "receiver of live notifications": self._receive,
            "polling of live streams": self._poll,
            "watch over other processes": self._watch,
        }

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        with suppress(RequestError, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._publish({"ends": True})
        await self._receiving_client.aclose()
        await self._client.aclose()

    def _is_followed(self) -> bool:
        return super()._is_followed() or self._is_followed_elsewhere()

    def _is_followed_elsewhere(self) -> bool:
        return time.monotonic() < self._followed_until

    async def _deliver(self, reader_ids: Collection[str]) -> None:
        """Notify this process's subscribers, and those of others in one message."""
        self.notify(reader_ids)
        owes_all, self._owes_all = self._owes_all, False
        if owes_all:
            await self._publish({"all": True})
        elif reader_ids and self._is_followed_elsewhere():
            await self._publish({"readers": list(reader_ids)})

    async def _publish(self, content: Mapping[str, object]) -> None:
        """Publish it for other processes. If Redis is away, they read the database regularly meanwhile."""
        await self._find_channel()
        try:
            message = json.dumps({"from": self._name, **content}, ensure_ascii=False)
            await self._client.publish(self._channel, message)
        except AWAY:
            # If only this process cannot reach Redis, the others do not know that they miss something.
            self._owes_all = True

    async def _announce(self) -> None:
        """Say whether this process has subscribers: at once when the first comes, and regularly while any has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCED_SECONDS):
                await self._has_followers.wait()
        self._has_followers.clear()
        if self._is_followed():
            await self._publish({"follows": bool(self._subscribers)})

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
                        self._take(message["data"])
                    else:
                        await self._check()
        await asyncio.sleep(RECONNECT_SECONDS)

    async def _check(self) -> None:
        """Publish a message for nobody. Raises RedisError or OSError if Redis does not take it in time."""
        async with asyncio.timeout(CHECK_SECONDS):
            await self._client.publish(self._channel, "{}")

    async def _poll(self) -> None:
        """Have the streams of this process read the database while no notification can come."""
        await asyncio.sleep(POLL_SECONDS)
        if not self._connected:
            self.notify_all()

    async def _watch(self) -> None:
        """Have the streams of this process read the database once if another process is lost."""
        await asyncio.sleep(ANNOUNCED_SECONDS)
        now = time.monotonic()
        lost = [name for name, heard_at in self._heard_at.items() if now - heard_at > LOST_SECONDS]
        for name in lost:
            del self._heard_at[name]
        if lost:
            self.notify_all()

    async def _find_channel(self) -> None:
        if not self._channel:
            self._channel = await self._find_name()

    def _take(self, data: str) -> None:
        """Do as a message of another process says."""
        try:
            match json.loads(data):
                case {"from": self._name}:
                    return
                case {"readers": list(readers)}:
                    self.notify(set(readers))
                case {"all": True}:
                    self.notify_all()
                case {"from": str(name), "follows": bool(follows)}:
                    self._heard_at[name] = time.monotonic()
                    if follows:
                        self._owes_all |= not self._is_followed_elsewhere()
                        self._followed_until = time.monotonic() + FOLLOWED_SECONDS
                    if self._owes_all:
                        self._has_unsent.set()
                case {"from": str(name), "ends": True}:
                    self._heard_at.pop(name, None)
        except (ValueError, TypeError):
            _logger.info("A message on the channel of live notifications is not one of ours.")
