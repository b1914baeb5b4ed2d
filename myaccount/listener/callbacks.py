"""Tells the world outside, by requests to the endpoints of the configuration."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from ..metrics import count_delivery
from ..model.outbox import delivery
from ..settings import CallbackConfig
from ..store.database import Database, utc_now
from ..store.deliveries import SWITCHED_OFF, Delivery, endpoint_key, switch_off, take_deliveries
from ..store.retries import postpone, remove
from .signature import signature

REQUESTS_AT_ONCE: Final = 16
ANSWER_LIMIT_BYTES: Final = 64 * 1024
POLL_SECONDS: Final = 2
# What comes meanwhile is sent at the same time; what waits already does not wait for this.
GATHERING_SECONDS: Final = 0.1
# How much longer than a request may take its delivery is kept from others.
MARGIN_SECONDS: Final = 15
# About a day, as the pauses grow.
ATTEMPTS: Final = 15

# What the metrics call it.
_RESULTS: Final[dict[str | None, str]] = {None: "ok", SWITCHED_OFF: "gone"}


class Endpoint:
    """One address and what is owed to it: at least once each, whichever process owes it.

    Each endpoint has a task and a few requests under way of its own, so that none waits for another's.
    """

    def __init__(self, database: Database, session: aiohttp.ClientSession, callback: CallbackConfig) -> None:
        self._database = database
        self._session = session
        self._callback = callback
        self._woken = asyncio.Event()
        self.key = endpoint_key(callback["url"])
        self._host = urlsplit(callback["url"]).hostname or ""
        self.change_types = frozenset(callback["events"])

    def wake(self) -> None:
        """Say that something is owed."""
        self._woken.set()

    async def deliver(self) -> None:
        """Send some of what is due or, if nothing is, wait for a moment, or for word that something is."""
        self._woken.clear()
        keep_seconds = self._callback["timeout_seconds"] + MARGIN_SECONDS
        due = await self._database.write(
            partial(
                take_deliveries,
                endpoint=self.key,
                now=utc_now(),
                limit=REQUESTS_AT_ONCE,
                keep_seconds=keep_seconds,
            )
        )
        if due:
            errors = await asyncio.gather(*map(self._send, due))
            for error in errors:
                count_delivery(self._host, _RESULTS.get(error, "failed"))
            await self._database.write(partial(self._settle, dict(zip(due, errors, strict=True))))
            if len(due) < REQUESTS_AT_ONCE:
                await asyncio.sleep(GATHERING_SECONDS)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def _settle(self, errors: dict[Delivery, str | None], connection: AsyncConnection) -> None:
        """Remove what was delivered, and note why the rest was not."""
        now = utc_now()
        await remove(connection, delivery, [owed.id for owed, error in errors.items() if error is None])
        failed = {owed.id: error for owed, error in errors.items() if error is not None}
        gone = SWITCHED_OFF in failed.values()
        await postpone(connection, delivery, failed, now, last_attempt=1 if gone else ATTEMPTS)
        if gone:
            await switch_off(connection, self.key, now)

    async def _send(self, owed: Delivery) -> str | None:
        """Make the request; return why it did not succeed, or None."""
        now_seconds = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": owed.webhook_id,
            "webhook-timestamp": str(now_seconds),
        }
        if "secret" in self._callback:
            headers["webhook-signature"] = signature(
                self._callback["secret"], owed.webhook_id, now_seconds, owed.body
            )
        timeout = aiohttp.ClientTimeout(total=self._callback["timeout_seconds"])
        status = None
        try:
            async with self._session.post(
                self._callback["url"],
                data=owed.body.encode(),
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            ) as answer:
                status = answer.status
                # The status is the answer; the rest is read, as far as that is bearable, to keep the connection.
                with suppress(asyncio.IncompleteReadError):
                    await answer.content.readexactly(ANSWER_LIMIT_BYTES)
        except Exception as error:
            # Whatever it was, it is this request's own.
            if status is None:
                # Not its text: that may hold the address, and so a password.
                return f"the request failed: {type(error).__name__}"
        if status == HTTPStatus.GONE:
            return SWITCHED_OFF
        return None if status is not None and 200 <= status < 300 else f"the endpoint answered {status}"


@asynccontextmanager
async def open_endpoints(database: Database, callbacks: Sequence[CallbackConfig]) -> AsyncIterator[list[Endpoint]]:
    """Give the endpoints of the configuration, over connections of their own."""
    async with aiohttp.ClientSession(
        # Each endpoint has a bound of its own.
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "MyAccount"},
    ) as session:
        yield [Endpoint(database, session, callback) for callback in callbacks]
