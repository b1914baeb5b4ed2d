"""Sends random requests over many connections, several without waiting for replies, and reads the replies.

It writes and reads bytes: a client of HTTP would refuse to send much of it, and take longer than the service.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle, islice
from typing import Final, NamedTuple

from .fuzz_requests import Request

CONNECTIONS: Final = 100
# How many requests are sent without waiting for replies between them, by turns. The service queues up to 32.
AT_ONCE: Final = (1, 8, 2, 8, 50)
REPLY_SECONDS: Final = 60
# As a 503 says.
RETRY_AFTER_SECONDS: Final = 1
REFUSALS_LIMIT: Final = 60
_LENGTH: Final = re.compile(rb"\r\nContent-Length: (\d+)\r\n")
_HEAD: Final = re.compile(rb"HTTP/1\.[01] (\d{3}) .*?\r\n\r\n", re.DOTALL)


class Reply(NamedTuple):
    """A reply. That of a stream has its head alone."""

    status: int
    head: bytes = b""
    body: bytes = b""

    @property
    def is_stream(self) -> bool:
        return b"text/event-stream" in self.head

    @property
    def is_last(self) -> bool:
        return b"\r\nConnection: close\r\n" in self.head or self.is_stream or self.head.startswith(b"HTTP/1.0")


# In place of a reply: none came, or only refusals that say that the same request will be answered later.
NONE: Final = Reply(0)
Check = Callable[[Request, Reply], None]


class FuzzClient:
    """Sends each of the requests. `check` gets the requests with their replies."""

    def __init__(self, port: int, requests: Iterator[Request], check: Check) -> None:
        self._port = port
        self._requests = requests
        self._check = check
        self._sizes = cycle(AT_ONCE)
        # With a 503.
        self._refused: list[Request] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(self._send_all())
        # The same requests, alone: then the service is not overloaded.
        connection = _Connection(self._port, self._check)
        for request in self._refused:
            if not await connection.is_answered_later(request):
                self._check(request, NONE)
        connection.close()

    async def _send_all(self) -> None:
        connection = _Connection(self._port, self._check)
        try:
            while batch := self._next_batch():
                # A reply may have closed the connection, so what has none is sent again, alone.
                for request in await connection.unanswered(batch):
                    if await connection.unanswered([request]) and not request.ending:
                        self._check(request, NONE)
                self._refused += connection.take_refused()
        finally:
            connection.close()

    def _next_batch(self) -> list[Request]:
        batch = []
        for request in islice(self._requests, next(self._sizes)):
            batch.append(request)
            if request.ending:
                break
        return batch


class _Connection:
    """A connection, which is opened again if it was closed."""

    def __init__(self, port: int, check: Check) -> None:
        self._port = port
        self._check = check
        self._refused: list[Request] = []
        self._writer: asyncio.StreamWriter | None = None

    async def unanswered(self, batch: Sequence[Request]) -> Sequence[Request]:
        """Send the requests, and check their replies. Return those after which the connection was closed."""
        waiting = deque(batch)
        try:
            await self._exchange(waiting)
        except TimeoutError:
            self._check(waiting.popleft(), NONE)
            self.close()
        except (OSError, asyncio.IncompleteReadError):
            self.close()
        return waiting

    async def _exchange(self, waiting: deque[Request]) -> None:
        """Send the requests, and take each away once it has its reply, until one closes the connection."""
        await self._send(waiting)
        while waiting:
            request = waiting[0]
            async with asyncio.timeout(REPLY_SECONDS):
                if request.ending:
                    await self._end(request)
                    waiting.popleft()
                    return
                reply = await self._reply(request)
            self._check(waiting.popleft(), reply)
            if reply.status == 503:
                self._refused.append(request)
            if reply.is_last:
                self.close()
                return

    async def is_answered_later(self, request: Request) -> bool:
        """Send a request that was refused with a 503 again and again. Return whether it gets another reply."""
        for _ in range(REFUSALS_LIMIT):
            if not await self.unanswered([request]) and not self.take_refused():
                return True
            await asyncio.sleep(RETRY_AFTER_SECONDS)
        return False

    def take_refused(self) -> Sequence[Request]:
        refused, self._refused = self._refused, []
        return refused

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _send(self, batch: Iterable[Request]) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        data = b"".join([request.data for request in batch])
        # Often the service reads the two parts apart.
        self._writer.write(data[: len(data) // 2])
        await asyncio.sleep(0)
        self._writer.write(data[len(data) // 2 :])

    async def _reply(self, request: Request) -> Reply:
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status == 100:
            return await self._reply(request)
        reply = Reply(status, head)
        if request.method == "HEAD" or status in (204, 304) or reply.is_stream:
            return reply
        length = _LENGTH.search(head)
        assert length, head
        return reply._replace(body=await self._reader.readexactly(int(length[1])))

    async def _end(self, request: Request) -> None:
        """Send no more, and check whatever comes until the service closes the connection; or go away."""
        assert self._writer is not None
        if request.ending == "gone":
            self._writer.transport.abort()
        else:
            self._writer.write_eof()
            for head in _HEAD.finditer(await self._reader.read()):
                self._check(request, Reply(int(head[1]), head[0]))
        self.close()
