"""Word of news in inboxes, from process to process, over a Redis channel."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Final

from ..settings.schema import RedisConfig
from ..system.cancellation import raise_if_cancelled
from .live import Live
from .redis_queue import AWAY, RECONNECT_SECONDS, FindName, redis_client

_logger = logging.getLogger(__name__)

READERS_LIMIT: Final = 10_000
# After this without a word, the connection is asked whether it is still there.
QUIET_SECONDS: Final = 10


class RedisLive(Live):
    """The watchers of a process among others, which tell each other."""

    def __init__(self, config: RedisConfig, find_name: FindName) -> None:
        super().__init__()
        self._find_name = find_name
        # Empty until the database has been there.
        self._channel = ""
        self._untold: set[str] = set()
        self._something_untold = asyncio.Event()
        self._client = redis_client(config, 1)
        self._listening = redis_client(config, 1)

    def _steps(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        return {**super()._steps(), "sender of live news": self._tell, "receiver of live news": self._hear}

    async def __aexit__(self, *error: object) -> None:
        await super().__aexit__(*error)
        await self._listening.aclose()
        await self._client.aclose()

    def publish(self, reader_ids: Collection[str]) -> None:
        # Beyond the bound, those who are not told look by themselves after a while.
        if len(self._untold) < READERS_LIMIT:
            self._untold.update(reader_ids)
            self._something_untold.set()

    async def _tell(self) -> None:
        """Send what was published, all that came meanwhile in one message, to the channel."""
        await self._something_untold.wait()
        self._something_untold.clear()
        readers, self._untold = self._untold, set()
        try:
            await self._find_channel()
            await self._client.publish(self._channel, json.dumps(list(readers), ensure_ascii=False))
        except Exception as error:
            # The watchers of this process need no Redis.
            self.wake(readers)
            if not isinstance(error, AWAY):
                raise

    async def _hear(self) -> None:
        """Wake the readers that the channel names; after an interruption all, since some may have been missed."""
        await self._find_channel()
        with suppress(*AWAY):
            async with self._listening.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(self._channel)
                self.wake_all()
                while True:
                    raise_if_cancelled()
                    if word := await channel.get_message(timeout=QUIET_SECONDS):
                        self._wake(word["data"])
        await asyncio.sleep(RECONNECT_SECONDS)

    async def _find_channel(self) -> None:
        if not self._channel:
            self._channel = await self._find_name()

    def _wake(self, data: str) -> None:
        try:
            self.wake(json.loads(data))
        except (ValueError, TypeError):
            _logger.info("A message on the channel of live news is not one of ours.")
