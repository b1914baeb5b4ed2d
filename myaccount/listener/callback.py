"""Tells the world outside by requesting an address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from ..configuration import Config, own_address
from ..service.accounts import ACCOUNT_OPENED
from ..store.events import Event
from .listener import EventHandler


class CallbackRefused(Exception):
    """The address answered, but not with success."""


@asynccontextmanager
async def open_handlers(config: Config) -> AsyncIterator[dict[str, EventHandler]]:
    """Give the handler of each type of event: an account's opening requests the configured address."""
    url = config["listener"].get("url", f"{own_address(config)}/opeacclistentest")
    timeout = aiohttp.ClientTimeout(total=config["listener"]["timeout_seconds"])
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def call(event: Event) -> None:
            query = {"eventId": str(event.id), "eventType": event.event_type, "userId": event.fields()["user_id"]}
            async with session.get(url, params=query, allow_redirects=False) as response:
                if response.status >= 300:
                    # Not the address: it may hold a password, and this is logged and stored.
                    raise CallbackRefused(f"the listener's address answered {response.status}")

        yield {ACCOUNT_OPENED: call}
