"""A Redis stream as the queue: read through one consumer group by every process of the service."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Self, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from ..settings.schema import RedisConfig
from ..system.cancellation import raise_if_cancelled
from .queues import TAKE_LIMIT, WAITING_LIMIT, Notice
from .repeating import repeat

_logger = logging.getLogger(__name__)

GROUP: Final = "listeners"
STREAM_LIMIT: Final = 100_000
BLOCK_SECONDS: Final = 2
# Whoever has had a notice for this long has died: handling takes a few seconds at most.
DEAD_MILLISECONDS: Final = 30_000
CLAIM_SECONDS: Final = 10
RECONNECT_SECONDS: Final = 0.5
POOL_TIMEOUT_SECONDS: Final = 10

# Receipts, and what they are for.
_Entries = list[tuple[str, dict[str, str]]]

AWAY: Final = (RedisError, OSError)

# Returns a name in Redis, which the database knows. Raises RequestError while that is away.
FindName = Callable[[], Awaitable[str]]

# An id below every entry's. Redis looks at it last, after everything for which it may refuse an entry.
PROBE_ID: Final = "0-1"
PROBE_PASSED: Final = "equal or smaller than"


class RedisQueue:
    """The queue between processes; `async with` starts and ends the task that sends announcements to Redis."""

    def __init__(self, config: RedisConfig, find_name: FindName) -> None:
        self._find_name = find_name
        # Empty until the database has been there.
        self._stream = ""
        self._consumer = f"{socket.gethostname()}:{os.getpid()}"
        self._announced: asyncio.Queue[int] = asyncio.Queue(WAITING_LIMIT)
        # What Redis refused, by what it was asked for, until that succeeds.
        self._refused: dict[str, Exception] = {}
        self._next_claim = 0.0
        self._client = redis_client(config, config["maxsize"])
        # A reader that blocks has a connection to itself.
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

    async def take(self) -> list[Notice]:
        await self._find_stream()
        try:
            now = asyncio.get_running_loop().time()
            if now >= self._next_claim:
                self._next_claim = now + CLAIM_SECONDS
                await self._forget_the_dead()
                if notices := await self._claim():
                    # Perhaps there are more.
                    self._next_claim = now
                    return notices
            return await self._read()
        except ResponseError as error:
            # A Redis that is new, or has lost its memory, has no group yet.
            if "NOGROUP" in str(error) or "no such key" in str(error):
                await self._make_group()
            else:
                await self._wait_for_redis("give", error)
            return []
        except AWAY as error:
            await self._wait_for_redis("give", error)
            return []

    async def acknowledge(self, notices: Sequence[Notice]) -> None:
        try:
            await self._client.xack(self._stream, GROUP, *[notice.receipt for notice in notices])
        except AWAY:
            # The events' rows are gone, so whoever is given these notices again skips them.
            _logger.info("Redis did not take the acknowledgement of %s events.", len(notices))

    async def redis_state(self) -> str:
        if not self._stream:
            await self._client.ping()
            return "ok"
        try:
            # PING is answered even if writes are refused, so this is a write, with an id that adds nothing.
            await self._client.xadd(self._stream, {"event": 0}, id=PROBE_ID, nomkstream=True)
        except ResponseError as error:
            if PROBE_PASSED not in str(error):
                return f"refuses events: {error}"
        give_error = self._refused.get("give")
        return f"does not give events: {give_error}" if isinstance(give_error, ResponseError) else "ok"

    async def _find_stream(self) -> None:
        if not self._stream:
            self._stream = await self._find_name()

    async def _read(self) -> list[Notice]:
        reply = await self._reader.xreadgroup(
            GROUP, self._consumer, {self._stream: ">"}, count=TAKE_LIMIT, block=BLOCK_SECONDS * 1000
        )
        self._works("give")
        # redis-py's types cover every protocol's shape; with ours it is a list of (stream, entries).
        streams = cast("list[tuple[str, _Entries]]", reply)
        return [notice for _, entries in streams for notice in _notices(entries)]

    async def _claim(self) -> list[Notice]:
        """Take over what readers that died had taken and not finished."""
        reply = await self._reader.xautoclaim(
            self._stream, GROUP, self._consumer, DEAD_MILLISECONDS, "0-0", count=TAKE_LIMIT
        )
        return _notices(cast("_Entries", reply[1]))

    async def _forget_the_dead(self) -> None:
        """Remove readers that are not heard of any more and have nothing left: each process is a new one."""
        for reader in await self._reader.xinfo_consumers(self._stream, GROUP):
            if reader["pending"] == 0 and reader["idle"] > DEAD_MILLISECONDS:
                await self._reader.xgroup_delconsumer(self._stream, GROUP, reader["name"])

    async def _send(self) -> None:
        """Add the next announcement to the stream, as soon as Redis takes it."""
        await self._find_stream()
        entry: dict[Any, Any] = {"event": await self._announced.get()}
        while True:
            try:
                await self._client.xadd(self._stream, entry, maxlen=STREAM_LIMIT, approximate=True)
            except AWAY as error:
                raise_if_cancelled()
                await self._wait_for_redis("take", error)
            else:
                self._works("take")
                return

    async def _make_group(self) -> None:
        try:
            await self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except AWAY as error:
            # Unless another process made it in this moment.
            if "BUSYGROUP" not in str(error):
                await self._wait_for_redis("give", error)

    def _works(self, what: str) -> None:
        if self._refused.pop(what, None) and not self._refused:
            _logger.info("Redis takes and gives events again.")

    async def _wait_for_redis(self, what: str, error: Exception) -> None:
        if not self._refused:
            _logger.warning(
                "Redis does not %s events; they are read from the database until it does: %s", what, error
            )
        self._refused[what] = error
        await asyncio.sleep(RECONNECT_SECONDS)


def _notices(entries: _Entries) -> list[Notice]:
    # Redis 6 has nothing to show of what it has trimmed meanwhile.
    return [Notice(_event_id(fields), receipt) for receipt, fields in entries if fields]


def _event_id(fields: dict[str, str]) -> int:
    # What is not of our writing is no event; there is none by 0, so it is acknowledged and forgotten.
    id_ = fields.get("event", "")
    return int(id_) if id_.isdecimal() else 0


def redis_client(config: RedisConfig, connections: int) -> Redis:
    # This pool lets those wait for whom there is no connection; the usual one refuses them.
    pool = BlockingConnectionPool(
        timeout=POOL_TIMEOUT_SECONDS,
        host=config["host"],
        port=config["port"],
        db=config["db"],
        password=config.get("password"),
        max_connections=connections,
        # The loops above try again themselves; the client's own ten tries would only hide that Redis is away.
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=2,
        # Above the time a read blocks, or each quiet moment would look like a lost connection.
        socket_timeout=BLOCK_SECONDS + 3,
        health_check_interval=10,
        decode_responses=True,
    )
    return Redis.from_pool(pool)
