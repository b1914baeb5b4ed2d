"""Callbacks: requests to the endpoints of the configuration."""

import asyncio
import logging
import re
import ssl
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yarl
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database.database import Database, utc_now
from ..database.leases import postpone, remove
from ..model.outbox import delivery
from ..observability.metrics import count_delivery
from ..settings.schema import CallbackConfig, endpoint_key, url_key
from .deliveries import SWITCHED_OFF, Delivery, switch_off, take_deliveries, take_over
from .signature import signatures

_logger = logging.getLogger(__name__)

REQUESTS_AT_ONCE: Final = 16
ANSWER_LIMIT_BYTES: Final = 64 * 1024
POLL_SECONDS: Final = 2
# What comes meanwhile is sent at the same time; what waits already does not wait for this.
GATHERING_SECONDS: Final = 0.1
# How much longer than a request may take its delivery is kept from others.
MARGIN_SECONDS: Final = 15
# About a day, as the pauses grow.
ATTEMPTS: Final = 15
# An endpoint that fails has a line in the log no more often.
LOG_SECONDS: Final = 60

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
        self.key = endpoint_key(callback)
        self._url_key = url_key(callback["url"])
        self._url = _as_written(callback["url"])
        self._proxy = _proxy(callback)
        self._host = urlsplit(callback["url"]).hostname or ""
        self._next_log = 0.0
        self._failed = 0
        self.change_types = frozenset(callback["events"])

    def wake(self) -> None:
        """Say that something is owed."""
        self._woken.set()

    async def deliver(self) -> None:
        """Send some of what is due. If nothing is, wait until `wake` is called, but not for long."""
        self._woken.clear()
        due = await self._database.write(self._take)
        if due:
            errors = await asyncio.gather(*map(self._send, due))
            for error in errors:
                count_delivery(self._host, _RESULTS.get(error, "failed"))
            self._log_failures([error for error in errors if error is not None])
            switched_off = await self._database.write(partial(self._settle, dict(zip(due, errors, strict=True))))
            if switched_off:
                _logger.warning(
                    "The callback %s (%s) answered 410 and is switched off. What it would be sent is kept:"
                    " `myaccount events resend %s` switches it on and sends it.",
                    self.key,
                    self._host,
                    self.key,
                )
            if len(due) < REQUESTS_AT_ONCE:
                await asyncio.sleep(GATHERING_SECONDS)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._woken.wait()

    async def _take(self, connection: AsyncConnection) -> list[Delivery]:
        if self.key != self._url_key:
            # Before the endpoint was given a name, it was owed requests by its url.
            await take_over(connection, self._url_key, self.key)
        lease_seconds = self._callback["timeout_seconds"] + MARGIN_SECONDS
        return await take_deliveries(connection, self.key, utc_now(), REQUESTS_AT_ONCE, lease_seconds)

    async def _settle(self, errors: dict[Delivery, str | None], connection: AsyncConnection) -> bool:
        """Remove what was delivered, and note why the rest was not; return whether that switches the endpoint off.

        After a failover to a replica that lost some deliveries, their ids may belong to others by now. So a row is
        changed only if its webhook id is that of the delivery as well.
        """
        now = utc_now()
        same = delivery.c.webhook_id.in_([owed.webhook_id for owed in errors])
        delivered = [owed.id for owed, error in errors.items() if error is None]
        if delivered:
            await remove(connection, delivery, delivery.c.id.in_(delivered), same)
        failed = {owed.id: error for owed, error in errors.items() if error is not None}
        gone = SWITCHED_OFF in failed.values()
        await postpone(connection, delivery, failed, now, 1 if gone else ATTEMPTS, same)
        return gone and await switch_off(connection, self.key, now)

    def _log_failures(self, errors: Collection[str]) -> None:
        self._failed += len(errors)
        now = asyncio.get_running_loop().time()
        for error in errors:
            if error != SWITCHED_OFF and now >= self._next_log:
                _logger.warning(
                    "The callback %s (%s) failed: %s. Requests that failed since the last such line: %s.",
                    self.key,
                    self._host,
                    error,
                    self._failed,
                )
                self._next_log = now + LOG_SECONDS
                self._failed = 0

    async def _send(self, owed: Delivery) -> str | None:
        """Make the request; return why it did not succeed, or None."""
        now_seconds = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": owed.webhook_id,
            "webhook-timestamp": str(now_seconds),
        }
        if "secret" in self._callback:
            headers["webhook-signature"] = signatures(
                self._callback["secret"], owed.webhook_id, now_seconds, owed.body
            )
        timeout = aiohttp.ClientTimeout(total=self._callback["timeout_seconds"])
        status = None
        try:
            async with self._session.post(
                self._url,
                proxy=self._proxy,
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


def _as_written(address: str) -> yarl.URL:
    """Return the address with its escapes as they are; what may not stand in a request is escaped."""
    return yarl.URL(address, encoded=re.fullmatch("[!-~]*", address) is not None)


def _proxy(callback: CallbackConfig) -> yarl.URL | None:
    """Return the proxy of the configuration or the environment.

    aiohttp's own `trust_env` would also send the passwords of ~/.netrc.
    """
    proxy = callback.get("proxy")
    if proxy is None and callback["trust_env"]:
        parts = urlsplit(callback["url"])
        if not proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = getproxies().get(parts.scheme)
    return _as_written(proxy) if proxy else None


@asynccontextmanager
async def open_endpoints(database: Database, callbacks: Sequence[CallbackConfig]) -> AsyncIterator[list[Endpoint]]:
    """Give the endpoints of the configuration, each with connections of its own."""
    async with AsyncExitStack() as stack:
        sessions = [await stack.enter_async_context(_session(callback)) for callback in callbacks]
        yield [Endpoint(database, *both) for both in zip(sessions, callbacks, strict=True)]


def _session(callback: CallbackConfig) -> aiohttp.ClientSession:
    certificates = ssl.create_default_context(cafile=callback["ca"]) if "ca" in callback else True
    return aiohttp.ClientSession(
        # The endpoint itself has a bound.
        connector=aiohttp.TCPConnector(limit=0, ssl=certificates),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": "MyAccount"},
    )
