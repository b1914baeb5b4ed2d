"""Real HTTP servers that are called back, good ones and bad."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

WAIT_SECONDS = 20


class Call(NamedTuple):
    """A request that came."""

    headers: dict[str, str]
    text: str

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def changes(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = json.loads(self.text)["data"]
        return told


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """Notes each call, and answers 200 or, one after the other, as `answers` says."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: list[int | Answer] = []
        self._called = asyncio.Condition()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        call = Call({name.lower(): value for name, value in request.headers.items()}, await request.text())
        async with self._called:
            self.calls.append(call)
            self._called.notify_all()
        answer = self.answers.pop(0) if self.answers else 200
        if callable(answer):
            return await answer(request)
        # Where a redirect leads, everything succeeds.
        return web.Response(status=answer, headers={"Location": "/elsewhere"} if answer == 302 else None)

    async def until_called(self, times: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS), self._called:
            await self._called.wait_for(lambda: len(self.calls) >= times)

    def told(self) -> Counter[str]:
        """Return how often each order, or account, was told, repeated requests counted once."""
        by_id = {call.webhook_id: call.changes for call in self.calls}
        return Counter(c.get("orderId") or c["accountId"] for changes in by_id.values() for c in changes)


async def hang(request: web.Request) -> web.StreamResponse:
    """Answer nothing until the caller has gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_SECONDS):
            # Nothing tells of its going.
            while request.transport is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    return web.Response()


class Endless:
    """Answers 200 with a body that goes on until the caller has gone."""

    def __init__(self) -> None:
        self.sent_bytes = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 4096)
                self.sent_bytes += 4096
        return response


class Receiving(NamedTuple):
    """A receiver, and the address at which it is called."""

    receiver: Receiver
    url: str


@pytest.fixture
async def receiving(
    aiohttp_server: Callable[..., Awaitable[TestServer]],
) -> Callable[..., Awaitable[Receiving]]:
    """Make receivers, each on a server of its own."""

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response()

    async def make(port: int | None = None) -> Receiving:
        receiver = Receiver()
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/hook", receiver.answer)
        app.router.add_route("*", "/elsewhere", elsewhere)
        server = await aiohttp_server(app, port=port)
        return Receiving(receiver, str(server.make_url("/hook")))

    return make


@pytest.fixture
async def receiver(receiving: Callable[..., Awaitable[Receiving]]) -> Receiving:
    return await receiving()
