"""Word of news in inboxes, from process to process, over a Redis channel."""

import asyncio
import json
import logging
from collections.abc import Collection, Coroutine
from contextlib import suppress
from typing import Final

from ..cancellation import raise_if_cancelled
from ..settings import RedisConfig
from .live import Live
from .redis_queue import AWAY, RECONNECT_SECONDS, redis_client

_logger = logging.getLogger(__name__)

READERS_LIMIT: Final = 10_000
# After this without a word, the connection is asked whether it is still there.
QUIET_SECONDS: Final = 10


class RedisLive(Live):
    """The watchers of a process among others, which tell each other."""

    def __init__(self, config: RedisConfig, channel: str) -> None:
        super().__init__()
        self._channel = channel
        self._untold: set[str] = set()
        self._something_untold = asyncio.Event()
        self._client = redis_client(config, 1)
        self._listening = redis_client(config, 1)

    def _endless(self) -> list[Coroutine[None, None, None]]:
        return [*super()._endless(), self._tell(), self._hear()]

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
        """Carry what is published to the channel, all that came meanwhile at once, for ever."""
        while True:
            raise_if_cancelled()
            await self._something_untold.wait()
            self._something_untold.clear()
            readers, self._untold = self._untold, set()
            try:
                await self._client.publish(self._channel, json.dumps(list(readers), ensure_ascii=False))
            except AWAY:
                # The watchers of this process need no Redis.
                self.wake(readers)

    async def _hear(self) -> None:
        """Wake whom the channel names, for ever; after an interruption everyone, since word may have been lost."""
        while True:
            raise_if_cancelled()
            with suppress(*AWAY):
                async with self._listening.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(self._channel)
                    self.wake_all()
                    while True:
                        raise_if_cancelled()
                        if word := await channel.get_message(timeout=QUIET_SECONDS):
                            self._wake(word["data"])
            await asyncio.sleep(RECONNECT_SECONDS)

    def _wake(self, data: str) -> None:
        try:
            self.wake(json.loads(data))
        except (ValueError, TypeError):
            _logger.info("The channel %s holds what is not of our writing.", self._channel)
