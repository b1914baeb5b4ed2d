"""Live streams of an inbox, as a browser follows them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientResponse

from ..conftest import Client, eventually
from .actions import send

WAIT_SECONDS = 60


class Stream:
    """Reads a stream as a browser does."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[int, dict[str, Any]]:
        """Return the next message and the id of its event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(WAIT_SECONDS):
            line = ""
            while not fields or line:
                line = (await self.response.content.readline()).decode().rstrip("\r\n")
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
        return int(fields["id"]), json.loads(fields["data"])

    async def sources(self, count: int) -> list[str]:
        return [(await self.next())[1]["BODY"]["orderId"] for _ in range(count)]


@asynccontextmanager
async def open_stream(client: Client, user_id: str, last: int | None = None) -> AsyncIterator[Stream]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    async with client.get("/messages/stream", params={"userId": user_id}, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        # The first id lets a client continue after an interruption, even if no message came.
        opening = await response.content.readline()
        assert opening.startswith(b"id: ") if last is None else opening == f"id: {last}\n".encode()
        assert await response.content.readline() == b"\n"
        yield Stream(response)


async def recharge(client: Client, order_id: str, user_id: str = "u1") -> None:
    assert (await send(client, "/recharge", orderId=order_id, userId=user_id, amount="1"))[0] == 200


async def until_welcome(client: Client, *users: str) -> None:
    async def welcome() -> bool:
        for user in users:
            async with client.get("/messages", params={"userId": user}) as response:
                if not (await response.json())["total"]:
                    return False
        return True

    await eventually(welcome)
