"""A Redis stream as the queue. All processes read it through one consumer group."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self, cast

from redis.exceptions import RedisError, ResponseError

from ..database.redis_client import BLOCK_SECONDS, redis_client
from ..settings.servers import RedisConfig
from ..system.cancellation import raise_if_cancelled
from .queues import TAKE_LIMIT, WAITING_LIMIT, QueueMessage
from .repeating import repeat

_logger = logging.getLogger(__name__)

GROUP: Final = "listeners"
STREAM_LIMIT: Final = 100_000
# Dispatch takes a few seconds at most: a consumer that holds a message for this long has died.
DEAD_MILLISECONDS: Final = 30_000
CLAIM_SECONDS: Final = 10
RECONNECT_SECONDS: Final = 0.5
# A round trip to Redis costs a worker as much as several orders. So after each, events gather for this long.
GATHERING_SECONDS: Final = 0.02

# Entry ids and fields.
_Entries = list[tuple[str, dict[str, str]]]

AWAY: Final = (RedisError, OSError)

# Returns the name of a key or channel, which depends on the database. Raises RequestError while that is away.
FindName = Callable[[], Awaitable[str]]

# An id below that of every entry. Redis checks the id last, after all other reasons to refuse an entry.
PROBE_ID: Final = "0-1"
PROBE_PASSED: Final = "equal or smaller than"


class RedisQueue:
    """The queue between processes. `async with` starts and ends the task that sends announced events to Redis."""

    def __init__(self, config: RedisConfig, find_name: FindName) -> None:
        self._find_name = find_name
        # Empty until the database has answered once.
        self._stream = ""
        self._consumer = f"{socket.gethostname()}:{os.getpid()}"
        self._announced: asyncio.Queue[int] = asyncio.Queue(WAITING_LIMIT)
        # The last error of each direction, "write" and "read", until it succeeds.
        self._errors: dict[str, Exception] = {}
        self._next_claim = 0.0
        self._next_send = 0.0
        self._client = redis_client(config, config["maxsize"])
        # Blocking reads need their own connection.
        self._reader = redis_client(config, 1)

    async def __aenter__(self) -> Self:
        self._sender = asyncio.create_task(repeat("event sender", self._send), name="event sender")
        return self

    async def __aexit__(self, *error: object) -> None:
        self._sender.cancel()
        await asyncio.gather(self._sender, return_exceptions=True)
        await self._reader.aclose()
        await self._client.aclose()

    def announce(self, event_id: int) -> None:
        if not self._announced.full():
            self._announced.put_nowait(event_id)

    async def take(self) -> list[QueueMessage]:
        await self._find_stream()
        try:
            now = asyncio.get_running_loop().time()
            if now >= self._next_claim:
                self._next_claim = now + CLAIM_SECONDS
                await self._remove_dead_consumers()
                if messages := await self._claim():
                    # There may be more.
                    self._next_claim = now
                    return messages
            return await self._read()
        except ResponseError as error:
            # A new Redis, or one that lost its data, has no consumer group yet.
            if "NOGROUP" in str(error) or "no such key" in str(error):
                await self._make_group()
            else:
                await self._wait_for_redis("read", error)
            return []
        except AWAY as error:
            await self._wait_for_redis("read", error)
            return []

    async def acknowledge(self, messages: Sequence[QueueMessage]) -> None:
        try:
            await self._client.xack(self._stream, GROUP, *[message.entry_id for message in messages])
        except AWAY:
            # The events' rows are deleted, so a consumer that gets these messages again skips them.
            _logger.info("Redis did not take the acknowledgement of %s events.", len(messages))

    async def redis_state(self) -> str:
        if not self._stream:
            await self._client.ping()
            return "ok"
        try:
            # PING succeeds even if writes are refused. So this is a write, with an id that adds no entry.
            await self._client.xadd(self._stream, {"event": 0}, id=PROBE_ID, nomkstream=True)
        except ResponseError as error:
            if PROBE_PASSED not in str(error):
                return f"refuses events: {error}"
        read_error = self._errors.get("read")
        return f"does not give events: {read_error}" if isinstance(read_error, ResponseError) else "ok"

    async def _find_stream(self) -> None:
        if not self._stream:
            self._stream = await self._find_name()

    async def _read(self) -> list[QueueMessage]:
        reply = await self._reader.xreadgroup(
            GROUP, self._consumer, {self._stream: ">"}, count=TAKE_LIMIT, block=BLOCK_SECONDS * 1000
        )
        self._works("read")
        # redis-py's types cover all protocols; with ours the reply is a list of (stream, entries).
        streams = cast("list[tuple[str, _Entries]]", reply)
        return [message for _, entries in streams for message in _queue_messages(entries)]

    async def _claim(self) -> list[QueueMessage]:
        """Take over messages that dead consumers took and did not acknowledge."""
        reply = await self._reader.xautoclaim(
            self._stream, GROUP, self._consumer, DEAD_MILLISECONDS, "0-0", count=TAKE_LIMIT
        )
        return _queue_messages(cast("_Entries", reply[1]))

    async def _remove_dead_consumers(self) -> None:
        """Remove idle consumers without pending messages: each process has its own, so they would accumulate."""
        for consumer in await self._reader.xinfo_consumers(self._stream, GROUP):
            if consumer["pending"] == 0 and consumer["idle"] > DEAD_MILLISECONDS:
                await self._reader.xgroup_delconsumer(self._stream, GROUP, consumer["name"])

    async def _send(self) -> None:
        """Add the announced events to the stream in one round trip; retry until Redis takes all of them.

        A consumer that finds an event twice skips it the second time, since its row is deleted.
        """
        await self._find_stream()
        event_ids = [await self._announced.get()]
        await asyncio.sleep(self._next_send - asyncio.get_running_loop().time())
        while not self._announced.empty() and len(event_ids) < TAKE_LIMIT:
            event_ids.append(self._announced.get_nowait())
        while True:
            try:
                await self._add(event_ids)
            except AWAY as error:
                raise_if_cancelled()
                await self._wait_for_redis("write", error)
            else:
                self._works("write")
                self._next_send = asyncio.get_running_loop().time() + GATHERING_SECONDS
                return

    async def _add(self, event_ids: Sequence[int]) -> None:
        async with self._client.pipeline(transaction=False) as pipeline:
            for event_id in event_ids:
                entry: dict[Any, Any] = {"event": event_id}
                pipeline.xadd(self._stream, entry, maxlen=STREAM_LIMIT, approximate=True)
            await pipeline.execute()

    async def _make_group(self) -> None:
        try:
            await self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except AWAY as error:
            # BUSYGROUP: another process has just created it.
            if "BUSYGROUP" not in str(error):
                await self._wait_for_redis("read", error)

    def _works(self, direction: str) -> None:
        if self._errors.pop(direction, None) and not self._errors:
            _logger.info("Redis accepts and returns events again.")

    async def _wait_for_redis(self, direction: str, error: Exception) -> None:
        if not self._errors:
            _logger.warning(
                "A Redis %s failed; events are delivered from the database meanwhile: %s", direction, error
            )
        self._errors[direction] = error
        await asyncio.sleep(RECONNECT_SECONDS)


def _queue_messages(entries: _Entries) -> list[QueueMessage]:
    # Redis 6 returns entries that it has trimmed without their fields.
    return [QueueMessage(_event_id(fields), entry_id) for entry_id, fields in entries if fields]


def _event_id(fields: dict[str, str]) -> int:
    # An entry that is not ours gets the id 0. No event has it, so the entry is acknowledged and skipped.
    id_ = fields.get("event", "")
    return int(id_) if id_.isdecimal() else 0
