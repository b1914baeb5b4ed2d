"""Real HTTP servers that receive callbacks, good ones and bad ones."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

WAIT_SECONDS = 60


class Call(NamedTuple):
    """A request that a receiver got."""

    headers: dict[str, str]
    text: str

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def changes(self) -> list[dict[str, Any]]:
        changes: list[dict[str, Any]] = json.loads(self.text)["data"]
        return changes


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """Records each call, and replies with the next of `answers` or, after the last, with 200."""

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
        # The target of the redirect always replies 200.
        return web.Response(status=answer, headers={"Location": "/elsewhere"} if answer == 302 else None)

    async def until_called(self, times: int) -> None:
        async with asyncio.timeout(WAIT_SECONDS), self._called:
            await self._called.wait_for(lambda: len(self.calls) >= times)

    def received(self) -> Counter[str]:
        """Return how often each order, account, or change of an account came. Repeated requests count once."""
        by_id = {call.webhook_id: call.changes for call in self.calls}
        return Counter(source_of(change) for changes in by_id.values() for change in changes)


def source_of(change: Mapping[str, Any]) -> str:
    """Return the id of what a change in a callback is about."""
    source: str = change.get("orderId") or change.get("changeId") or change["accountId"]
    return source


async def hang(request: web.Request) -> web.StreamResponse:
    """Reply only after the caller has disconnected."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_SECONDS):
            # aiohttp has no event for a disconnected client.
            while request.transport is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    return web.Response()


class Endless:
    """Replies 200 with a body that ends only when the caller disconnects."""

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
    """A receiver and its URL."""

    receiver: Receiver
    url: str


@pytest.fixture
async def receiving(
    aiohttp_server: Callable[..., Awaitable[TestServer]],
) -> Callable[..., Awaitable[Receiving]]:
    """A factory of receivers, each on its own server."""

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
