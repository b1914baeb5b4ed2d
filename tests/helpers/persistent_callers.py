"""Callers that send the same requests again and again, whatever happens to the service."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import aiohttp

from .services import Service


class Reply(NamedTuple):
    """A reply, the worker that gave it, and when its request began and ended."""

    caller: str
    began: float
    ended: float
    worker: str
    status: int


class Asked(NamedTuple):
    """A request of a caller."""

    method: str
    path: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]


class Callers:
    """They send their requests again and again, each time by a new connection, which either worker may get."""

    def __init__(self, service: Service, session: aiohttp.ClientSession) -> None:
        self._address = service.address
        self._session = session
        self.replies: list[Reply] = []

    @asynccontextmanager
    async def sending(self, asked: Mapping[str, Asked], times: int = 1) -> AsyncIterator[None]:
        stop = asyncio.Event()
        senders = [self._send(stop, *item) for item in asked.items() for _ in range(times)]
        sending = asyncio.gather(*senders, return_exceptions=True)
        try:
            yield
        finally:
            # Each gets its last reply, so none is under way that nobody saw.
            stop.set()
            results = await sending
        assert not any(results)

    async def _send(self, stop: asyncio.Event, caller: str, asked: Asked) -> None:
        while not stop.is_set():
            began = time.time()
            # A worker that is killed takes its connections along.
            with suppress(aiohttp.ClientError):
                async with self._session.request(
                    asked.method, self._address + asked.path, data=asked.fields, headers=asked.headers
                ) as response:
                    await response.read()
                worker = response.headers["X-Request-ID"].partition("-")[0]
                self.replies.append(Reply(caller, began, time.time(), worker, response.status))
